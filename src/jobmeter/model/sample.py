"""What is read at one tick: counters and gauges as the kernel gives them, nothing derived.

A counter only grows while its owner lives; a field that could not be read is None and is left out
of the stored form. Rates are made from two samples on reading (jobmeter.model.rates).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

# Words, not enumerations: a reader of version 1 must be able to read one that a later release adds.
CpuSource = str  # "cgroup", "exit_records", "proc"
MemorySource = str  # "working_set", "rss"
Limit = float | Literal["unlimited"] | None
ByteLimit = int | Literal["unlimited"] | None


class Stall(Struct, frozen=True):
    """Pressure stall totals of one resource (Documentation/accounting/psi.rst), counters in seconds."""

    some_seconds: Annotated[float | None, Meta(description="Time in which at least one task waited.")] = None
    full_seconds: Annotated[
        float | None, Meta(description="Time in which all tasks that had work waited.")
    ] = None


class Pressure(Struct, frozen=True):
    """Pressure stall totals of the three resources; None where the kernel keeps none."""

    cpu: Annotated[Stall | None, Meta(description="Waiting for a CPU.")] = None
    memory: Annotated[Stall | None, Meta(description="Waiting for memory.")] = None
    io: Annotated[Stall | None, Meta(description="Waiting for a disk.")] = None


class HostSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole machine: CPU counters of /proc/stat in seconds, memory of /proc/meminfo in bytes."""

    busy_seconds: float | None = None
    idle_seconds: float | None = None
    steal_seconds: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None


class ContainerSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container at one tick; ``key`` names a declared ContainerInfo.

    Counters: ``cpu_*``, ``throttled_seconds``, ``oom_kills``, ``pressure``, ``io_*``, ``network_*``.
    ``memory_bytes`` is the working set or the sum of RSS, as ``memory_source`` says.
    ``high_water_bytes`` and the ``*_peak*`` fields are the kernel's own maxima up to this tick.
    """

    key: str
    cpu_source: CpuSource | None = None
    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    memory_source: MemorySource | None = None
    memory_bytes: int | None = None
    rss_bytes: int | None = None
    high_water_bytes: int | None = None
    charged_peak_bytes: int | None = None
    throttled_seconds: float | None = None
    oom_kills: int | None = None
    pressure: Pressure | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    pids: int | None = None
    pids_peak: int | None = None


class ProcessSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One busy or large process at one tick; (pid, start_seconds) is its identity.

    ``cpu_seconds`` is its own time within the run, without children. ``recent_cpu_seconds`` of
    them fell into the last ``recent_seconds``. Command lines are never read.
    """

    pid: int
    start_seconds: float
    name: str
    container: str | None = None
    cpu_seconds: float = 0.0
    recent_cpu_seconds: float = 0.0
    recent_seconds: float = 0.0
    rss_bytes: int | None = None
    high_water_bytes: int | None = None


class ProgramSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Processes of one name that ended since the last tick."""

    name: str
    count: int
    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None


class MeterSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What metering itself has cost and missed so far; ``peak_memory_bytes`` is its own VmHWM."""

    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    read_errors: int = 0
    late_ticks: int = 0


class ContainerInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a container is called and what it was given.

    ``key`` is stable within a run, also across a restart of the collector. ``parent`` is the key of
    the container it is nested in. ``began`` says that its counters started at zero within the run,
    so that their first reading counts in full; declared again with ``began``, they started anew.
    """

    key: str
    name: str
    id: str | None = None
    parent: str | None = None
    cgroup: str | None = None
    began: bool = False
    cpu_limit_cores: Limit = None
    memory_limit_bytes: ByteLimit = None
    cpu_request_cores: float | None = None
    memory_request_bytes: int | None = None


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything read at one tick. Times are seconds of the monotonic clock since the run's start.

    ``unattributed_cpu_seconds`` is a counter of CPU time that belongs to the job but to no container
    that can be named; ``cpu_complete`` is False once CPU time may have been missed for good. Both are
    always written: that one is absent must not mean that nothing is missing.
    ``devices`` is reserved for GPUs.
    """

    elapsed_seconds: float
    due_seconds: float
    host: HostSample = HostSample()
    containers: tuple[ContainerSample, ...] = ()
    processes: tuple[ProcessSample, ...] = ()
    programs: tuple[ProgramSample, ...] = ()
    unattributed_cpu_seconds: float | None
    cpu_complete: bool
    devices: tuple[dict[str, Any], ...] = ()
    meter: MeterSample = MeterSample()
