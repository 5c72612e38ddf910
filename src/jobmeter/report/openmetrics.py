"""One run as OpenMetrics text, as GitLab's ``artifacts:reports:metrics`` and Prometheus tools read it.

Series carry the container's name and nothing of the run itself: GitLab compares the series of two
pipelines by name and labels.
"""

from collections.abc import Callable

from msgspec import Struct

from jobmeter.model.sample import Stall
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.report.figures import distinct_names
from jobmeter.report.text import clean

Value = float | str | None


class _Family(Struct, frozen=True):
    """One metric; where a name ends in a unit, the unit is declared."""

    name: str
    help: str
    unit: str = ""


class _OfRun(_Family, frozen=True, kw_only=True):
    value: Callable[[Summary], Value]


class _OfContainer(_Family, frozen=True, kw_only=True):
    value: Callable[[ContainerSummary], Value]


def render_openmetrics(summary: Summary) -> str:
    """The run's numbers as gauges in base units; what is unknown has no series, no limit is ``+Inf``."""
    lines: list[str] = []
    for family in _run_families():
        lines += _block(family, [("", family.value(summary))])
    labels = [f'{{container="{_label(name)}"}}' for name in distinct_names(summary.containers)]
    for each in _container_families():
        values = [each.value(container) for container in summary.containers]
        lines += _block(each, list(zip(labels, values, strict=True)))
    return "\n".join([*lines, "# EOF", ""])


def _block(family: _Family, samples: list[tuple[str, Value]]) -> list[str]:
    known = [f"{family.name}{labels} {_number(value)}" for labels, value in samples if value is not None]
    if not known:
        return []
    unit = [f"# UNIT {family.name} {family.unit}"] if family.unit else []
    return [f"# TYPE {family.name} gauge", *unit, f"# HELP {family.name} {family.help}", *known]


def _number(value: float | str) -> str:
    return "+Inf" if isinstance(value, str) else repr(value)


def _label(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace('"', '\\"')


def _stalled(resource: str) -> Callable[[ContainerSummary], Value]:
    def value(container: ContainerSummary) -> Value:
        stall = getattr(container.pressure, resource, None)
        return stall.some_seconds if isinstance(stall, Stall) else None

    return value


def _run_families() -> list[_OfRun]:
    def family(name: str, text: str, unit: str, value: Callable[[Summary], Value]) -> _OfRun:
        return _OfRun(f"jobmeter_{name}", text, unit, value=value)

    return [
        family("run_duration_seconds", "How long the run took.", "seconds", lambda run: run.duration_seconds),
        family("run_cpu_seconds", "CPU time of all containers.", "seconds", lambda run: run.cpu_seconds),
        family(
            "run_unattributed_cpu_seconds",
            "CPU time of the job that belongs to no container that can be named.",
            "seconds",
            lambda run: run.unattributed_cpu_seconds,
        ),
        family("run_cpu_complete", "0: CPU time is a lower bound.", "", lambda run: int(run.cpu_complete)),
        family("run_exit_code", "Exit code of the command.", "", lambda run: run.exit.code),
        family("run_samples", "Ticks that were read.", "", lambda run: run.sample_count),
        family(
            "meter_cpu_seconds", "CPU time of the meter.", "seconds", lambda run: run.collector.cpu_seconds
        ),
        family(
            "meter_memory_peak_bytes",
            "Largest resident set of the meter.",
            "bytes",
            lambda run: run.collector.peak_memory_bytes,
        ),
    ]


def _container_families() -> list[_OfContainer]:
    def family(name: str, text: str, unit: str, value: Callable[[ContainerSummary], Value]) -> _OfContainer:
        return _OfContainer(f"jobmeter_container_{name}", text, unit, value=value)

    return [
        family("cpu_seconds", "CPU time.", "seconds", lambda box: box.cpu_seconds),
        family("cpu_user_seconds", "CPU time in user space.", "seconds", lambda box: box.cpu_user_seconds),
        family(
            "cpu_system_seconds", "CPU time in the kernel.", "seconds", lambda box: box.cpu_system_seconds
        ),
        family("cpu_avg_cores", "CPU time over duration.", "cores", lambda box: box.cpu_cores.avg),
        family("cpu_p95_cores", "95th percentile of cores used.", "cores", lambda box: box.cpu_cores.p95),
        family("cpu_peak_cores", "Most cores used at one time.", "cores", lambda box: box.cpu_cores.peak),
        family("cpu_limit_cores", "CPU limit; +Inf: none.", "cores", lambda box: box.cpu_limit_cores),
        family("cpu_request_cores", "CPU request.", "cores", lambda box: box.cpu_request_cores),
        family(
            "throttled_seconds",
            "Time the CPU limit held it back.",
            "seconds",
            lambda box: box.throttled_seconds,
        ),
        family("memory_avg_bytes", "Average of memory in use.", "bytes", lambda box: box.memory_bytes.avg),
        family(
            "memory_p95_bytes", "95th percentile of memory in use.", "bytes", lambda box: box.memory_bytes.p95
        ),
        family(
            "memory_peak_bytes", "Most memory in use at a tick.", "bytes", lambda box: box.memory_bytes.peak
        ),
        family(
            "memory_high_water_bytes",
            "Largest resident set of one process.",
            "bytes",
            lambda box: box.memory_high_water_bytes,
        ),
        family(
            "memory_charged_peak_bytes",
            "Kernel's peak with page cache: an upper bound.",
            "bytes",
            lambda box: box.memory_charged_peak_bytes,
        ),
        family(
            "memory_limit_bytes", "Memory limit; +Inf: none.", "bytes", lambda box: box.memory_limit_bytes
        ),
        family("memory_request_bytes", "Memory request.", "bytes", lambda box: box.memory_request_bytes),
        family("oom_kills", "Processes killed for lack of memory.", "", lambda box: box.oom_kills),
        family("cpu_stalled_seconds", "Time in which tasks waited for CPU.", "seconds", _stalled("cpu")),
        family(
            "memory_stalled_seconds", "Time in which tasks waited for memory.", "seconds", _stalled("memory")
        ),
        family("io_stalled_seconds", "Time in which tasks waited for I/O.", "seconds", _stalled("io")),
        family("io_read_bytes", "Read from block devices.", "bytes", lambda box: box.io_read_bytes),
        family("io_write_bytes", "Written to block devices.", "bytes", lambda box: box.io_write_bytes),
        family("network_rx_bytes", "Received.", "bytes", lambda box: box.network_rx_bytes),
        family("network_tx_bytes", "Sent.", "bytes", lambda box: box.network_tx_bytes),
        family("pids_peak", "Most tasks at one time.", "", lambda box: box.pids_peak),
    ]
