"""What every format of a report has to work out from a summary: totals, headlines, and words for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from jobmeter.model.quantities import format_bytes, format_cores, format_duration
from jobmeter.model.sample import ByteLimit, Limit, Pressure
from jobmeter.model.statistics import STATISTIC_DIGITS
from jobmeter.model.summarize import is_only_begun
from jobmeter.model.summary import ContainerSummary, Section, Summary
from jobmeter.model.timeline import ContainerTrack, Timeline

# A run shorter than this has too few samples for averages of cores to mean anything.
BRIEF_SECONDS = 0.5
# Before a number that may lack something, and before one that exit records estimate.
LOWER_BOUND, ESTIMATE = "≥ ", "≈ "

SOURCE_WORDS = {
    "cgroup": "cgroup",
    "exit_records": "exit records",
    "proc": "/proc",
    "working_set": "working set",
    "rss": "RSS sum",
}


def seen_seconds(summary: Summary) -> float | None:
    """How long the run took, as far as it was seen; None of one whose start alone was seen."""
    begun = is_only_begun(summary.sample_count, summary.duration_seconds)
    return None if begun and summary.exit.reason in ("lost", "running") else summary.duration_seconds


def total_cpu_seconds(summary: Summary) -> float | None:
    """CPU time of the job: what containers account for and what could not be given to one."""
    rest = summary.unattributed_cpu_seconds or None
    # That nothing is left over says nothing of a job whose containers were not seen.
    return rest if summary.cpu_seconds is None else summary.cpu_seconds + (rest or 0.0)


def average_cores(summary: Summary) -> float | None:
    """CPU time of the job over its duration, rounded as the statistics of a summary are."""
    total = total_cpu_seconds(summary)
    if total is None or summary.duration_seconds <= 0:
        return None
    return round(total / summary.duration_seconds, STATISTIC_DIGITS)


def finite(limit: Limit | ByteLimit) -> float | None:
    """The limit as a number; None when it is unlimited or not known."""
    return None if limit is None or isinstance(limit, str) else limit


def capacity_cores(summary: Summary) -> float | None:
    """The cores the job could have used: its containers' limits where all have one, else the machine's."""
    cpus = summary.host.cpus
    limits = [finite(container.cpu_limit_cores) for container in roots(summary)]
    known = [limit for limit in limits if limit is not None]
    if not known or len(known) < len(limits):
        return cpus
    return min(sum(known), cpus) if cpus else sum(known)


def roots(summary: Summary) -> list[ContainerSummary]:
    """The containers that are nested in no other; their numbers include the nested ones."""
    return [container for depth, container in tree(summary.containers) if depth == 0]


def tree(containers: Sequence[ContainerSummary]) -> list[tuple[int, ContainerSummary]]:
    """Every container once with its depth, the busiest first, each below the one it is nested in."""
    labels = _labels(containers)
    children: dict[int | None, list[int]] = {}
    for index in sorted(range(len(containers)), key=lambda each: -(containers[each].cpu_seconds or 0)):
        children.setdefault(_parent(labels, index, containers[index].parent), []).append(index)
    order: list[tuple[int, ContainerSummary]] = []
    seen: set[int] = set()
    # Whatever a circle of parents hides from the top is listed at the top itself.
    waiting = [(0, index) for index in reversed((*children.get(None, ()), *range(len(containers))))]
    while waiting:
        depth, index = waiting.pop()
        if index not in seen:
            seen.add(index)
            order.append((depth, containers[index]))
            waiting += ((depth + 1, child) for child in reversed(children.get(index, ())))
    return order


def _labels(containers: Sequence[ContainerSummary]) -> dict[str | None, list[int]]:
    """The first two containers of each id and name: one that names itself as its parent means the other."""
    labels: dict[str | None, list[int]] = {}
    for index, container in enumerate(containers):
        for label in {container.id, container.name}:
            found = labels.setdefault(label, [])
            if len(found) < 2:
                found.append(index)
    return labels


def _parent(labels: Mapping[str | None, Sequence[int]], index: int, parent: str | None) -> int | None:
    if parent is None:
        return None
    return next((other for other in labels.get(parent, ()) if other != index), None)


def distinct_names(containers: Sequence[ContainerSummary] | Sequence[ContainerTrack]) -> list[str]:
    """The containers' names; the second of one name is called ``name (2)``."""
    names: list[str] = []
    for container in containers:
        name, number = container.name, 1
        while name in names:
            number += 1
            name = f"{container.name} ({number})"
        names.append(name)
    return names


