"""What a host's exporter knows of one container: the kernel's own counters and gauges, as they were read last."""

from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from jobmeter.model.sample import ByteLimit, Limit


class Interface(NamedTuple):
    """One network interface: counters of bytes and packets both ways (netdevice statistics, /proc/PID/net/dev).

    None for what the system does not count: Windows no errors.
    """

    name: str
    received_bytes: int
    received_packets: int
    received_errors: int | None
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int | None
    sent_dropped: int


class DeviceCount(NamedTuple):
    """What was read from and written to one block device, which is told as the kernel does: ``8:0``."""

    device: str
    read: int
    written: int


class Filesystem(NamedTuple):
    """One file system on a block device: how large it is, and how much of it is used."""

    device: str
    size_bytes: int
    used_bytes: int


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
    # Read only where someone wants each of them.
    interfaces: Annotated[tuple[Interface, ...] | None, Meta(description="All but the loopback.")] = None
    io_bytes_by_device: tuple[DeviceCount, ...] | None = None
    io_operations_by_device: tuple[DeviceCount, ...] | None = None
    process_count: Annotated[int | None, Meta(description="Processes of its own cgroup.")] = None
    memory_private_working_set_bytes: Annotated[int | None, Meta(description="Told by Windows alone.")] = None
    filesystems: Annotated[tuple[Filesystem, ...], Meta(description="Of the whole machine only.")] = ()

    @property
    def memory_working_set_bytes(self) -> int | None:
        """What cannot be taken back without effort: the usage without file pages that were not used lately.

        On Windows the private working set.
        """
        if self.memory_private_working_set_bytes is not None:
            return self.memory_private_working_set_bytes
        if self.memory_usage_bytes is None or self.memory_inactive_file_bytes is None:
            return None
        return max(0, self.memory_usage_bytes - self.memory_inactive_file_bytes)


class Spec(Struct, frozen=True, kw_only=True):
    """What is set on the cgroup itself, whatever binds above it; None where it could not be read.

    ``cpu_shares`` are those of cgroup v1, 2 to 262144. ``memory_swap_limit_bytes`` is a limit of swap on v2, of memory
    and swap together on v1; ``memory_reservation_bytes`` is what is protected on v2, a soft limit on v1.
    """

    cpu_shares: int | None = None
    cpu_period_microseconds: int | None = None
    cpu_quota_microseconds: ByteLimit = None
    memory_limit_bytes: ByteLimit = None
    memory_reservation_bytes: ByteLimit = None
    memory_swap_limit_bytes: ByteLimit = None


class Bounds(Struct, frozen=True, kw_only=True):
    """The limits of a container; None where they could not be read. ``spec`` is there only where it is wanted."""

    cpu_cores: Limit = None
    memory_bytes: ByteLimit = None
    processes: ByteLimit = None
    spec: Spec | None = None
