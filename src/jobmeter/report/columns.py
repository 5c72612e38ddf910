"""The tables of a report as columns of text, the same for the terminal and for Markdown."""

from collections.abc import Callable, Sequence

from jobmeter.model.memory_need import memory_need_bytes
from jobmeter.model.quantities import format_percent
from jobmeter.model.sample import Stall
from jobmeter.model.summary import ContainerSummary, ProcessSummary, ProgramSummary, Section, Summary
from jobmeter.report.figures import (
    ESTIMATE,
    SOURCE_WORDS,
    byte_limit,
    core_limit,
    cores,
    doubt,
    duration,
    finite,
    marked,
    section_seconds,
    size,
)
from jobmeter.report.layout import Column

Containers = Sequence[ContainerSummary]

# The kernel counts the time of a single process by clock ticks: so much of it is chance, little where it is long.
_TICK_SECONDS = 0.01
_NEGLIGIBLE_SHARE = 0.01


def cpu_columns(summary: Summary, containers: Containers) -> list[Column]:
    """Cores used, CPU time and what the limit took away, one row per container."""

    def rows(cell: Callable[[ContainerSummary], str]) -> list[str]:
        return [cell(container) for container in containers]

    def bound(container: ContainerSummary, text: str) -> str:
        return marked(text, doubt(summary, container))

    return [
        Column("avg", rows(lambda each: bound(each, cores(each.cpu_cores.avg)))),
        Column("p95", rows(lambda each: cores(each.cpu_cores.p95)), rank=3),
        Column("peak", rows(lambda each: cores(each.cpu_cores.peak)), style="cpu"),
        Column("limit", rows(lambda each: core_limit(each.cpu_limit_cores))),
        _notable("throttled", [each.throttled_seconds for each in containers], duration, style="warn"),
        Column("CPU time", rows(lambda each: bound(each, duration(each.cpu_seconds)))),
        Column("user", rows(lambda each: duration(each.cpu_user_seconds)), rank=1),
        Column("system", rows(lambda each: duration(each.cpu_system_seconds)), rank=2),
    ]


def memory_columns(containers: Containers) -> list[Column]:
    """Memory peaks of each kind and the limit, one row per container."""

    def rows(cell: Callable[[ContainerSummary], str]) -> list[str]:
        return [cell(container) for container in containers]

    def peak(container: ContainerSummary, source: str | None) -> str:
        return size(container.memory_bytes.peak) if container.memory_source == source else ""

    return [
        Column("working set", rows(lambda each: peak(each, "working_set")), style="memory"),
        Column("RSS sum", rows(lambda each: peak(each, "rss")), style="memory"),
        Column("in use", rows(lambda each: peak(each, None)), style="memory"),
        Column("limit", rows(lambda each: byte_limit(each.memory_limit_bytes))),
        Column("of limit", rows(_limit_share), rank=3),
        Column("one process", rows(lambda each: size(each.memory_high_water_bytes)), rank=1),
        Column("with page cache", rows(lambda each: size(each.memory_charged_peak_bytes)), rank=2),
        _notable("OOM kills", [each.oom_kills for each in containers], _count, style="warn"),
    ]


def _limit_share(container: ContainerSummary) -> str:
    limit, need = finite(container.memory_limit_bytes), memory_need_bytes(container)
    return format_percent(need / limit) if limit and need is not None else ""


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _notable(
    title: str,
    values: Sequence[float | None],
    form: Callable[[float], str],
    *,
    rank: int = 0,
    style: str = "",
) -> Column:
    """A column that says nothing where all of it is nothing: then it is left out."""
    texts = ["" if value is None else form(value) for value in values]
    nothing = all(text in ("", form(0)) for text in texts)
    return Column(title, [""] * len(texts) if nothing else texts, rank, style=style)


def wait_columns(containers: Containers) -> list[Column]:
    """Pressure, disk, network and tasks, one row per container; a column of zeros is empty."""

    def stalls(resource: str) -> list[float | None]:
        found = [getattr(each.pressure, resource, None) for each in containers]
        return [stall.some_seconds if isinstance(stall, Stall) else None for stall in found]

    return [
        _notable("for CPU", stalls("cpu"), duration),
        _notable("memory", stalls("memory"), duration),
        _notable("I/O", stalls("io"), duration),
        _notable("disk read", [each.io_read_bytes for each in containers], size, rank=1),
        _notable("written", [each.io_write_bytes for each in containers], size, rank=2),
        _notable("net in", [each.network_rx_bytes for each in containers], size, rank=3),
        _notable("out", [each.network_tx_bytes for each in containers], size, rank=4),
        _notable("tasks", [each.pids_peak for each in containers], _count, rank=5),
    ]


def section_columns(sections: Sequence[Section]) -> list[Column]:
    """What was used between two marks, one row per section."""
    seconds = [section_seconds(section) for section in sections]
    rates = [
        section.cpu_seconds / took if took and section.cpu_seconds is not None else None
        for section, took in zip(sections, seconds, strict=True)
    ]
    return [
        Column("took", [duration(took) for took in seconds]),
        Column("CPU time", [duration(section.cpu_seconds) for section in sections], rank=1),
        Column("cores", [cores(rate) for rate in rates], style="cpu"),
        Column("memory", [size(each.memory_working_set_peak_bytes) for each in sections], style="memory"),
    ]


def _counted_by_ticks(seconds: float | None, processes: int = 1) -> str:
    """CPU time of processes, marked as an estimate where ticks may be much of it."""
    exact = seconds is not None and processes * _TICK_SECONDS <= _NEGLIGIBLE_SHARE * seconds
    return marked(duration(seconds), "" if exact else ESTIMATE)


def program_columns(programs: Sequence[ProgramSummary]) -> list[Column]:
    """How often a program ran and what all its processes used together."""
    return [
        Column("runs", [f"× {program.count:,}" for program in programs]),
        Column("CPU time", [_counted_by_ticks(one.cpu_seconds, one.count) for one in programs], style="cpu"),
        Column("memory", [size(program.peak_memory_bytes) for program in programs], rank=1, style="memory"),
    ]


def busiest(processes: Sequence[ProcessSummary]) -> list[ProcessSummary]:
    """In the order of the CPU time that is shown of them; a summary has them by their peak."""
    return sorted(processes, key=lambda one: one.cpu_seconds or 0.0, reverse=True)


def process_columns(processes: Sequence[ProcessSummary], *, containers: bool = False) -> list[Column]:
    """What single processes used; with their containers where the job has several."""
    where = [each.container or "" if containers else "" for each in processes]
    percents = [each.peak_cpu_percent for each in processes]
    return [
        Column("in", where, rank=3, left=True),
        Column("pid", [str(each.pid) for each in processes], rank=2),
        Column("CPU peak", ["" if percent is None else f"{percent:.0f} %" for percent in percents], rank=1),
        Column("CPU time", [_counted_by_ticks(each.cpu_seconds) for each in processes], style="cpu"),
        Column("memory", [size(each.peak_memory_bytes) for each in processes], style="memory"),
    ]


def sources(summary: Summary) -> str:
    """Where the numbers come from: ``cgroup``, ``cgroup and /proc``; empty when nothing was read."""
    found = {container.cpu_source for container in summary.containers} - {None}
    return " and ".join(word for key, word in SOURCE_WORDS.items() if key in found)
