"""What a host's exporter knows of one container: the kernel's own counters and gauges, as they were read last."""

from typing import Annotated

from msgspec import Meta, Struct

from jobmeter.model.sample import ByteLimit, Limit


class Account(Struct, frozen=True, kw_only=True):
    """Counters in seconds, bytes and pieces since the cgroup was made, and gauges; None for what could not be read.

    Names that cgroup v1 and v2 share have one meaning (cgroup-v1/memory.rst, cgroup-v2.rst).
    """

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cpu_periods: Annotated[int | None, Meta(description="Periods in which a CPU limit was enforced.")] = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_seconds: float | None = None
    memory_usage_bytes: int | None = None
    memory_inactive_file_bytes: int | None = None
    memory_anon_bytes: int | None = None
    memory_file_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_charged_peak_bytes: int | None = None
    memory_limit_hits: Annotated[int | None, Meta(description="Times when the limit was met.")] = None
    oom_kills: int | None = None
    cpu_waiting_seconds: float | None = None
    cpu_stalled_seconds: float | None = None
    memory_waiting_seconds: float | None = None
    memory_stalled_seconds: float | None = None
    io_waiting_seconds: float | None = None
    io_stalled_seconds: float | None = None
    io_read_bytes: int | None = None
    io_written_bytes: int | None = None
    io_reads: int | None = None
    io_writes: int | None = None
    processes: Annotated[int | None, Meta(description="Tasks: pids.current counts threads too.")] = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None

    @property
    def memory_working_set_bytes(self) -> int | None:
        """What cannot be taken back without effort: the usage without file pages that were not used lately."""
        if self.memory_usage_bytes is None or self.memory_inactive_file_bytes is None:
            return None
        return max(0, self.memory_usage_bytes - self.memory_inactive_file_bytes)


class Bounds(Struct, frozen=True, kw_only=True):
    """The limits of a container; None where they could not be read."""

    cpu_cores: Limit = None
    memory_bytes: ByteLimit = None
    processes: ByteLimit = None
