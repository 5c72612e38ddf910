"""The key figures of the HTML page: how long, how much CPU, how much memory, and what went wrong."""

from jobmeter.model.quantities import format_percent
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.report.figures import (
    BRIEF_SECONDS,
    average_cores,
    byte_limit,
    capacity_cores,
    core_limit,
    cores,
    doubt,
    duration,
    finite,
    largest,
    longest_wait,
    marked,
    memory_peak,
    moment,
    roots,
    roughly,
    seen_seconds,
    size,
    total_cpu_seconds,
)
from jobmeter.report.html_parts import bar, text
from jobmeter.report.verdict import is_throttled, oom_kills

_WAITED_SHARE = 0.01


def tiles(summary: Summary) -> str:
    """The tiles as a list of terms; what is not known has none."""
    made = [make(summary) for make in (_end, _took, _cpu, _memory, _throttled, _waited)]
    known = [tile for tile in made if tile]
    if not known:
        return ""
    # Six tiles stand in two rows of three, fewer in one row.
    return f'<dl class="tiles" style="--columns:{3 if len(known) > 5 else len(known)}">{"".join(known)}</dl>'


def _tile(label: str, value: str, sub: str, *, style: str = "", meter: str = "") -> str:
    mood = f" {style}" if style else ""
    return (
        f'<div><dt>{text(label)}</dt><dd class="value{mood}">{text(value)}</dd>'
        f'<dd class="sub">{meter}{text(sub)}</dd></div>'
    )


def _end(summary: Summary) -> str:
    kills = oom_kills(summary)
    if kills:
        limits = [
            box for box in summary.containers if box.oom_kills and finite(box.memory_limit_bytes) is not None
        ]
        at = f"at the limit of {byte_limit(limits[0].memory_limit_bytes)}" if limits else "for lack of memory"
        return _tile("Processes killed", f"{kills:,}", f"by the kernel, {at}", style="bad")
    end = summary.exit
    if end.reason == "signal" and end.signal:
        return _tile(
            "Killed by", end.signal, "" if end.code is None else f"exit code {end.code}", style="bad"
        )
    if end.code:
        return _tile("Exit code", str(end.code), "of the command", style="bad")
    return ""


def _took(summary: Summary) -> str:
    if seen_seconds(summary) is None:
        return ""
    return _tile("Duration", roughly(summary.duration_seconds), f"from {moment(summary.start_time)}")


def _cpu(summary: Summary) -> str:
    total, used, capacity = total_cpu_seconds(summary), average_cores(summary), capacity_cores(summary)
    if total is None or used is None:
        return ""
    mark = doubt(summary)
    if summary.duration_seconds < BRIEF_SECONDS:
        return _tile("CPU time", marked(duration(total), mark), "of the job")
    share = used / capacity if capacity else None
    of = f"{format_percent(share)} of {core_limit(capacity)} · " if share is not None else ""
    meter = bar(share, "cpu") if share is not None else ""
    return _tile(
        "CPU cores, average",
        marked(cores(used), mark),
        f"{of}{marked(duration(total), mark)} CPU time",
        meter=meter,
    )


def _memory(summary: Summary) -> str:
    container = largest(summary)
    peak = memory_peak(container) if container else None
    if container is None or peak is None:
        return ""
    what, most = peak
    limit = finite(container.memory_limit_bytes)
    where = f" in {container.name}" if len(roots(summary)) > 1 else ""
    of = f"{format_percent(most / limit)} of {size(limit)} · " if limit else ""
    meter = bar(most / limit, "memory") if limit else ""
    return _tile("Memory, peak", size(most), f"{of}{what}{where}", meter=meter)


def _throttled(summary: Summary) -> str:
    worst = max(summary.containers, key=lambda box: box.throttled_seconds or 0, default=None)
    if worst is None or not worst.throttled_seconds:
        return ""
    limit = core_limit(worst.cpu_limit_cores)
    sub = f"by the CPU limit{f' of {limit}' if limit else ''}{_where(summary, worst)}"
    style = "warn" if is_throttled(summary, worst) else ""
    return _tile("Throttled", duration(worst.throttled_seconds), sub, style=style)


def _waited(summary: Summary) -> str:
    """What tasks waited for longest, where it was a notable share of the run."""
    wait = longest_wait(summary)
    if wait is None or wait.share < _WAITED_SHARE:
        return ""
    sub = f"{format_percent(wait.share)} of the time{_where(summary, wait.container)}"
    return _tile(f"Waited for {wait.what}", duration(wait.seconds), sub)


def _where(summary: Summary, container: ContainerSummary) -> str:
    return f" in {container.name}" if len(summary.containers) > 1 else ""
