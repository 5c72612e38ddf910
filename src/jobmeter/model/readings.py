"""What the readers of jobmeter.linux hand up: the kernel's words in our units."""

from typing import NamedTuple

from msgspec import Struct

from jobmeter.model.sample import ByteLimit, Limit, Pressure


class ProcessReading(NamedTuple):
    """One line of /proc/PID/stat (proc_pid_stat(5)); times in seconds, memory in bytes.

    (``pid``, ``start_seconds``) is the identity of a process; ``start_seconds`` counts from boot.
    ``reaped_*`` is the time of children that were waited for (cutime, cstime).
    """

    pid: int
    name: str
    state: str
    parent_pid: int
    faults: int
    user_seconds: float
    system_seconds: float
    reaped_user_seconds: float
    reaped_system_seconds: float
    threads: int
    start_seconds: float
    rss_bytes: int

    @property
    def own_seconds(self) -> float:
        """CPU time of its own threads, those that ended included."""
        return self.user_seconds + self.system_seconds

    @property
    def reaped_seconds(self) -> float:
        """CPU time of the children it waited for."""
        return self.reaped_user_seconds + self.reaped_system_seconds


class ExitRecord(NamedTuple):
    """One task's account at its exit (Documentation/accounting/taskstats.rst).

    User and system time are estimates; ``certain_seconds`` is a lower bound of their sum.
    ``last_of_group`` marks the last thread of process ``tgid``, whose life lasted ``lifetime_seconds``.
    ``high_water_bytes`` is of the whole address space, the I/O counters are of the task.
    """

    pid: int
    tgid: int
    parent_pid: int
    name: str
    user_seconds: float
    system_seconds: float
    certain_seconds: float
    high_water_bytes: int
    read_bytes: int
    write_bytes: int
    lifetime_seconds: float
    last_of_group: bool


class CgroupReading(Struct, frozen=True, kw_only=True):
    """One cgroup at one tick; None for what its hierarchy does not have."""

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    throttled_seconds: float | None = None
    memory_current_bytes: int | None = None
    memory_inactive_file_bytes: int | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None
    pressure: Pressure | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    pids: int | None = None
    pids_peak: int | None = None


class CgroupLimits(Struct, frozen=True, kw_only=True):
    """The limits that bind a cgroup: the lowest of its own and its visible ancestors'."""

    cpu_cores: Limit = None
    memory_bytes: ByteLimit = None
