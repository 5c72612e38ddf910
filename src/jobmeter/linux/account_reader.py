"""Reads the account of many cgroups cheaply: one that did nothing since the last reading is not read whole again.

Where both versions account for the same thing, v1 is read: on a hybrid host it holds the controllers.
"""

import errno
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from jobmeter.linux.account_sources import ACTIVITY, DETAILS, REST, WAITING, Source
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.cgroup_reader import CgroupGone
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.files import SHORT_BYTES, read_file, read_whole
from jobmeter.linux.inner_kills import InnerKills
from jobmeter.linux.machine_activity import EVERYTHING, OOM_KILLS
from jobmeter.model.account import Account
from jobmeter.model.errors import KernelFormatError

READ_ERRORS: Final = ("format", "open", "read")
"""The kinds of readings that fail; ``format`` is a text that is not understood."""

_ABSENT: Final = (errno.ENOENT, errno.ENODEV)
_NAMES_OF_V1: Final = {"io": "blkio"}
_MOSTLY_BYTES = 4096
_IDLE_AFTER = 3
_LOOK_EVERY = 6
_SEARCH_EVERY = 12


class _File:
    """One that is read again and again. ``said`` is the hash of its last text, None when that was not understood.

    Texts are not kept: each would be a small rest of the memory that was there to read into, and so break it up.
    """

    __slots__ = ("directory", "fd", "gives", "parse", "said", "source", "unused", "with_machine")

    def __init__(self, directory: str, fd: int | None, gives: tuple[str | None, ...], source: Source) -> None:
        self.directory = directory
        self.fd = fd
        self.gives = gives
        self.source = source
        self.parse = source.parse if source.keeping is None else source.keeping(source.parse)
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
    short but for every sixth: pages that the kernel writes back later are in the account then. Every sixth of those
    that are not short looks too whether what counted nothing for want of a limit does so now, and every twelfth of all
    whether a controller has come (v2). ``detailed``: what each device did, how often the memory limit was met (v1) and
    how many processes there are is read too. ``belongs`` says of a cgroup below, as ``/init.scope``, whether its OOM
    kills are this one's: v2 counts them here anyhow, v1 does not.
    """

    def __init__(
        self,
        directories: Mapping[str, str],
        descriptors: Descriptors,
        errors: dict[str, int],
        *,
        detailed: bool = False,
        belongs: Callable[[str], bool] | None = None,
    ) -> None:
        self._directories = directories
        self._descriptors = descriptors
        self._errors = errors
        self._values: dict[str, Any] = {}
        self.account = Account()
        """What was read last."""
        self._idle = 0
        self._readings = 0
        self._long_readings = 0
        self._changed = False
        self._inner = (
            InnerKills(directories["memory"], belongs) if belongs and "memory" in directories else None
        )
        self._inodes = {directory: _inode(directory) for directory in directories.values()}
        self._active: tuple[_File, ...] = ()
        self._waiting: tuple[_File, ...] = ()
        self._rest: tuple[_File, ...] = ()
        self._missing: list[Source] = []
        self._lost = False
        """Whether a file was there no more at the last reading."""
        rest = (*DETAILS, *REST) if detailed else REST
        self._open(sorted((*ACTIVITY, *WAITING, *rest), key=lambda one: one.controller == UNIFIED))

    def read(
        self, *, whole: bool = False, with_pressure: bool = True, grown: Collection[str] = EVERYTHING
    ) -> Account:
        """What the cgroup says now; ``grown`` are the counters of the whole machine that may have grown since.

        Who has just read it reads it ``with_pressure`` left out: of that the kernel drops what is less than a jiffy at
        each reading, for all who read it (collect_percpu_times in kernel/sched/psi.c).
        Raises CgroupGone once it was removed, also when another one has its place; ``account`` has what could still be
        read.
        """
        self._changed = False
        self._readings += 1
        every = whole or self._readings % _LOOK_EVERY == 0
        try:
            if self._lost or (self._missing and self._readings % _SEARCH_EVERY == 0):
                self._search()
            self._active = self._update(self._active)
            self._idle = 0 if self._changed else self._idle + 1
            if with_pressure:
                self._waiting = self._update(self._waiting, grown, every=every)
            if whole or self._idle < _IDLE_AFTER or self._idle % _LOOK_EVERY == 0:
                self._long_readings += 1
                every = whole or self._long_readings % _LOOK_EVERY == 0
                self._rest = self._update(self._rest, grown, every=every)
            if self._inner is not None and (whole or OOM_KILLS in grown) and self._inner.look():
                self._changed = True
        finally:
            if self._changed:
                self.account = self._account()
        return self.account

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (*self._active, *self._waiting, *self._rest):
            self._let_go(file)
        self._active = self._waiting = self._rest = ()
        self._missing, self._inner = [], None

    def _account(self) -> Account:
        kills = self._values.get("oom_kills")
        if self._inner is None or not self._inner.total or kills is None:
            return Account(**self._values)
        return Account(**{**self._values, "oom_kills": kills + self._inner.total})

    def _update(
        self, files: tuple[_File, ...], grown: Collection[str] = EVERYTHING, *, every: bool = True
    ) -> tuple[_File, ...]:
        """Those that are there still."""
        lost: list[_File] = []
        values, pread = self._values, os.pread
        for file in files:
            if not every and (file.unused or (file.with_machine is not None and file.stands(grown))):
                continue
            try:
                fd = file.fd
                text = pread(fd, _MOSTLY_BYTES, 0) if fd is not None else read_file(file.path)
                if fd is not None and len(text) >= SHORT_BYTES:
                    text = read_whole(fd)
                said = hash(text)
                if said == file.said:
                    continue
                parsed = file.parse(text)
            except OSError as error:
                if error.errno in _ABSENT:
                    lost.append(self._lose(file))
                else:
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
        return tuple(file for file in files if file not in lost) if lost else files

    def _failed(self, kind: str, file: _File) -> None:
        """What could not be read is not known: no value of before stands for it."""
        self._count(kind)
        for name in file.gives:
            if name is not None:
                self._values.pop(name, None)
        file.said = None
        self._changed = True

    def _count(self, kind: str) -> None:
        self._errors[kind] = self._errors.get(kind, 0) + 1

    # --- what comes and goes

    def _lose(self, file: _File) -> _File:
        """Its controller was taken away (v2), or the cgroup is being removed, of which the next reading tells.

        The kernel takes files away before their directory, and engines one directory after the other. So the values
        stay until then. Raises CgroupGone.
        """
        self._must_be_there(file.directory)
        self._let_go(file)
        self._missing.append(file.source)
        self._lost = True
        return file

    def _let_go(self, file: _File) -> None:
        if file.fd is not None:
            self._descriptors.give_back(file.fd)
            file.fd = None

    def _must_be_there(self, directory: str) -> None:
        """A descriptor is of the cgroup that was there when it was opened, a path of any that is there now."""
        inode = _inode(directory)
        if inode is None or inode != self._inodes[directory]:
            raise CgroupGone("the cgroup was removed")

    def _search(self) -> None:
        """Open what has come; what was lost, and did not come again, is not known. Raises CgroupGone."""
        directories = [self._directories[source.controller] for source in self._missing]
        paths = [f"{one}/{source.file}" for one, source in zip(directories, self._missing, strict=True)]
        if not self._lost and not any(map(os.path.exists, paths)):
            return
        for directory in {*directories}:
            self._must_be_there(directory)
        self._lost = False
        self._open(self._missing)
        for name in self._values.keys() - self._given():
            del self._values[name]
            self._changed = True

    def _may_come(self, source: Source) -> bool:
        """Of v2, controllers are given to a cgroup and taken away while it is there, but not those that v1 has."""
        controller = source.file.partition(".")[0]
        held = _NAMES_OF_V1.get(controller, controller) in self._directories
        return source.controller == UNIFIED and (source in WAITING or not held)

    def _given(self) -> set[str]:
        files = (*self._active, *self._waiting, *self._rest)
        return {name for file in files for name in file.gives if name is not None}

    def _open(self, sources: Iterable[Source]) -> None:
        """Those that give more than others before them, which are the files of version 1."""
        given, missing, files = self._given(), list[Source](), list[_File]()
        for source in sources:
            directory = self._directories.get(source.controller)
            gives = tuple(name if name not in given else None for name in source.gives)
            if directory is None or not any(gives):
                continue
            file = _File(directory, None, gives, source)
            try:
                source.parse(read_file(file.path))
                file.fd = self._descriptors.keep(file.path)
            except OSError as error:
                if error.errno in _ABSENT:
                    if self._may_come(source):
                        missing.append(source)
                elif error.errno != errno.EOPNOTSUPP:
                    self._count("open")
                continue
            except KernelFormatError:
                self._count("format")
                continue
            files.append(file)
            given.update(source.gives)
        self._missing = missing
        self._active += tuple(file for file in files if file.source in ACTIVITY)
        self._waiting += tuple(file for file in files if file.source in WAITING)
        self._rest += tuple(file for file in files if file.source not in (*ACTIVITY, *WAITING))


def _inode(directory: str) -> int | None:
    try:
        return os.stat(directory).st_ino
    except OSError:
        return None
