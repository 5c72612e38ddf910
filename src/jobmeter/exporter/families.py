"""The series of our own namespace: one family each, with what it shows of a container."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from jobmeter.exporter.container import Row

Value = float | int | None
Labels = tuple[tuple[str, str], ...]


class Parts(NamedTuple):
    """What a container has several of: the label that tells them apart, and each by its name."""

    label: str
    of: Callable[[Row], Iterable[tuple[str, Any]]]


class Family(NamedTuple):
    """One name. ``values`` are its series for a container: further labels, and the value; None makes no series.

    Of ``each`` of its parts the value is told too. Containers that have ended have no series where ``while_alive``.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    values: tuple[tuple[Labels, Callable[[Row], Value]], ...] = ()
    each: tuple[Parts, Callable[[Any], int]] | None = None
    while_alive: bool = False


def _one(name: str, kind: Literal["counter", "gauge"], text: str, value: Callable[[Row], Value]) -> Family:
    return Family(f"jobmeter_container_{name}", kind, text, (((), value),))


def _limit(value: float | str | None) -> Value:
    """A limit that there is."""
    return None if isinstance(value, str) else value


def _stall(resource: str, kind: str, value: Callable[[Row], Value]) -> tuple[Labels, Callable[[Row], Value]]:
    return (("resource", resource), ("kind", kind)), value


CONTAINER_FAMILIES = (
    _one("cpu_usage_seconds_total", "counter", "CPU time used.", lambda row: row.account.cpu_seconds),
    _one("cpu_user_seconds_total", "counter", "CPU time used in user mode.", lambda row: row.account.cpu_user_seconds),
    _one("cpu_system_seconds_total", "counter", "CPU time used in the kernel.",
         lambda row: row.account.cpu_system_seconds),
    _one("cpu_limit_cores", "gauge", "The CPU limit that binds it.", lambda row: _limit(row.bounds.cpu_cores)),
    _one("cpu_periods_total", "counter", "Periods in which the CPU limit was enforced.",
         lambda row: row.account.cpu_periods),
    _one("cpu_throttled_periods_total", "counter", "Periods in which it was throttled.",
         lambda row: row.account.cpu_throttled_periods),
    _one("cpu_throttled_seconds_total", "counter", "Time for which its threads were throttled.",
         lambda row: row.account.cpu_throttled_seconds),
    _one("memory_usage_bytes", "gauge", "Memory charged to it, page cache included.",
         lambda row: row.account.memory_usage_bytes),
    _one("memory_working_set_bytes", "gauge", "Memory charged to it without file pages that were not used lately.",
         lambda row: row.account.memory_working_set_bytes),
    _one("memory_anon_bytes", "gauge", "Memory of its own that no file backs.",
         lambda row: row.account.memory_anon_bytes),
    _one("memory_charged_peak_bytes", "gauge", "The most memory charged so far, page cache included: not a need.",
         lambda row: row.account.memory_charged_peak_bytes),
    _one("memory_limit_bytes", "gauge", "The memory limit that binds it.", lambda row: _limit(row.bounds.memory_bytes)),
    _one("memory_oom_kills_total", "counter", "Processes killed for want of memory.",
         lambda row: row.account.oom_kills),
    Family("jobmeter_container_pressure_seconds_total", "counter",
           "Time in which some, or all, of its work waited for a resource.", (
        _stall("cpu", "some", lambda row: row.account.cpu_waiting_seconds),
        _stall("cpu", "full", lambda row: row.account.cpu_stalled_seconds),
        _stall("memory", "some", lambda row: row.account.memory_waiting_seconds),
        _stall("memory", "full", lambda row: row.account.memory_stalled_seconds),
        _stall("io", "some", lambda row: row.account.io_waiting_seconds),
        _stall("io", "full", lambda row: row.account.io_stalled_seconds),
    )),
    _one("network_receive_bytes_total", "counter", "Bytes received in its own network namespace.",
         lambda row: row.account.network_received_bytes),
    _one("network_transmit_bytes_total", "counter", "Bytes sent in its own network namespace.",
         lambda row: row.account.network_sent_bytes),
    _one("io_read_bytes_total", "counter", "Bytes read from disks.", lambda row: row.account.io_read_bytes),
    _one("io_written_bytes_total", "counter", "Bytes written to disks.", lambda row: row.account.io_written_bytes),
    _one("io_reads_total", "counter", "Reads from disks.", lambda row: row.account.io_reads),
    _one("io_writes_total", "counter", "Writes to disks.", lambda row: row.account.io_writes),
    _one("processes", "gauge", "Its processes and threads.", lambda row: row.account.processes),
    _one("processes_limit", "gauge", "So many processes and threads it may have.",
         lambda row: _limit(row.bounds.processes)),
    _one("start_time_seconds", "gauge", "When it began, in seconds since 1970.", lambda row: row.started),
    _one("end_time_seconds", "gauge", "When it ended, in seconds since 1970; only then.", lambda row: row.ended),
)  # fmt: skip
