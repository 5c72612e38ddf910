"""The files that the account of a cgroup is read from, and what each of them gives.

Sources: Documentation/admin-guide/cgroup-v2.rst; cpuacct.rst, memory.rst, pids.rst and blkio-controller.rst of
cgroup-v1.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.device_totals import DeviceTotals
from jobmeter.linux.machine_activity import CPU_PRESSURE, IO_PRESSURE, MEMORY_PRESSURE, OOM_KILLS
from jobmeter.linux.procfs import TICKS_PER_SECOND
from jobmeter.model.account import DeviceCount

Parse = Callable[[bytes], Sequence[Any]]


class Source(NamedTuple):
    """A file, and what it gives. Where it begins with ``unused``, the kernel counts nothing there as it is set up.

    It grows only with the machine's counter ``with_machine``, where one is named. ``keeping`` makes, for each cgroup,
    a parser that knows what was there before.
    """

    controller: str
    file: str
    gives: tuple[str, ...]
    parse: Parse
    unused: bytes | None = None
    with_machine: str | None = None
    keeping: Callable[[Parse], Parse] | None = None


def _number(text: bytes) -> tuple[int]:
    return (cgroupfs.parse_number(text),)


def _nanoseconds(text: bytes) -> tuple[float]:
    return (cgroupfs.parse_number(text) / 1e9,)


def _ticks(text: bytes) -> tuple[float, float]:
    user, system = cgroupfs.parse_cpuacct_stat(text)
    return user / TICKS_PER_SECOND, system / TICKS_PER_SECOND


def _keyed(*names: bytes) -> Parse:
    """Names of a flat keyed file; one that ends in _usec or _time is told in seconds."""
    units = tuple(
        1e6 if name.endswith(b"_usec") else 1e9 if name.endswith(b"_time") else None for name in names
    )

    def parse(text: bytes) -> Sequence[Any]:
        return cgroupfs.parse_flat_keyed(text, *names)

    def parse_seconds(text: bytes) -> Sequence[Any]:
        return [
            value / unit if unit is not None and value is not None else value
            for value, unit in zip(parse(text), units, strict=True)
        ]

    return parse_seconds if any(units) else parse


def _pressure(text: bytes) -> tuple[Any, ...]:
    stall = cgroupfs.parse_pressure(text)
    return stall.some_seconds, stall.full_seconds


def _processes(text: bytes) -> tuple[int]:
    return (text.count(b"\n"),)


def _blkio(text: bytes) -> tuple[tuple[DeviceCount, ...]]:
    return (cgroupfs.parse_blkio_devices(text),)


class _Devices:
    """The sums over all devices of each kind of count, ``none`` while there were none, and, if wanted, each device."""

    __slots__ = ("_each", "_none", "_parse", "_totals")

    def __init__(self, parse: Parse, *, none: int | None, each: bool) -> None:
        self._parse = parse
        self._none = none
        self._each = each
        self._totals: tuple[DeviceTotals, ...] = ()

    def __call__(self, text: bytes) -> list[Any]:
        found = self._parse(text)
        self._totals = self._totals or tuple(DeviceTotals() for _ in found)
        for totals, counts in zip(self._totals, found, strict=True):
            totals.add(counts)
        sums = [one for totals in self._totals for one in totals.sums or (self._none, self._none)]
        return [*sums, *(totals.each for totals in self._totals)] if self._each else sums


# Without a device, v2 counted nothing; v1 counts only where a device has a throttle rule.
_IO_SUMS, _IO_EACH = (partial(_Devices, none=0, each=each) for each in (False, True))
_BLKIO_SUMS, _BLKIO_EACH = (partial(_Devices, none=None, each=each) for each in (False, True))
_CPU_STAT = _keyed(
    b"usage_usec", b"user_usec", b"system_usec", b"nr_periods", b"nr_throttled", b"throttled_usec"
)
_LIMITED = ("cpu_periods", "cpu_throttled_periods", "cpu_throttled_seconds")
_CPU = ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")
_IO = ("io_read_bytes", "io_written_bytes")
_OPERATIONS = ("io_reads", "io_writes")
# Whatever a container does, it uses CPU time, or its memory changes.
ACTIVITY = (
    Source("cpuacct", "cpuacct.usage", ("cpu_seconds",), _nanoseconds),
    Source(UNIFIED, "cpu.stat", (*_CPU, *_LIMITED), _CPU_STAT),
    Source("memory", "memory.usage_in_bytes", ("memory_usage_bytes",), _number),
    Source(UNIFIED, "memory.current", ("memory_usage_bytes",), _number),
)
# Time spent waiting grows without either.
WAITING = (
    Source(
        UNIFIED, "cpu.pressure", ("cpu_waiting_seconds", "cpu_stalled_seconds"), _pressure,
        with_machine=CPU_PRESSURE,
    ),
    Source(
        UNIFIED, "memory.pressure", ("memory_waiting_seconds", "memory_stalled_seconds"), _pressure,
        with_machine=MEMORY_PRESSURE,
    ),
    Source(
        UNIFIED, "io.pressure", ("io_waiting_seconds", "io_stalled_seconds"), _pressure,
        with_machine=IO_PRESSURE,
    ),
)  # fmt: skip
REST = (
    # Scaled to sum up to the usage, which ticks of the clock alone do not.
    Source("cpuacct", "cpuacct.stat", ("cpu_user_seconds", "cpu_system_seconds"), _ticks),
    Source(
        "cpu", "cpu.stat", _LIMITED, _keyed(b"nr_periods", b"nr_throttled", b"throttled_time"),
        unused=b"nr_periods 0\n",
    ),
    Source(
        "memory", "memory.stat",
        ("memory_file_bytes", "memory_anon_bytes", "memory_swap_bytes", "memory_inactive_file_bytes"),
        _keyed(b"total_cache", b"total_rss", b"total_swap", b"total_inactive_file"),
    ),
    Source(
        UNIFIED, "memory.stat", ("memory_anon_bytes", "memory_file_bytes", "memory_inactive_file_bytes"),
        _keyed(b"anon", b"file", b"inactive_file"),
    ),
    Source(UNIFIED, "memory.swap.current", ("memory_swap_bytes",), _number),
    Source("memory", "memory.max_usage_in_bytes", ("memory_charged_peak_bytes",), _number),
    Source(UNIFIED, "memory.peak", ("memory_charged_peak_bytes",), _number),
    Source("memory", "memory.oom_control", ("oom_kills",), _keyed(b"oom_kill"), with_machine=OOM_KILLS),
    Source(UNIFIED, "memory.events", ("memory_limit_hits", "oom_kills"), _keyed(b"max", b"oom_kill")),
    Source("pids", "pids.current", ("processes",), _number),
    Source(UNIFIED, "pids.current", ("processes",), _number),
    # What descendants did is in those that end in _recursive only.
    *(
        Source("blkio", f"blkio.throttle.{file}{which}", gives, _blkio, unused=b"Total", keeping=_BLKIO_SUMS)
        for file, gives in (("io_service_bytes", _IO), ("io_serviced", _OPERATIONS))
        for which in ("_recursive", "")
    ),
    Source(UNIFIED, "io.stat", (*_IO, *_OPERATIONS), cgroupfs.parse_io_stat_devices, keeping=_IO_SUMS),
)  # fmt: skip
# Some in place of those above that read the same files.
DETAILS = (
    Source("memory", "memory.failcnt", ("memory_limit_hits",), _number),
    *(
        Source("blkio", f"blkio.throttle.{file}{which}", gives, _blkio, unused=b"Total", keeping=_BLKIO_EACH)
        for file, gives in (
            ("io_service_bytes", (*_IO, "io_bytes_by_device")),
            ("io_serviced", (*_OPERATIONS, "io_operations_by_device")),
        )
        for which in ("_recursive", "")
    ),
    Source(
        UNIFIED, "io.stat", (*_IO, *_OPERATIONS, "io_bytes_by_device", "io_operations_by_device"),
        cgroupfs.parse_io_stat_devices, keeping=_IO_EACH,
    ),
    *(
        Source(controller, "cgroup.procs", ("process_count",), _processes)
        for controller in ("cpuacct", UNIFIED)
    ),
)  # fmt: skip
