"""The pieces of the HTML page that every page with a run shares: the document, and the body of one run."""

from collections.abc import Sequence

from msgspec.structs import replace

from jobmeter.model.quantities import format_percent
from jobmeter.model.summary import ProcessSummary, Summary
from jobmeter.report.columns import (
    busiest,
    cpu_columns,
    memory_columns,
    process_columns,
    program_columns,
    section_columns,
    wait_columns,
)
from jobmeter.report.figures import distinct_names, duration, moment, size, tree
from jobmeter.report.html_fields import fields_table
from jobmeter.report.html_parts import card, definitions, notes, section, table, text
from jobmeter.report.html_style import STYLE
from jobmeter.report.html_tiles import tiles
from jobmeter.report.layout import Column
from jobmeter.report.notes import identity, remarks
from jobmeter.report.text import plural
from jobmeter.report.verdict import cause, outcome, tone, verdict

_MAX_ROWS = 100
_MAX_FIELD_COLUMNS = 8
_ENDED = {"lost": "last sample"}
# A meter counts those that still live when the run ends.
_PROGRAMS = {
    "running": ("Programs that have ended so far", "Programs are counted when they end"),
    "lost": ("Programs that had ended", "Programs that still ran when the run was lost are not counted"),
}


def document(title: str, body: str, *, policy: str | None = None, style: str = STYLE) -> str:
    """A page; ``policy`` is its Content-Security-Policy where no server says one."""
    said = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n' if policy else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{said}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def run_body(
    summary: Summary, pictures: str, *, over: str | None = None, below: str = "", more: str = ""
) -> str:
    """All that a page says of one run; ``pictures`` is the HTML of its course over time.

    ``over`` is what stands above the verdict; None is which job it was. ``below`` is HTML that stands below it,
    ``more`` are sections that stand before those of the circumstances.
    """
    parts = (
        _header(summary, (identity(summary) or "jobmeter") if over is None else over),
        below,
        tiles(summary),
        _notes(summary),
        section("Over time", pictures),
        section("Sections", card(_sections(summary))),
        section("Containers", _containers(summary)),
        section("Programs and processes", _programs(summary)),
        more,
        section("Job, machine, meter", _facts(summary)),
        _footer(summary),
    )
    return "\n".join(part for part in parts if part)


def _header(summary: Summary, over: str) -> str:
    happened = outcome(summary)
    facts = verdict(summary).removeprefix(happened).removeprefix(" — ")
    why = cause(summary)
    lines = [
        f'<p class="over">{text(over)}</p>' if over else "",
        f'<h1 class="{tone(summary)}">{text(_sentence(happened))}</h1>',
        f'<p class="lead">{text(_sentence(facts))}.</p>' if facts else "",
        f'<p class="cause"><b>Cause</b>{text(why)}</p>' if why else "",
    ]
    return f"<header>{''.join(lines)}</header>"


def _notes(summary: Summary) -> str:
    return notes((text(_sentence(remark.text)), remark.is_warning) for remark in remarks(summary))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sections(summary: Summary) -> str:
    shown = summary.sections[:_MAX_ROWS]
    return table("Between marks", [each.name for each in shown], section_columns(shown), first="section")


def _containers(summary: Summary) -> str:
    ordered = tree(summary.containers)[:_MAX_ROWS]
    containers = [container for _, container in ordered]
    names, depths = distinct_names(containers), [depth for depth, _ in ordered]
    tables = [
        table("CPU, cores", names, cpu_columns(summary, containers), first="container", nested=depths),
        table(
            "Memory, peaks", names, memory_columns(containers), first="container", nested=depths, sparse=True
        ),
        table(
            "Waiting, disk, network",
            names,
            wait_columns(containers),
            first="container",
            nested=depths,
            sparse=True,
        ),
    ]
    hidden = len(summary.containers) - len(containers)
    more = f"<p>… and {plural(hidden, 'container')} more.</p>" if hidden > 0 else ""
    if not containers:
        return ""
    fields = card(fields_table(containers[:_MAX_FIELD_COLUMNS]))
    every = (
        f"<details><summary>Every number, what it means and where it comes from</summary>{fields}</details>"
    )
    return card(*tables) + more + every


