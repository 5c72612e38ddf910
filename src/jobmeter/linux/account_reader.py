"""Reads the account of many cgroups cheaply: one that did nothing since the last reading is not read whole again.

Sources: Documentation/admin-guide/cgroup-v2.rst; cpuacct.rst, memory.rst, pids.rst and blkio-controller.rst of
cgroup-v1. Where both versions account for the same thing, v1 is read: on a hybrid host it holds the controllers.
"""

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.files import MOST_BYTES, read_file
from jobmeter.linux.machine_activity import (
    CPU_PRESSURE,
    EVERYTHING,
    IO_PRESSURE,
    MEMORY_PRESSURE,
    OOM_KILLS,
)
from jobmeter.linux.procfs import TICKS_PER_SECOND
from jobmeter.model.account import Account
from jobmeter.model.errors import KernelFormatError


class _Source(NamedTuple):
    """A file, and what it gives. Where it begins with ``unused``, the kernel counts nothing there as it is set up.

    It grows only with the machine's counter ``with_machine``, where one is named.
    """

    controller: str
    file: str
    gives: tuple[str, ...]
    parse: Callable[[bytes], Sequence[Any]]
    unused: bytes | None = None
    with_machine: str | None = None


def _number(text: bytes) -> tuple[int]:
    return (cgroupfs.parse_number(text),)


def _nanoseconds(text: bytes) -> tuple[float]:
    return (cgroupfs.parse_number(text) / 1e9,)


def _ticks(text: bytes) -> tuple[float | None, ...]:
    user, system = cgroupfs.parse_flat_keyed(text, b"user", b"system")
    return tuple(None if one is None else one / TICKS_PER_SECOND for one in (user, system))


def _keyed(*names: bytes) -> Callable[[bytes], Sequence[Any]]:
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


def _blkio(text: bytes) -> tuple[int | None, int | None]:
    return cgroupfs.parse_blkio_bytes(text) or (None, None)


def _blkio_devices(text: bytes) -> tuple[Any, ...]:
    return (*_blkio(text), cgroupfs.parse_blkio_devices(text))


_CPU_STAT = _keyed(
    b"usage_usec", b"user_usec", b"system_usec", b"nr_periods", b"nr_throttled", b"throttled_usec"
)
_LIMITED = ("cpu_periods", "cpu_throttled_periods", "cpu_throttled_seconds")
_CPU = ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")
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
    _Source(
        UNIFIED, "cpu.pressure", ("cpu_waiting_seconds", "cpu_stalled_seconds"), _pressure,
        with_machine=CPU_PRESSURE,
    ),
    _Source(
        UNIFIED, "memory.pressure", ("memory_waiting_seconds", "memory_stalled_seconds"), _pressure,
        with_machine=MEMORY_PRESSURE,
    ),
    _Source(
        UNIFIED, "io.pressure", ("io_waiting_seconds", "io_stalled_seconds"), _pressure,
        with_machine=IO_PRESSURE,
    ),
)  # fmt: skip
_REST = (
    # Scaled to sum up to the usage, which ticks of the clock alone do not.
    _Source("cpuacct", "cpuacct.stat", ("cpu_user_seconds", "cpu_system_seconds"), _ticks),
    _Source(
        "cpu", "cpu.stat", _LIMITED, _keyed(b"nr_periods", b"nr_throttled", b"throttled_time"),
        unused=b"nr_periods 0\n",
    ),
    _Source(
        "memory", "memory.stat",
        ("memory_file_bytes", "memory_anon_bytes", "memory_swap_bytes", "memory_inactive_file_bytes"),
        _keyed(b"total_cache", b"total_rss", b"total_swap", b"total_inactive_file"),
    ),
    _Source(
        UNIFIED, "memory.stat", ("memory_anon_bytes", "memory_file_bytes", "memory_inactive_file_bytes"),
        _keyed(b"anon", b"file", b"inactive_file"),
    ),
    _Source(UNIFIED, "memory.swap.current", ("memory_swap_bytes",), _number),
    _Source("memory", "memory.max_usage_in_bytes", ("memory_charged_peak_bytes",), _number),
    _Source(UNIFIED, "memory.peak", ("memory_charged_peak_bytes",), _number),
    _Source("memory", "memory.oom_control", ("oom_kills",), _keyed(b"oom_kill"), with_machine=OOM_KILLS),
    _Source(UNIFIED, "memory.events", ("memory_limit_hits", "oom_kills"), _keyed(b"max", b"oom_kill")),
    _Source("pids", "pids.current", ("processes",), _number),
    _Source(UNIFIED, "pids.current", ("processes",), _number),
    # What descendants did is in those that end in _recursive only.
    *(
        _Source("blkio", f"blkio.throttle.{file}{which}", gives, _blkio, unused=b"Total")
        for file, gives in (("io_service_bytes", _IO), ("io_serviced", _OPERATIONS))
        for which in ("_recursive", "")
    ),
    _Source(UNIFIED, "io.stat", (*_IO, *_OPERATIONS), cgroupfs.parse_io_stat_whole),
)  # fmt: skip
# Some in place of those above that read the same files.
_DETAILS = (
    _Source("memory", "memory.failcnt", ("memory_limit_hits",), _number),
    *(
        _Source("blkio", f"blkio.throttle.{file}{which}", gives, _blkio_devices, unused=b"Total")
        for file, gives in (
            ("io_service_bytes", (*_IO, "io_bytes_by_device")),
            ("io_serviced", (*_OPERATIONS, "io_operations_by_device")),
        )
        for which in ("_recursive", "")
    ),
    _Source(
        UNIFIED, "io.stat", (*_IO, *_OPERATIONS, "io_bytes_by_device", "io_operations_by_device"),
        lambda text: (*cgroupfs.parse_io_stat_whole(text), *cgroupfs.parse_io_stat_devices(text)),
    ),
    *(
        _Source(controller, "cgroup.procs", ("process_count",), lambda text: (text.count(b"\n"),))
        for controller in ("cpuacct", UNIFIED)
    ),
)  # fmt: skip
_MOSTLY_BYTES = 4096
_IDLE_AFTER = 3
_LOOK_EVERY = 6


