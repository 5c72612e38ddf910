"""What a keeper leaves in its launch's folder: that it is there, and how the runner ended."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from jobmeter.model.exits import Survivor
from jobmeter.model.quantities import format_bytes, format_duration

Reason = Literal["exit", "signal", "oom", "timeout", "stopped", "not_started"]


class Kept(Struct, frozen=True, kw_only=True):
    """A keeper at work, as `keeper.json` has it before its runner is started.

    ``pid`` and ``start_ticks`` (clock ticks since boot) are the keeper's; ``cgroups`` are the directories of the
    task's cgroup by controller ("" is the unified hierarchy); ``started_at`` is seconds since the epoch.
    """

    pid: int
    start_ticks: int
    name: str
    cgroups: Mapping[str, str]
    run_uid: str
    started_at: float


class Ended(Struct, frozen=True, kw_only=True):
    """How the runner ended, as `ended.json` has it; by then nothing of the task runs any more.

    ``at`` is seconds since the epoch. What could not be read, or was not limited, is None. ``code`` is the exit code
    as a shell sees it. A job that outlived an OOM kill has ``oom_kills`` and another reason than "oom": whether it
    died of it is known to who knows its last report. ``forks_refused`` counts forks that failed by a limit.
    ``survivors`` still ran when the runner had ended, and were ended. ``detail`` is one sentence with the numbers, for
    the job's log.
    """

    reason: Reason
    detail: str
    at: float
    code: int | None = None
    signal: str | None = None
    duration_seconds: float = 0.0
    cpu_seconds: float | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None
    pids_peak: int | None = None
    pids_limit: int | None = None
    forks_refused: int | None = None
    survivors: tuple[Survivor, ...] = ()
    run_uid: str | None = None


def detail_of(ended: Ended, timeout_seconds: float | None = None) -> str:
    """One sentence on why a runner that was started ended, with what it had used by then."""
    after = f"after {format_duration(ended.duration_seconds)}"
    by = f"by {ended.signal}" if ended.signal is not None else f"with exit code {ended.code}"
    killed = _killed_for_memory(ended.oom_kills or 1, ended.memory_limit_bytes)
    cause = {
        "exit": f"{_crowded(ended)} runner ended {by} {after}",
        "signal": f"{_crowded(ended)} runner was killed {by} {after}",
        "oom": f"{killed}, and the runner ended {by} {after}",
        "timeout": f"The job was ended {after}, its time limit is {format_duration(timeout_seconds or 0.0)}",
        "stopped": f"The runner was stopped {after}",
    }
    return f"{cause[ended.reason]}; {_used(ended.cpu_seconds, ended.memory_peak_bytes)}."


def of_want(ended: Ended) -> str | None:
    """One sentence where the kernel killed processes of the job for want of memory; else None.

    For a runner that ended by itself, but before its job had a result.
    """
    if not ended.oom_kills:
        return None
    after = f"and the runner ended after {format_duration(ended.duration_seconds)}"
    killed = _killed_for_memory(ended.oom_kills, ended.memory_limit_bytes)
    return f"{killed}, {after}; {_used(ended.cpu_seconds, ended.memory_peak_bytes)}."


def of_want_so_far(kills: int, limit_bytes: int | None, peak_bytes: int | None) -> str:
    """One sentence on processes of a job that goes on, so many of which the kernel killed for want of memory."""
    used = f"; it has used at most {format_bytes(peak_bytes)} of memory" if peak_bytes is not None else ""
    return f"{_killed_for_memory(kills, limit_bytes)}{used}."


def _crowded(ended: Ended) -> str:
    """How a sentence on the runner begins: with what its job had reached, if it had."""
    if not ended.forks_refused:
        return "The"
    limit = f"its limit of {ended.pids_limit}" if ended.pids_limit is not None else "a limit of"
    return f"The job had reached {limit} processes and threads, and the"


def _killed_for_memory(kills: int, limit_bytes: int | None) -> str:
    what = "a process" if kills == 1 else f"{kills} processes"
    limit = f", whose limit is {format_bytes(limit_bytes)}" if limit_bytes is not None else ""
    return f"The kernel killed {what} of the job for want of memory{limit}"


def _used(cpu_seconds: float | None, memory_peak_bytes: int | None) -> str:
    cpu = f"{format_duration(cpu_seconds)} of CPU time" if cpu_seconds is not None else None
    memory = f"at most {format_bytes(memory_peak_bytes)} of memory" if memory_peak_bytes is not None else None
    return "it had used " + (" and ".join(one for one in (cpu, memory) if one) or "what nobody could read")
