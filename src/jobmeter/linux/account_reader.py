"""Reads the account of many cgroups cheaply: one that did nothing since the last reading is not read whole again.

Sources: Documentation/admin-guide/cgroup-v2.rst; cpuacct.rst, memory.rst, pids.rst and blkio-controller.rst of
cgroup-v1. Where both versions account for the same thing, v1 is read: on a hybrid host it holds the controllers.
"""

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.account import Account
from jobmeter.model.errors import KernelFormatError

_READ_BYTES = 65536


class _Source(NamedTuple):
    controller: str
    file: str
    gives: tuple[str, ...]
    parse: Callable[[bytes], tuple[Any, ...]]


def _number(text: bytes) -> tuple[int]:
    return (cgroupfs.parse_number(text),)


def _nanoseconds(text: bytes) -> tuple[float]:
    return (cgroupfs.parse_number(text) / 1e9,)


def _keyed(*names: bytes) -> Callable[[bytes], tuple[Any, ...]]:
    """Names of a flat keyed file; one that ends in _usec or _time is told in seconds."""
    units = tuple(
        1e6 if name.endswith(b"_usec") else 1e9 if name.endswith(b"_time") else None for name in names
    )

    def parse(text: bytes) -> tuple[Any, ...]:
        values = cgroupfs.parse_flat_keyed(text, *names)
        return tuple(
            value / unit if unit is not None and value is not None else value
            for value, unit in zip(values, units, strict=True)
        )

    return parse


def _pressure(text: bytes) -> tuple[Any, ...]:
    stall = cgroupfs.parse_pressure(text)
    return stall.some_seconds, stall.full_seconds


_CPU_STAT = _keyed(
    b"usage_usec", b"user_usec", b"system_usec", b"nr_periods", b"nr_throttled", b"throttled_usec"
)
_LIMITED = ("cpu_periods", "cpu_throttled_periods", "cpu_throttled_seconds")
_CPU = ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")
_MEMORY = ("memory_inactive_file_bytes", "memory_anon_bytes", "memory_file_bytes")
_IO = ("io_read_bytes", "io_written_bytes")
_OPERATIONS = ("io_reads", "io_writes")
# Whatever a container does, it uses CPU time, or its memory changes.
_ACTIVITY = (
    _Source("cpuacct", "cpuacct.usage", ("cpu_seconds",), _nanoseconds),
    _Source(UNIFIED, "cpu.stat", (*_CPU, *_LIMITED), _CPU_STAT),
    _Source("memory", "memory.usage_in_bytes", ("memory_usage_bytes",), _number),
    _Source(UNIFIED, "memory.current", ("memory_usage_bytes",), _number),
)
# Time spent waiting grows without either.
_WAITING = (
    _Source(UNIFIED, "cpu.pressure", ("cpu_waiting_seconds", "cpu_stalled_seconds"), _pressure),
    _Source(UNIFIED, "memory.pressure", ("memory_waiting_seconds", "memory_stalled_seconds"), _pressure),
    _Source(UNIFIED, "io.pressure", ("io_waiting_seconds", "io_stalled_seconds"), _pressure),
)
_REST = (
    _Source("cpuacct", "cpuacct.usage_user", ("cpu_user_seconds",), _nanoseconds),
    _Source("cpuacct", "cpuacct.usage_sys", ("cpu_system_seconds",), _nanoseconds),
    _Source("cpu", "cpu.stat", _LIMITED, _keyed(b"nr_periods", b"nr_throttled", b"throttled_time")),
    _Source(
        "memory", "memory.stat", (*_MEMORY, "memory_swap_bytes"),
        _keyed(b"total_inactive_file", b"total_rss", b"total_cache", b"total_swap"),
    ),
    _Source(UNIFIED, "memory.stat", _MEMORY, _keyed(b"inactive_file", b"anon", b"file")),
    _Source(UNIFIED, "memory.swap.current", ("memory_swap_bytes",), _number),
    _Source("memory", "memory.max_usage_in_bytes", ("memory_charged_peak_bytes",), _number),
    _Source(UNIFIED, "memory.peak", ("memory_charged_peak_bytes",), _number),
    _Source("memory", "memory.failcnt", ("memory_limit_hits",), _number),
    _Source("memory", "memory.oom_control", ("oom_kills",), _keyed(b"oom_kill")),
    _Source(UNIFIED, "memory.events", ("memory_limit_hits", "oom_kills"), _keyed(b"max", b"oom_kill")),
    _Source("pids", "pids.current", ("processes",), _number),
    _Source(UNIFIED, "pids.current", ("processes",), _number),
    _Source(
        "blkio", "blkio.throttle.io_service_bytes", _IO, lambda text: cgroupfs.parse_blkio_bytes(text) or (None, None)
    ),
    _Source(
        "blkio", "blkio.throttle.io_serviced", _OPERATIONS,
        lambda text: cgroupfs.parse_blkio_bytes(text) or (None, None),
    ),
    _Source(UNIFIED, "io.stat", (*_IO, *_OPERATIONS), cgroupfs.parse_io_stat_whole),
)  # fmt: skip
_IDLE_AFTER = 3
_LOOK_EVERY = 6


