"""One run as plain text for a terminal: the report that a job prints when it ends."""

from collections.abc import Sequence

from jobmeter.model.summary import ContainerSummary, ProcessSummary, Summary
from jobmeter.model.timeline import Timeline
from jobmeter.report.columns import (
    busiest,
    cpu_columns,
    memory_columns,
    process_columns,
    program_columns,
    section_columns,
    wait_columns,
)
from jobmeter.report.figures import BRIEF_SECONDS, distinct_names, tree
from jobmeter.report.layout import Line, Span, beside, line_width, paint, table
from jobmeter.report.notes import identity, machine, meter, remarks
from jobmeter.report.terminal_timeline import timeline_lines
from jobmeter.report.text import cells, clean, plural, wrap
from jobmeter.report.verdict import cause, tone, verdict

_MAX_CONTAINERS = 8
_MAX_SECTIONS = 8
_MAX_PROGRAMS = 5


def render_terminal(
    summary: Summary, timeline: Timeline | None, *, width: int = 80, colour: bool = False
) -> str:
    """The report in lines of at most ``width`` cells; ANSI colours only when ``colour``.

    A run too short for statistics gets its verdict and sources alone, but where it ran out of memory.
    """
    if summary.duration_seconds < BRIEF_SECONDS and summary.exit.reason != "oom":
        return paint([*_opening(summary, width), *_closing(summary, width)], width, colour=colour)
    blocks = [_opening(summary, width)]
    blocks += [_containers(summary, width), timeline_lines(summary, timeline, width)]
    blocks += [_sections(summary, width), _programs(summary, width)]
    blocks.append(_closing(summary, width))
    lines: list[Line] = []
    for block in blocks:
        if block:
            lines += [[], *block] if lines else block
    return paint(lines, width, colour=colour)


def _opening(summary: Summary, width: int) -> list[Line]:
    lines: list[Line] = [
        [(text, tone(summary))]
        for text in wrap(verdict(summary), width, first="jobmeter: ", indent=" " * 10, phrases=True)
    ]
    why = cause(summary)
    if why:
        lines += [[(text, "")] for text in wrap(why, width, first="  cause:  ", indent=" " * 10)]
    job = identity(summary)
    return [*lines, [(f"  {job}", "faint")]] if job else lines


def _containers(summary: Summary, width: int) -> list[Line]:
    ordered = tree(summary.containers)
    shown = [container for _, container in ordered[:_MAX_CONTAINERS]]
    names = _container_names([depth for depth, _ in ordered[:_MAX_CONTAINERS]], shown)
    name_width = max((cells(name) + 2 for name, _ in names), default=0)
    name_width = min(max(name_width, cells("memory peaks")), 20)
    return [
        *table("CPU cores", names, cpu_columns(summary, shown), width, name_width=name_width),
        *table("memory peaks", names, memory_columns(shown), width, name_width=name_width, sparse=True),
        *table("waited", names, wait_columns(shown), width, name_width=name_width, sparse=True),
        *_more(len(ordered) - len(shown), "container"),
    ]


def _container_names(depths: Sequence[int], containers: Sequence[ContainerSummary]) -> list[Span]:
    names = distinct_names(containers)
    return [
        (f"{'  ' * min(depth - 1, 4)}└ {clean(name)}" if depth else clean(name), "")
        for depth, name in zip(depths, names, strict=True)
    ]


def _more(hidden: int, noun: str) -> list[Line]:
    return [[(f"  … and {plural(hidden, noun)} more", "faint")]] if hidden > 0 else []


def _sections(summary: Summary, width: int) -> list[Line]:
    shown = summary.sections[:_MAX_SECTIONS]
    lines = table("sections", [(each.name, "") for each in shown], section_columns(shown), width)
    return lines + _more(len(summary.sections) - len(shown), "section")


def _programs(summary: Summary, width: int) -> list[Line]:
    """Programs, or where none were counted the busiest processes, beside the largest processes."""
    programs = summary.programs[:_MAX_PROGRAMS]
    busy = busiest(summary.top_cpu_processes)[:_MAX_PROGRAMS]
    largest = summary.top_mem_processes[:_MAX_PROGRAMS]
    if not programs and {each.pid for each in busy} == {each.pid for each in largest}:
        return _processes("processes", summary, busy, width)
    half = (width - 4) // 2 if width >= 76 else width
    if programs:
        names = [(each.name, "") for each in programs]
        left = table("programs", names, program_columns(programs), half)
    else:
        left = _processes("busiest", summary, busy, half)
    room = width - 4 - max((line_width(line) for line in left), default=-4) if width >= 76 else width
    return beside(left, _processes("largest", summary, largest, room), width)


def _processes(title: str, summary: Summary, processes: Sequence[ProcessSummary], width: int) -> list[Line]:
    columns = process_columns(processes, containers=len(summary.containers) > 1)
    return table(title, [(each.name, "") for each in processes], columns, width)


def _closing(summary: Summary, width: int) -> list[Line]:
    lines: list[Line] = []
    for remark in remarks(summary):
        lines += [[(text, "warn" if remark.is_warning else "")] for text in wrap(remark.text, width)]
    for note in (meter(summary), machine(summary)):
        lines += [[(text, "faint")] for text in wrap(note, width) if note]
    return lines
