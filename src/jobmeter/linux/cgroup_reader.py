"""Reads one cgroup's account at every tick: files kept open, only what its hierarchies have.

Sources: Documentation/admin-guide/cgroup-v2.rst; cpuacct.rst and memory.rst of cgroup-v1. Where both
versions account for the same thing, v1 is read: on a hybrid host it holds the controllers.
"""

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.model.readings import CgroupReading
from jobmeter.model.sample import Pressure

_READ_BYTES = 65536
_Values = dict[str, Any]


class CgroupGone(SourceUnavailable):
    """The cgroup was removed: its files answer ENODEV from now on."""


class _Source(NamedTuple):
    controller: str
    file: str
    gives: tuple[str, ...]
    parse: Callable[[bytes], tuple[Any, ...]]


class _File(NamedTuple):
    fd: int
    source: _Source
    directory: str


# Version 1 counts nanoseconds, version 2 microseconds: the rest is noise that no compression gets smaller.
def _nanoseconds(text: bytes) -> tuple[float]:
    return (cgroupfs.parse_number(text) // 1000 / 1e6,)


def _number(text: bytes) -> tuple[int]:
    return (cgroupfs.parse_number(text),)


def _keyed(*names: bytes, per_second: int | None = None) -> Callable[[bytes], tuple[Any, ...]]:
    def parse(text: bytes) -> tuple[Any, ...]:
        values = cgroupfs.parse_flat_keyed(text, *names)
        return tuple(
            round(value / per_second, 6) if value is not None and per_second else value for value in values
        )

    return parse


def _pair(parse: Callable[[bytes], tuple[int, int] | None]) -> Callable[[bytes], tuple[Any, ...]]:
    return lambda text: parse(text) or (None, None)


_CPU = ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")
_IO = ("io_read_bytes", "io_write_bytes")
_SOURCES = (
    _Source("cpuacct", "cpuacct.usage", ("cpu_seconds",), _nanoseconds),
    _Source("cpuacct", "cpuacct.usage_user", ("cpu_user_seconds",), _nanoseconds),
    _Source("cpuacct", "cpuacct.usage_sys", ("cpu_system_seconds",), _nanoseconds),
    _Source(UNIFIED, "cpu.stat", _CPU, _keyed(b"usage_usec", b"user_usec", b"system_usec", per_second=10**6)),
    _Source("memory", "memory.usage_in_bytes", ("memory_current_bytes",), _number),
    _Source("memory", "memory.stat", ("memory_inactive_file_bytes",), _keyed(b"total_inactive_file")),
    _Source("memory", "memory.max_usage_in_bytes", ("memory_peak_bytes",), _number),
    _Source("memory", "memory.oom_control", ("oom_kills",), _keyed(b"oom_kill")),
    _Source(UNIFIED, "memory.current", ("memory_current_bytes",), _number),
    _Source(UNIFIED, "memory.stat", ("memory_inactive_file_bytes",), _keyed(b"inactive_file")),
    _Source(UNIFIED, "memory.peak", ("memory_peak_bytes",), _number),
    _Source(UNIFIED, "memory.events", ("oom_kills",), _keyed(b"oom_kill")),
    _Source("pids", "pids.current", ("pids",), _number),
    _Source("pids", "pids.peak", ("pids_peak",), _number),
    _Source(UNIFIED, "pids.current", ("pids",), _number),
    _Source(UNIFIED, "pids.peak", ("pids_peak",), _number),
    _Source("blkio", "blkio.throttle.io_service_bytes", _IO, _pair(cgroupfs.parse_blkio_bytes)),
    _Source(UNIFIED, "io.stat", _IO, _pair(cgroupfs.parse_io_stat)),
    _Source(UNIFIED, "cpu.pressure", ("cpu",), lambda text: (cgroupfs.parse_pressure(text),)),
    _Source(UNIFIED, "memory.pressure", ("memory",), lambda text: (cgroupfs.parse_pressure(text),)),
    _Source(UNIFIED, "io.pressure", ("io",), lambda text: (cgroupfs.parse_pressure(text),)),
)  # fmt: skip
_THROTTLE = (
    _Source("cpu", "cpu.stat", ("throttled_seconds",), _keyed(b"throttled_time", per_second=10**9)),
    _Source(UNIFIED, "cpu.stat", ("throttled_seconds",), _keyed(b"throttled_usec", per_second=10**6)),
)
_RESOURCES = ("cpu", "memory", "io")


class CgroupReader:
    """Reads the cgroup whose directories are given by controller (``""`` is the unified hierarchy).

    ``throttled_in`` are the directories of the ancestor whose CPU limit binds it, where that is
    another cgroup: what was throttled there before the reader was made is left out.
    """

    def __init__(self, directories: Mapping[str, str], throttled_in: Mapping[str, str] | None = None) -> None:
        self._files: list[_File] = []
        self.gives: frozenset[str] = frozenset()
        """The names of the fields this cgroup has a source for."""
        self.turned_off: frozenset[str] = frozenset()
        """Those it had one for until somebody turned a controller off."""
        self.read_errors = 0
        self._shares = (0.0, 0.0)
        self._open(_SOURCES, directories)
        self._open(_THROTTLE, throttled_in or directories)
        self._throttled_before = 0.0
        if throttled_in and throttled_in != directories:
            self._throttled_before = self.read().throttled_seconds or 0.0

    def read(self) -> CgroupReading:
        """Everything the cgroup says now. Raises CgroupGone once it was removed."""
        values: _Values = {}
        removed: list[_File] = []
        for file in self._files:
            fd, source, _ = file
            try:
                parsed = source.parse(os.pread(fd, _READ_BYTES, 0))
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.ENOENT):
                    removed.append(file)
                    continue
                self.read_errors += 1
                continue
            except KernelFormatError:
                self.read_errors += 1
                continue
            for name, value in zip(source.gives, parsed, strict=True):
                values[name] = value
        if removed:
            self._part_with(removed)
        self._adjust_shares(values)
        stalls = {name: values.pop(name) for name in _RESOURCES if name in values}
        if values.get("throttled_seconds") is not None:
            values["throttled_seconds"] -= self._throttled_before
        return CgroupReading(pressure=Pressure(**stalls) if stalls else None, **values)

    def close(self) -> None:
        """Give the descriptors back."""
        for file in self._files:
            os.close(file.fd)
        self._files, self.gives = [], frozenset()

    def _part_with(self, removed: list[_File]) -> None:
        """Read these no more: somebody turned their controller off. Raises CgroupGone where it is all of the cgroup."""
        if len(removed) == len(self._files) or not all(os.path.isdir(file.directory) for file in removed):
            raise CgroupGone("the cgroup was removed")
        for file in removed:
            os.close(file.fd)
            self._files.remove(file)
        self.turned_off = self.turned_off.union(*(file.source.gives for file in removed))
        self.gives -= self.turned_off

    def _adjust_shares(self, values: _Values) -> None:
        """Make user and system time add up to the usage: v1 counts them by sampled ticks, unlike the usage.

        The kernel does the same for processes and for v2 (cputime_adjust() in kernel/sched/cputime.c),
        and like here lets neither of them fall.
        """
        used, user, system = (values.get(name) for name in _CPU)
        if not used or user is None or system is None:
            return
        if user + system <= 0:
            # Not one sampled tick hit it yet, so nothing is known of its shares.
            values["cpu_user_seconds"] = values["cpu_system_seconds"] = None
            return
        last_user, last_system = self._shares
        user = min(max(last_user, used * user / (user + system)), used - last_system)
        self._shares = (user, used - user)
        values["cpu_user_seconds"], values["cpu_system_seconds"] = (round(one, 6) for one in self._shares)

    def _open(self, sources: tuple[_Source, ...], directories: Mapping[str, str]) -> None:
        for source in sources:
            directory = directories.get(source.controller)
            if directory is None or self.gives.issuperset(source.gives):
                continue
            try:
                fd = os.open(f"{directory}/{source.file}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    self.read_errors += 1
                continue
            if self._answers(fd, source):
                self._files.append(_File(fd, source, directory))
                self.gives = self.gives.union(source.gives)
            else:
                os.close(fd)

    @staticmethod
    def _answers(fd: int, source: _Source) -> bool:
        """False for a file that is there but says nothing, as the throttle counters without a CPU controller."""
        try:
            return any(value is not None for value in source.parse(os.pread(fd, _READ_BYTES, 0)))
        except OSError:
            return False
        except KernelFormatError:
            return True
