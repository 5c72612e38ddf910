"""One run as OpenMetrics text, as GitLab's ``artifacts:reports:metrics`` and Prometheus tools read it.

Series carry the container's name and nothing of the run itself: GitLab compares the series of two
pipelines by name and labels.
"""

from functools import reduce

from jobmeter.model.summary import Summary
from jobmeter.report.figures import distinct_names
from jobmeter.report.text import clean

Value = float | str | None

# Name without prefix, unit (which the name then ends in), field of the summary, help.
_OF_RUN = (
    ("run_duration_seconds", "seconds", "duration_seconds", "How long the run took."),
    ("run_cpu_seconds", "seconds", "cpu_seconds", "CPU time of all containers."),
    (
        *("run_unattributed_cpu_seconds", "seconds", "unattributed_cpu_seconds"),
        "CPU time of the job that belongs to no container that can be named.",
    ),
    ("run_cpu_complete", "", "cpu_complete", "0: CPU time is a lower bound."),
    ("run_exit_code", "", "exit.code", "Exit code of the command."),
    ("run_samples", "", "sample_count", "Ticks that were read."),
    ("meter_cpu_seconds", "seconds", "collector.cpu_seconds", "CPU time of the meter."),
    ("meter_memory_peak_bytes", "bytes", "collector.peak_memory_bytes", "Largest resident set of the meter."),
)
_OF_CONTAINER = (
    ("cpu_seconds", "seconds", "cpu_seconds", "CPU time."),
    ("cpu_user_seconds", "seconds", "cpu_user_seconds", "CPU time in user space."),
    ("cpu_system_seconds", "seconds", "cpu_system_seconds", "CPU time in the kernel."),
    ("cpu_avg_cores", "cores", "cpu_cores.avg", "CPU time over duration."),
    ("cpu_p95_cores", "cores", "cpu_cores.p95", "95th percentile of cores used."),
    ("cpu_peak_cores", "cores", "cpu_cores.peak", "Most cores used at one time."),
    ("cpu_limit_cores", "cores", "cpu_limit_cores", "CPU limit; +Inf: none."),
    ("cpu_request_cores", "cores", "cpu_request_cores", "CPU request."),
    ("throttled_seconds", "seconds", "throttled_seconds", "Time the CPU limit held it back."),
    ("memory_avg_bytes", "bytes", "memory_bytes.avg", "Average of memory in use."),
    ("memory_p95_bytes", "bytes", "memory_bytes.p95", "95th percentile of memory in use."),
    ("memory_peak_bytes", "bytes", "memory_bytes.peak", "Most memory in use at a tick."),
    ("memory_high_water_bytes", "bytes", "memory_high_water_bytes", "Largest resident set of one process."),
    (
        *("memory_charged_peak_bytes", "bytes", "memory_charged_peak_bytes"),
        "Kernel's peak with page cache: not a need.",
    ),
    ("memory_limit_bytes", "bytes", "memory_limit_bytes", "Memory limit; +Inf: none."),
    ("memory_request_bytes", "bytes", "memory_request_bytes", "Memory request."),
    ("oom_kills", "", "oom_kills", "Processes killed for lack of memory."),
    ("cpu_stalled_seconds", "seconds", "pressure.cpu.some_seconds", "Time in which tasks waited for CPU."),
    (
        *("memory_stalled_seconds", "seconds", "pressure.memory.some_seconds"),
        "Time in which tasks waited for memory.",
    ),
    ("io_stalled_seconds", "seconds", "pressure.io.some_seconds", "Time in which tasks waited for I/O."),
    ("io_read_bytes", "bytes", "io_read_bytes", "Read from block devices."),
    ("io_write_bytes", "bytes", "io_write_bytes", "Written to block devices."),
    ("network_rx_bytes", "bytes", "network_rx_bytes", "Received."),
    ("network_tx_bytes", "bytes", "network_tx_bytes", "Sent."),
    ("pids_peak", "", "pids_peak", "Most tasks at one time."),
)


def render_openmetrics(summary: Summary) -> str:
    """The run's numbers as gauges in base units; what is unknown has no series, no limit is ``+Inf``."""
    lines: list[str] = []
    for name, unit, field, about in _OF_RUN:
        lines += _family(f"jobmeter_{name}", unit, about, [("", _value(summary, field))])
    labels = [f'{{container="{_label(name)}"}}' for name in distinct_names(summary.containers)]
    for name, unit, field, about in _OF_CONTAINER:
        values = [_value(container, field) for container in summary.containers]
        lines += _family(f"jobmeter_container_{name}", unit, about, list(zip(labels, values, strict=True)))
    return "\n".join([*lines, "# EOF", ""])


def _value(owner: object, field: str) -> Value:
    """The value at a path of fields, None where one of them is."""
    found: object = reduce(lambda each, name: getattr(each, name, None), field.split("."), owner)
    return found if isinstance(found, str | int | float) else None


def _family(name: str, unit: str, about: str, samples: list[tuple[str, Value]]) -> list[str]:
    known = [f"{name}{labels} {_number(value)}" for labels, value in samples if value is not None]
    if not known:
        return []
    units = [f"# UNIT {name} {unit}"] if unit else []
    return [f"# TYPE {name} gauge", *units, f"# HELP {name} {about}", *known]


def _number(value: float | str) -> str:
    return "+Inf" if isinstance(value, str) else repr(value + 0)


def _label(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace('"', '\\"')
