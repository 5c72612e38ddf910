"""What a keeper leaves in its launch's folder: that it is there, and how the runner ended."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from jobmeter.model.exits import Survivor

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
    died of it is known to who knows its last report. ``survivors`` still ran when the runner had ended, and were
    ended. ``detail`` is one sentence with the numbers, for the job's log.
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
    survivors: tuple[Survivor, ...] = ()
    run_uid: str | None = None
