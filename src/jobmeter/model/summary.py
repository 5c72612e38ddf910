"""The summary of a run: schema "jobmeter.summary/1", the contract of every stored byte.

Every field carries its unit, its source and its meaning; the reference page, the JSON Schema and
later the OpenAPI document are generated from here. What is unknown is null, never 0; no limit is
"unlimited".
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from jobmeter.model.exits import Exit, Survivor
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ByteLimit, CpuSource, Limit, MemorySource, Pressure
from jobmeter.model.statistics import Statistic

SCHEMA: Literal["jobmeter.summary/1"] = "jobmeter.summary/1"


def _meta(description: str, unit: str | None = None, source: str | None = None) -> Meta:
    """One row of the field table."""
    about = {"unit": unit, "source": source}
    return Meta(description=description, extra={key: text for key, text in about.items() if text})


class ContainerSummary(Struct, kw_only=True):
    """One container of the job; a parent's numbers include those of the containers nested in it."""

    name: Annotated[str, _meta("What the process map, the engine or the cgroup path calls it.")]
    id: Annotated[str | None, _meta("The engine's id; null where there is no engine.")] = None
    parent: Annotated[
        str | None, _meta("The id (or name) of the container it is nested in; null at the top.")
    ] = None
    cpu_cores: Annotated[
        Statistic,
        _meta("CPU use: 2.0 is two full cores; avg is cpu_seconds / duration.", "cores", "cpu_source"),
    ] = Statistic()
    memory_bytes: Annotated[
        Statistic, _meta("Memory in use, as memory_source says.", "bytes", "memory_source")
    ] = Statistic()
    cpu_seconds: Annotated[float | None, _meta("CPU time within the run.", "seconds", "cpu_source")] = None
    cpu_user_seconds: Annotated[
        float | None, _meta("The part of it in user space.", "seconds", "cpu_source")
    ] = None
    cpu_system_seconds: Annotated[
        float | None, _meta("The part of it in the kernel.", "seconds", "cpu_source")
    ] = None
    cpu_source: Annotated[
        CpuSource | None,
        _meta("Whose account the CPU time is: the container's cgroup, exit records of its tasks, or /proc."),
    ] = None
    memory_source: Annotated[
        MemorySource | None,
        _meta(
            "working_set: memory.current - inactive_file of the cgroup; rss: sum over processes, shared pages "
            "counted repeatedly."
        ),
    ] = None
    rss_bytes: Annotated[
        Statistic, _meta("Sum of the resident set sizes of its processes.", "bytes", "/proc/PID/stat")
    ] = Statistic()
    memory_working_set_peak_bytes: Annotated[
        int | None, _meta("The highest working set at a tick.", "bytes", "memory.current, memory.stat")
    ] = None
    memory_high_water_bytes: Annotated[
        int | None,
        _meta(
            "The largest resident set one process ever had, also between two ticks.",
            "bytes",
            "ru_maxrss, VmHWM, exit records",
        ),
    ] = None
    memory_charged_peak_bytes: Annotated[
        int | None,
        _meta(
            "The kernel's own peak of what it charged: page cache is in it, shared pages charged elsewhere are not: "
            "never a need; null where it may be from before the run, or could not be read to the end.",
            "bytes",
            "memory.peak, memory.max_usage_in_bytes",
        ),
    ] = None
    cpu_limit_cores: Annotated[
        Limit,
        _meta("The lowest CPU limit that binds it.", "cores", "cpu.max, cpu.cfs_quota_us, CGROUP_LIMITS"),
    ] = None
    memory_limit_bytes: Annotated[
        ByteLimit,
        _meta(
            "The lowest memory limit that binds it.",
            "bytes",
            "memory.max, memory.limit_in_bytes, CGROUP_LIMITS",
        ),
    ] = None
    cpu_request_cores: Annotated[
        float | None, _meta("The CPU request, if told.", "cores", "CGROUP_LIMITS")
    ] = None
    memory_request_bytes: Annotated[
        int | None, _meta("The memory request, if told.", "bytes", "CGROUP_LIMITS")
    ] = None
    throttled_seconds: Annotated[
        float | None,
        _meta("Time in which the CPU limit held it back, summed over CPUs.", "seconds", "cpu.stat"),
    ] = None
    oom_kills: Annotated[
        int | None,
        _meta("Processes the kernel killed for want of memory.", None, "memory.events, memory.oom_control"),
    ] = None
    pressure: Annotated[
        Pressure | None,
        _meta(
            "Time in which tasks waited for CPU, memory or I/O.",
            "seconds",
            "cpu.pressure, memory.pressure, io.pressure",
        ),
    ] = None
    io_read_bytes: Annotated[
        int | None, _meta("Read from block devices.", "bytes", "io.stat, rusage, exit records")
    ] = None
    io_write_bytes: Annotated[
        int | None, _meta("Written to block devices.", "bytes", "io.stat, rusage, exit records")
    ] = None
    network_rx_bytes: Annotated[
        int | None,
        _meta(
            "Received; null when the network namespace is shared with anything else.",
            "bytes",
            "/proc/PID/net/dev",
        ),
    ] = None
    network_tx_bytes: Annotated[
        int | None,
        _meta(
            "Sent; null when the network namespace is shared with anything else.",
            "bytes",
            "/proc/PID/net/dev",
        ),
    ] = None
    pids_peak: Annotated[int | None, _meta("Most tasks at one time.", None, "pids.peak, /proc/PID/stat")] = (
        None
    )