class _File:
    """One that is read again and again. ``said`` is the hash of its last text, None when that was not understood.

    Texts are not kept: each would be a small rest of the memory that was there to read into, and so break it up.
    """

    __slots__ = ("directory", "fd", "gives", "parse", "said", "source", "unused", "with_machine")

    def __init__(
        self, directory: str, fd: int | None, gives: tuple[str | None, ...], source: _Source
    ) -> None:
        self.directory = directory
        self.fd = fd
        self.gives = gives
        self.source = source
        self.parse = source.parse
        self.with_machine = source.with_machine
        self.said: int | None = None
        self.unused = False

    @property
    def path(self) -> str:
        """Not kept: there are many of them."""
        return f"{self.directory}/{self.source.file}"

    def stands(self, grown: Collection[str]) -> bool:
        """Whether it says what it said last, as the machine's counters tell."""
        return self.with_machine not in grown and self.said is not None


class AccountReader:
    """Reads the cgroup whose directories are given by controller (``""`` is the unified hierarchy).

    ``errors`` counts the readings that failed, by kind. Readings of one that did nothing three times in a row are
    short but for every sixth: pages that the kernel writes back later are in the account then. Every sixth looks too
    whether what counted nothing for want of a limit does so now. ``detailed``: what each device did, how often the
    memory limit was met (v1) and how many processes there are is read too.
    """

    def __init__(
        self,
        directories: Mapping[str, str],
        descriptors: Descriptors,
        errors: dict[str, int],
        *,
        detailed: bool = False,
    ) -> None:
        self._descriptors = descriptors
        self._errors = errors
        self._values: dict[str, Any] = {}
        self.account = Account()
        """What was read last."""
        self._idle = 0
        self._readings = 0
        self._changed = False
        rest = (*_DETAILS, *_REST) if detailed else _REST
        opened = self._open(directories, (*_ACTIVITY, *_WAITING, *rest))
        self._active, self._waiting, self._rest = (
            tuple(file for file in opened if file.source in tier) for tier in (_ACTIVITY, _WAITING, rest)
        )

    def read(self, *, whole: bool = False, grown: Collection[str] = EVERYTHING) -> Account:
        """What the cgroup says now; ``grown`` are the counters of the whole machine that may have grown since.

        Raises CgroupGone once it was removed; ``account`` has what could still be read.
        """
        self._changed = False
        self._readings += 1
        every = whole or self._readings % _LOOK_EVERY == 0
        try:
            self._update(self._active)
            self._idle = 0 if self._changed else self._idle + 1
            self._update(self._waiting, grown, every=every)
            if whole or self._idle < _IDLE_AFTER or self._idle % _LOOK_EVERY == 0:
                self._update(self._rest, grown, every=every)
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

    def _update(
        self, files: tuple[_File, ...], grown: Collection[str] = EVERYTHING, *, every: bool = True
    ) -> None:
        values, pread = self._values, os.pread
        for file in files:
            if not every and (file.unused or (file.with_machine is not None and file.stands(grown))):
                continue
            try:
                fd = file.fd
                text = pread(fd, _MOSTLY_BYTES, 0) if fd is not None else read_file(file.path)
                if fd is not None and len(text) == _MOSTLY_BYTES:
                    text = pread(fd, MOST_BYTES, 0)
                said = hash(text)
                if said == file.said:
                    continue
                parsed = file.parse(text)
            except OSError as error:
                # Engines remove its directories one after the other.
                gone = error.errno in (errno.ENODEV, errno.ENOENT)
                if gone and not os.path.isdir(file.directory):
                    raise CgroupGone("the cgroup was removed") from None
                self._failed("read", file)
                continue
            except KernelFormatError:
                self._failed("format", file)
                continue
            file.said = said
            if file.source.unused is not None:
                file.unused = text.startswith(file.source.unused)
            self._changed = True
            for name, value in zip(file.gives, parsed, strict=True):
                if name is not None:
                    values[name] = value

    def _failed(self, kind: str, file: _File) -> None:
        """What could not be read is not known: no value of before stands for it."""
        self._errors[kind] = self._errors.get(kind, 0) + 1
        for name in file.gives:
            if name is not None:
                self._values.pop(name, None)
        file.said = None
        self._changed = True

    def _open(self, directories: Mapping[str, str], sources: tuple[_Source, ...]) -> list[_File]:
        """The files of version 1, and of version 2 those that give more."""
        files: list[_File] = []
        given: set[str] = set()
        for source in sorted(sources, key=lambda one: one.controller == UNIFIED):
            directory = directories.get(source.controller)
            gives = tuple(name if name not in given else None for name in source.gives)
            if directory is None or not any(gives):
                continue
            file = _File(directory, None, gives, source)
            try:
                source.parse(read_file(file.path))
                file.fd = self._descriptors.keep(file.path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    self._failed("open", file)
                continue
            except KernelFormatError:
                self._failed("format", file)
                continue
            files.append(file)
            given.update(source.gives)
        return files