def _programs(summary: Summary) -> str:
    programs = summary.programs[:_MAX_ROWS]
    most = max((program.cpu_seconds or 0.0 for program in programs), default=0.0)
    bars = [(program.cpu_seconds or 0.0) / most for program in programs] if most > 0 else []
    columns = _peaks(program_columns(programs))
    ordered = [columns[0], columns[2], columns[1]]
    told, counted = _PROGRAMS.get(summary.exit.reason, ("Programs", ""))
    busy, largest = busiest(summary.top_cpu_processes), summary.top_mem_processes
    same = {each.pid for each in busy} == {each.pid for each in largest}
    boxed = card(
        table(told, [each.name for each in programs], ordered, first="program", bars=bars),
        _processes("Top processes" if same else "Busiest processes", summary, busy),
        "" if same else _processes("Largest processes", summary, largest),
    )
    hint = f'<p class="hinted">{counted}; the busiest and largest of them are among the processes.</p>'
    return f"{hint}{boxed}" if counted and boxed else boxed


def _peaks(columns: Sequence[Column]) -> list[Column]:
    """With the whole name of what reports for narrow screens call memory: no column stands below a heading here."""
    return [replace(each, title="memory peak") if each.title == "memory" else each for each in columns]


def _processes(title: str, summary: Summary, processes: list[ProcessSummary]) -> str:
    shown = processes[:_MAX_ROWS]
    columns = _peaks(process_columns(shown, containers=len(summary.containers) > 1))
    return table(title, [each.name for each in shown], columns, first="process")


def _facts(summary: Summary) -> str:
    job, host, own = summary.job, summary.host, summary.collector
    matrix = ", ".join(f"{key}={value}" for key, value in (job.matrix or {}).items())
    busy, used = summary.cpu_total_percent, summary.mem_used_percent
    boxes = [
        definitions("Job", [
            ("forge", job.forge), ("server", job.server_url), ("organization", job.organization),
            ("repository", job.repository), ("workflow", job.workflow), ("job", job.job), ("matrix", matrix),
            ("run id", job.run_id), ("attempt", job.attempt), ("ref", job.ref), ("base", job.base_ref),
            ("commit", job.sha), ("event", job.event), ("runner", job.runner),
            ("runner labels", ", ".join(job.runner_labels)),
        ]),
        definitions("Machine", [
            ("name", host.name), ("CPUs", host.cpus), ("memory", size(host.memory_bytes)),
            ("kernel", host.kernel),
            ("CPU, average", "" if busy.avg is None else format_percent(busy.avg / 100)),
            ("CPU, peak", "" if busy.peak is None else format_percent(busy.peak / 100)),
            ("memory used, peak", "" if used.peak is None else format_percent(used.peak / 100)),
        ]),
        definitions("Meter", [
            ("began", moment(summary.start_time)), (_ENDED.get(summary.exit.reason, "ended"), moment(summary.end_time)),
            ("samples", f"{summary.sample_count:,}"), ("interval", duration(own.interval_seconds)),
            ("late", own.late_ticks or ""),
            ("failed reads", own.read_errors or ""), ("own CPU time", duration(own.cpu_seconds)),
            ("own memory", size(own.peak_memory_bytes)),
        ]),
    ]  # fmt: skip
    return f'<div class="facts">{"".join(boxes)}</div>'


def _footer(summary: Summary) -> str:
    version = f" {summary.collector.version}" if summary.collector.version else ""
    parts = [f"jobmeter{version}", summary.schema, f"run {summary.run_uid}"]
    return f"<footer>{text(' · '.join(parts))}</footer>"
