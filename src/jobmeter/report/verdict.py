"""The one sentence that opens every report: what happened, and the fact that explains most."""

from jobmeter.model.exits import Exit, killed_sentence
from jobmeter.model.memory_need import memory_need_bytes
from jobmeter.model.quantities import format_percent
from jobmeter.model.summary import ContainerSummary, ProcessSummary, ProgramSummary, Summary
from jobmeter.report.figures import (
    BRIEF_SECONDS,
    average_cores,
    byte_limit,
    capacity_cores,
    core_limit,
    cores,
    doubt,
    finite,
    largest,
    longest_wait,
    marked,
    memory_peak,
    roots,
    roughly,
    seen_seconds,
    size,
    total_cpu_seconds,
)
from jobmeter.report.text import clean, fit, plural

# The end of a run that goes on, for those who read a report: the contract has no word for it.
RUNNING = Exit(reason="running")

# Shares from which a limit is the fact that explains a run.
_THROTTLED_SHARE = 0.1
_MEMORY_SHARE = 0.9
_WAITED_SHARE = 0.3

# Of a run whose start alone was seen.
_UNSEEN = {"lost": "lost right after its start", "running": "has begun"}

TONES = {
    "success": "good",
    "failure": "bad",
    "signal": "bad",
    "oom": "bad",
    "timeout": "bad",
    "cancelled": "warn",
    "lost": "warn",
    "running": "bold",
    "unknown": "bold",
}


def verdict(summary: Summary) -> str:
    """One sentence: how the run ended and after how long, then its most telling numbers.

    ``failed (exit 2) after 1 m 05 s — 1.93 of 2 cores, memory peak 812 MiB``
    """
    facts = [fact for fact in (_memory_death(summary), *_usage(summary), _pinch(summary)) if fact]
    return clean(f"{outcome(summary)} — {', '.join(facts)}" if facts else outcome(summary))


def tone(summary: Summary) -> str:
    """``good``, ``bad``, ``warn`` or ``bold``: how the verdict should look."""
    return (
        "warn"
        if summary.exit.reason == "success" and oom_kills(summary)
        else TONES.get(summary.exit.reason, "bold")
    )


def outcome(summary: Summary) -> str:
    """How the run ended and after how long."""
    end, took = summary.exit, roughly(summary.duration_seconds)
    if seen_seconds(summary) is None:
        return _UNSEEN[end.reason]
    maybe = "probably " if end.certainty == "probable" else ""
    code = "" if end.code is None else f" (exit {end.code})"
    match end.reason:
        case "success":
            return f"succeeded in {took}"
        case "failure":
            return f"{maybe}failed{code} after {took}"
        case "signal":
            return f"{maybe}killed by {_short(end.signal or 'a signal')}{code} after {took}"
        case "oom":
            return f"{maybe}killed for lack of memory after {took}"
        case "timeout":
            return f"{maybe}timed out{code} after {took}"
        case "cancelled":
            return f"{maybe}cancelled{code} after {took}"
        case "running":
            return f"still running after {took}"
        case "lost":
            return f"lost after {took}: the record stops without an end"
        case _:
            return f"ran {took}"


def cause(summary: Summary) -> str | None:
    """What is known of the cause of the end, and how well; None when there is nothing to add to the outcome."""
    end = summary.exit
    if not end.detail or end.reason == "success" or end.detail == killed_sentence(end.signal or ""):
        return None
    certainty = {"certain": " (certain)", "probable": " (probable)"}.get(end.certainty or "", "")
    return clean(end.detail).rstrip(".") + certainty


def oom_kills(summary: Summary) -> int:
    """Processes that the kernel killed for lack of memory, as far as it is known."""
    return sum(container.oom_kills or 0 for container in roots(summary))


def is_throttled(summary: Summary, container: ContainerSummary) -> bool:
    """Whether its CPU limit held it back for so much of the run that it explains how long that took."""
    seconds = max(summary.duration_seconds, BRIEF_SECONDS)
    return (container.throttled_seconds or 0) > _THROTTLED_SHARE * seconds


