"""What a sidecar can say of how a job ended: it sees no exit code, but OOM kills."""

from collections.abc import Sequence

from jobmeter.model.exits import Exit, OutOfMemory
from jobmeter.model.quantities import format_bytes
from jobmeter.model.summary import ContainerSummary, Summary

# A container that vanished with its charge this near its limit was probably killed for it.
_NEAR_LIMIT = 0.98
# Who held less than this share of the limit is not what ate the memory: that lived between two samples.
_NOTABLE = 0.1
# How the first process of a container is called while runc makes it: the job's own begins with its exec.
BEING_MADE = "runc:["


def out_of_memory(summary: Summary, *, certain: bool = True) -> OutOfMemory | None:
    """What the run's counters say of OOM kills; None when there was none."""
    hit = [one for one in summary.containers if one.oom_kills]
    if not hit:
        return None
    # A parent's counter includes those of the containers in it (v2), so the innermost one is named.
    worst = hit[-1]
    kills = sum(one.oom_kills or 0 for one in hit if one.parent is None) or (worst.oom_kills or 0)
    limit = worst.memory_limit_bytes if isinstance(worst.memory_limit_bytes, int) else 0
    biggest = biggest_process(summary, worst.name, at_least_bytes=int(_NOTABLE * limit))
    return OutOfMemory(kills, certain, limit=_limit(worst), biggest=biggest)


def memory_sufficed(summary: Summary) -> bool:
    """True where the kernel's count of OOM kills is known for the whole job, to its end, and is zero."""
    return bool(summary.containers) and all(one.oom_kills == 0 for one in summary.containers)


def collector_exit(summary: Summary, suspects: Sequence[str] = ()) -> Exit:
    """The exit of a job that was metered from beside: "oom" if the kernel says so or it is likely, else unknown.

    ``suspects`` are containers that ended when a process of the machine was killed for want of memory.
    """
    proven = out_of_memory(summary)
    if proven is not None:
        return Exit(reason="oom", detail=proven.sentence(), certainty="certain")
    for container in summary.containers:
        if container.name in suspects:
            limit_text = _limit(container)
            limit_said = f"; its memory limit is {limit_text}" if limit_text else ""
            detail = (
                f"{container.name} ended when the kernel killed a process for want of memory somewhere on this "
                f"machine: probably its own{limit_said}."
            )
            return Exit(reason="oom", detail=detail, certainty="probable")
    for container in summary.containers:
        limit, peak = container.memory_limit_bytes, container.memory_charged_peak_bytes
        working_set = container.memory_working_set_peak_bytes
        near = isinstance(limit, int) and working_set is not None and working_set >= _NEAR_LIMIT * limit
        if near and peak is not None and isinstance(limit, int) and peak >= _NEAR_LIMIT * limit:
            detail = f"{container.name} used its whole memory limit of {format_bytes(limit)}; no OOM kill was seen."
            return Exit(reason="unknown", detail=detail, certainty="probable")
    return Exit()


def biggest_process(summary: Summary, container: str | None = None, at_least_bytes: int = 0) -> str | None:
    """The process of a container that held the most memory, with how much."""
    for process in summary.top_mem_processes:
        if process.name.startswith(BEING_MADE):
            continue
        held = process.peak_memory_bytes or 0
        if (container is None or process.container == container) and held >= at_least_bytes:
            return f"{process.name} with {format_bytes(process.peak_memory_bytes or 0)}"
    return None


def _limit(container: ContainerSummary) -> str | None:
    limit = container.memory_limit_bytes
    return format_bytes(limit) if isinstance(limit, int) else None