class ProcessSummary(Struct, kw_only=True):
    """One process of a top list. Its command line is not stored: secrets live there."""

    pid: Annotated[int, _meta("Its id as the meter saw it.")]
    name: Annotated[str, _meta("Its name (comm) when last seen.", None, "/proc/PID/stat")]
    container: Annotated[str | None, _meta("The name of its container.")] = None
    peak_cpu_percent: Annotated[float | None, _meta("Highest CPU use; 100 is one core.", "percent")] = None
    cpu_seconds: Annotated[
        float | None, _meta("Its own CPU time within the run, without children.", "seconds")
    ] = None
    peak_memory_bytes: Annotated[int | None, _meta("Its largest resident set.", "bytes", "VmHWM, VmRSS")] = (
        None
    )


class ProgramSummary(Struct, kw_only=True):
    """All processes of one name: a build is many short ones."""

    name: Annotated[str, _meta("The name (comm).")]
    count: Annotated[int, _meta("How many were seen.")]
    cpu_seconds: Annotated[float | None, _meta("Their CPU time, without children.", "seconds")] = None
    peak_memory_bytes: Annotated[int | None, _meta("The largest resident set of one of them.", "bytes")] = (
        None
    )


class Section(Struct, kw_only=True):
    """The run between two marks."""

    name: Annotated[str, _meta('The mark it began with; "start" before the first mark.')]
    start_time: Annotated[str, _meta("RFC 3339, UTC.")]
    end_time: Annotated[str, _meta("RFC 3339, UTC.")]
    cpu_seconds: Annotated[float | None, _meta("CPU time of all containers.", "seconds")] = None
    memory_working_set_peak_bytes: Annotated[
        int | None, _meta("Highest memory of all containers at a tick.", "bytes")
    ] = None


class CollectorSummary(Struct, kw_only=True):
    """The meter, metered. Its own use is not in the job's numbers."""

    version: Annotated[str | None, _meta("Release of jobmeter.")] = None
    interval_seconds: Annotated[float | None, _meta("Time between two ticks.", "seconds")] = None
    late_ticks: Annotated[int, _meta("Ticks that came over a tenth of the interval late, or not at all.")] = 0
    read_errors: Annotated[int, _meta("Reads that failed although the thing read was there.")] = 0
    cpu_seconds: Annotated[float | None, _meta("CPU time of the meter itself.", "seconds")] = None
    peak_memory_bytes: Annotated[int | None, _meta("Largest resident set of the meter itself.", "bytes")] = (
        None
    )


class Summary(Struct, kw_only=True):
    """What one run used. Contract: schema "jobmeter.summary/1"."""

    schema: Annotated[Literal["jobmeter.summary/1"], _meta("Name and version of this contract.")] = SCHEMA
    run_uid: Annotated[str, _meta("The run's key, a UUID of version 7.")]
    job: Annotated[Job, _meta("Which job of which forge it was; null where not known.")] = Job()
    start_time: Annotated[str, _meta("RFC 3339, UTC, milliseconds.")]
    end_time: Annotated[str, _meta("RFC 3339, UTC, milliseconds.")]
    duration_seconds: Annotated[float, _meta("end_time - start_time on the monotonic clock.", "seconds")]
    sample_count: Annotated[int, _meta("Ticks that were read.")]
    cpu_total_percent: Annotated[
        Statistic, _meta("CPU use of the whole machine, 0 to 100.", "percent", "/proc/stat")
    ] = Statistic()
    mem_used_bytes: Annotated[
        Statistic, _meta("MemTotal - MemAvailable of the whole machine.", "bytes", "/proc/meminfo")
    ] = Statistic()
    mem_used_percent: Annotated[
        Statistic, _meta("The same as a share of MemTotal.", "percent", "/proc/meminfo")
    ] = Statistic()
    cpu_seconds: Annotated[
        float | None,
        _meta(
            "CPU time attributed to the containers at the top; the job's total is this + unattributed_cpu_seconds.",
            "seconds",
        ),
    ] = None
    unattributed_cpu_seconds: Annotated[
        float | None, _meta("CPU time of the job that belongs to no container that can be named.", "seconds")
    ] = None
    cpu_complete: Annotated[
        bool, _meta("False: CPU time may have been missed; a lower bound, or by exit records an estimate.")
    ] = True
    containers: Annotated[list[ContainerSummary], _meta("The containers of the job; `run` has one.")] = field(
        default_factory=list
    )
    top_cpu_processes: Annotated[list[ProcessSummary], _meta("By peak_cpu_percent, descending.")] = field(
        default_factory=list
    )
    top_mem_processes: Annotated[list[ProcessSummary], _meta("By peak_memory_bytes, descending.")] = field(
        default_factory=list
    )
    programs: Annotated[list[ProgramSummary], _meta("By cpu_seconds, descending.")] = field(
        default_factory=list
    )
    sections: Annotated[list[Section], _meta("The run cut at its marks; empty without marks.")] = field(
        default_factory=list
    )
    survivors: Annotated[list[Survivor], _meta("Processes still running when the command had ended.")] = (
        field(default_factory=list)
    )
    warnings: Annotated[list[str], _meta("What could not be metered, one sentence each.")] = field(
        default_factory=list
    )
    exit: Annotated[Exit, _meta("How the job ended.")] = Exit()
    host: Annotated[Host, _meta("The machine.")] = Host()
    devices: Annotated[list[dict[str, Any]], _meta("Reserved for GPUs.")] = field(default_factory=list)
    collector: Annotated[CollectorSummary, _meta("The meter, metered.")] = field(
        default_factory=CollectorSummary
    )


def encode(summary: Summary) -> bytes:
    """The summary as one JSON object, indented for people, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def decode(text: bytes) -> Summary:
    """The summary of JSON text; raises msgspec.DecodeError with the field's path."""
    return msgspec.json.decode(text, type=Summary)