def tracks(summary: Summary, timeline: Timeline) -> list[tuple[ContainerTrack, ContainerSummary | None]]:
    """The tracks in the order of ``tree``, each with its container; tracks without one come last."""
    known = [_to_the_end(track) for track in timeline.containers]
    by_name = dict(zip(distinct_names(known), known, strict=True))
    pairs: list[tuple[ContainerTrack, ContainerSummary | None]] = []
    ordered = [container for _, container in tree(summary.containers)]
    for name, container in zip(distinct_names(ordered), ordered, strict=True):
        if name in by_name:
            pairs.append((by_name.pop(name), container))
    return pairs + [(track, None) for track in by_name.values()]


def _to_the_end(track: ContainerTrack) -> ContainerTrack:
    """The track with memory in its last point too.

    The last sample is taken when no process is left that has any, so in its time it was read at the beginning alone.
    """
    memory = track.memory_bytes
    if len(memory) < 2 or memory[-1] is not None or memory[-2] is None:
        return track
    return replace(track, memory_bytes=[*memory[:-1], memory[-2]])


def memory_peak(container: ContainerSummary) -> tuple[str, float] | None:
    """The memory the container needed at most, and what that is; None when nothing was read.

    The highest of what ticks saw and of what one process held, also between two ticks: the need
    is not below either.
    """
    found = [
        (SOURCE_WORDS.get(container.memory_source or "", "memory"), container.memory_bytes.peak),
        ("largest process", container.memory_high_water_bytes),
    ]
    known = [(what, peak) for what, peak in found if peak is not None]
    if known:
        return max(known, key=lambda one: one[1])
    if container.memory_charged_peak_bytes is not None:
        return "charged with page cache", container.memory_charged_peak_bytes
    return None


def largest(summary: Summary) -> ContainerSummary | None:
    """The container at the top with the highest memory peak."""
    known = [container for container in roots(summary) if memory_peak(container)]
    return max(known, key=lambda container: (memory_peak(container) or ("", 0.0))[1], default=None)


class Wait(NamedTuple):
    """What tasks of a container waited for, for how long, and the share of the run's time."""

    what: str
    seconds: float
    share: float
    container: ContainerSummary


def longest_wait(summary: Summary) -> Wait | None:
    """What some task waited for longest; None where the kernel told of no waiting."""
    waits = []
    for container in summary.containers if summary.duration_seconds > 0 else ():
        pressure = container.pressure or Pressure()
        for what, stall in (("CPU", pressure.cpu), ("memory", pressure.memory), ("I/O", pressure.io)):
            seconds = stall.some_seconds if stall else None
            if seconds:
                share = min(1.0, seconds / summary.duration_seconds)
                waits.append(Wait(what, seconds, share, container))
    return max(waits, key=lambda wait: wait.seconds, default=None)


def doubt(summary: Summary, container: ContainerSummary | None = None) -> str:
    """The mark before the CPU time of a container, or of the job; empty where nothing is amiss.

    Only /proc misses something where sources are mixed; exit records are close to either side.
    """
    if summary.cpu_complete:
        return ""
    sources = {each.cpu_source for each in summary.containers}
    if container is None:
        return ESTIMATE if "exit_records" in sources and "proc" not in sources else LOWER_BOUND
    if container.cpu_source == "exit_records":
        return ESTIMATE
    return "" if container.cpu_source == "cgroup" and sources & {"proc", "exit_records"} else LOWER_BOUND


def marked(text: str, mark: str) -> str:
    """The number with its mark, if there is a number."""
    return mark + text if text else text


def section_seconds(section: Section) -> float | None:
    """How long a section took; None when its times cannot be read."""
    try:
        begin, end = datetime.fromisoformat(section.start_time), datetime.fromisoformat(section.end_time)
        return (end - begin).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def moment(time: str) -> str:
    """``2026-11-21 12:00:00 UTC`` from a time in RFC 3339."""
    day, _, clock = time.partition("T")
    return f"{day} {clock.split('.')[0].rstrip('Z')} UTC" if clock else time


def cores(value: float | None) -> str:
    """``1.93``; nothing for None."""
    return "" if value is None else format_cores(value)


def size(value: float | None) -> str:
    """``812 MiB``; nothing for None."""
    return "" if value is None else format_bytes(value)


def duration(value: float | None) -> str:
    """``12.3 s``; nothing for None."""
    return "" if value is None else format_duration(value)


def roughly(seconds: float) -> str:
    """A duration for a sentence: ``12 s`` for what ``duration`` calls ``12.0 s``."""
    return format_duration(seconds).replace(".0 s", " s")


def core_limit(limit: Limit) -> str:
    """``2``, ``0.5`` or ``none``; nothing when the limit is not known."""
    if isinstance(limit, str):
        return "none"
    return "" if limit is None else f"{limit:.2f}".rstrip("0").rstrip(".")


def byte_limit(limit: ByteLimit) -> str:
    """``4 GiB`` or ``none``; nothing when the limit is not known."""
    return "none" if isinstance(limit, str) else size(limit)