class _File(NamedTuple):
    path: str
    fd: int | None
    gives: tuple[str | None, ...]
    source: _Source


class AccountReader:
    """Reads the cgroup whose directories are given by controller (``""`` is the unified hierarchy).

    ``errors`` counts the readings that failed, by kind. Readings of one that did nothing three times in a row are
    short but for every sixth: pages that the kernel writes back later are in the account then.
    """

    def __init__(
        self, directories: Mapping[str, str], descriptors: Descriptors, errors: dict[str, int]
    ) -> None:
        self._descriptors = descriptors
        self._errors = errors
        self._values: dict[str, Any] = {}
        self.account = Account()
        """What was read last."""
        self._idle = 0
        self._changed = False
        opened = self._open(directories)
        self._active, self._waiting, self._rest = (
            tuple(file for file in opened if file.source in tier) for tier in (_ACTIVITY, _WAITING, _REST)
        )

    def read(self, *, whole: bool = False) -> Account:
        """What the cgroup says now. Raises CgroupGone once it was removed; ``account`` has what could still be read."""
        self._changed = False
        try:
            self._update(self._active)
            self._idle = 0 if self._changed else self._idle + 1
            self._update(self._waiting)
            if whole or self._idle < _IDLE_AFTER or self._idle % _LOOK_EVERY == 0:
                self._update(self._rest)
        finally:
            if self._changed:
                self.account = Account(**self._values)
        return self.account

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (*self._active, *self._waiting, *self._rest):
            if file.fd is not None:
                self._descriptors.give_back(file.fd)
        self._active = self._waiting = self._rest = ()

    def _update(self, files: tuple[_File, ...]) -> None:
        values = self._values
        for path, fd, gives, source in files:
            try:
                parsed = source.parse(os.pread(fd, _READ_BYTES, 0) if fd is not None else _read(path))
            except OSError as error:
                # Engines remove its directories one after the other.
                if error.errno in (errno.ENODEV, errno.ENOENT) and not os.path.isdir(os.path.dirname(path)):
                    raise CgroupGone("the cgroup was removed") from None
                self._failed("read", gives)
                continue
            except KernelFormatError:
                self._failed("format", gives)
                continue
            for name, value in zip(gives, parsed, strict=True):
                if name is not None and values.get(name) != value:
                    values[name] = value
                    self._changed = True

    def _failed(self, kind: str, gives: tuple[str | None, ...]) -> None:
        """What could not be read is not known: no value of before stands for it."""
        self._errors[kind] = self._errors.get(kind, 0) + 1
        for name in gives:
            if name is not None:
                self._values.pop(name, None)
        self._changed = True

    def _open(self, directories: Mapping[str, str]) -> list[_File]:
        """The files of version 1, and of version 2 those that give more."""
        files: list[_File] = []
        given: set[str] = set()
        for source in sorted((*_ACTIVITY, *_WAITING, *_REST), key=lambda one: one.controller == UNIFIED):
            directory = directories.get(source.controller)
            gives = tuple(name if name not in given else None for name in source.gives)
            if directory is None or not any(gives):
                continue
            path = f"{directory}/{source.file}"
            try:
                source.parse(_read(path))
                files.append(_File(path, self._descriptors.keep(path), gives, source))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    self._failed("open", gives)
                continue
            except KernelFormatError:
                self._failed("format", gives)
                continue
            given.update(source.gives)
        return files


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(_READ_BYTES)