def oom_victim(
    summary: Summary,
) -> tuple[ContainerSummary | None, ProcessSummary | ProgramSummary | None]:
    """The container that ran out of memory, innermost first, and the largest process in it.

    A process that lived between two ticks is known by its program alone.
    """
    killed = [container for container in summary.containers if container.oom_kills]
    killed.sort(
        key=lambda container: (finite(container.memory_limit_bytes) is None, container.parent is None)
    )
    container = killed[0] if killed else None
    if container is None and len(summary.containers) == 1:
        container = summary.containers[0]
    processes = summary.top_mem_processes
    inside = [each for each in processes if container is None or each.container in (None, container.name)]
    programs = summary.programs if len(summary.containers) < 2 else []
    candidates: list[ProcessSummary | ProgramSummary] = [*inside, *programs]
    return container, max(candidates, key=lambda each: each.peak_memory_bytes or 0, default=None)


def _memory_death(summary: Summary) -> str | None:
    kills = oom_kills(summary)
    if summary.exit.reason != "oom":
        return f"{plural(kills, 'OOM kill')}" if kills else None
    container, process = oom_victim(summary)
    limit = finite(container.memory_limit_bytes) if container else None
    facts = [f"limit {size(limit)}" if limit is not None else "no memory limit found"]
    if container and len(summary.containers) > 1:
        facts[0] += f" of {_short(container.name)}"
    if process:
        peak = f" ({size(process.peak_memory_bytes)})" if process.peak_memory_bytes is not None else ""
        facts.append(f"largest process {_short(process.name)}{peak}")
    return ", ".join(facts)


def _short(name: str) -> str:
    return fit(clean(name), 32)


def _usage(summary: Summary) -> list[str]:
    if summary.exit.reason == "oom":
        return []
    if summary.sample_count and not summary.containers:
        return ["no container was seen"]
    facts = []
    used, total = average_cores(summary), total_cpu_seconds(summary)
    mark = doubt(summary)
    if total is not None and summary.duration_seconds < BRIEF_SECONDS:
        facts.append(f"{marked(roughly(total), mark)} of CPU time")
    elif used is not None:
        capacity = capacity_cores(summary)
        share = f" of {core_limit(capacity)}" if capacity else ""
        noun = "core" if capacity == 1 else "cores"
        facts.append(f"{marked(cores(used), mark)}{share} {noun}")
    container = largest(summary)
    peak = memory_peak(container) if container else None
    if container and peak:
        what = "largest process" if peak[0] == "largest process" else "memory peak"
        where = f" in {_short(container.name)}" if len(roots(summary)) > 1 else ""
        facts.append(f"{what} {size(peak[1])}{where}")
    return facts


def _pinch(summary: Summary) -> str | None:
    """What held the run back, if something did: a limit, or what its tasks had to wait for."""
    if summary.exit.reason == "oom":
        return None
    for container in summary.containers:
        limit = finite(container.cpu_limit_cores)
        if limit and is_throttled(summary, container):
            throttled = roughly(container.throttled_seconds or 0.0)
            return f"throttled {throttled} by its CPU limit of {core_limit(limit)}"
    fullest = max(summary.containers, key=_memory_share, default=None)
    if fullest and _memory_share(fullest) >= _MEMORY_SHARE:
        limit_text = byte_limit(fullest.memory_limit_bytes)
        return f"{format_percent(_memory_share(fullest))} of its limit of {limit_text}"
    wait = longest_wait(summary) if summary.duration_seconds >= BRIEF_SECONDS else None
    if wait and wait.share > _WAITED_SHARE:
        where = f" in {_short(wait.container.name)}" if len(summary.containers) > 1 else ""
        return f"waited for {wait.what} {format_percent(wait.share)} of the time{where}"
    return None


def _memory_share(container: ContainerSummary) -> float:
    limit, need = finite(container.memory_limit_bytes), memory_need_bytes(container)
    return need / limit if limit and need else 0.0
