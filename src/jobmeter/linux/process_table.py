"""All processes of one /proc, read again and again at the cost of one pread each.

The descriptor of each /proc/PID/stat is kept: reading it again costs a third of opening it, and on a
process that is gone it fails with ESRCH even when its pid was given to another one (pid reuse). A
line that did not change since the last scan is not parsed again.
"""

import errno
import os
from collections.abc import Callable, Iterable

from msgspec import Struct

from jobmeter.linux import procfs
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.model.readings import ProcessReading

_STAT_BYTES = 1024


class Change(Struct, frozen=True):
    """A process whose reading changed between two scans."""

    before: ProcessReading
    after: ProcessReading


class Scan(Struct, frozen=True):
    """The difference of two scans. Parents come before their children in ``started`` and ``changed``."""

    started: list[ProcessReading]
    changed: list[Change]
    vanished: list[ProcessReading]


class _Entry:
    __slots__ = ("fd", "line", "reading")

    def __init__(self, fd: int | None, line: bytes, reading: ProcessReading) -> None:
        self.fd = fd
        self.line = line
        self.reading = reading


class ProcessTable:
    """Reads every process below ``root``; at most ``max_descriptors`` are open, the rest is opened each time.

    ``wanted`` decides whether a new process is followed; it is asked ``looks`` times, since a container's
    process starts outside of its cgroup. After that an unwanted pid is left alone until it has gone. ``pids`` lists
    those that there are to look at, instead of all.
    """

    def __init__(
        self,
        root: str = "/proc",
        max_descriptors: int = 512,
        wanted: Callable[[ProcessReading], bool] | None = None,
        looks: int = 1,
        pids: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._root = root
        self._pids = pids
        self._max_descriptors = max_descriptors
        self._wanted = wanted
        self._entries: dict[int, _Entry] = {}
        self._looks = looks
        self._ignored: dict[int, int] = {}
        self._undecided = False
        self._names: list[str] = []
        self._kept = 0
        self.read_errors = 0

    def __len__(self) -> int:
        return len(self._entries)

    def readings(self) -> Iterable[ProcessReading]:
        """The newest reading of each followed process, parents first."""
        return (entry.reading for entry in self._entries.values())

    def get(self, pid: int) -> ProcessReading | None:
        """The newest reading of one followed process."""
        entry = self._entries.get(pid)
        return entry.reading if entry else None

    def knows(self, pid: int) -> bool:
        """True when the pid was seen at the last listing, followed or not."""
        return pid in self._entries or pid in self._ignored

    def scan(self) -> Scan:
        """Read everything once more and say what differs from the last scan.

        Parents are read before their children, so that no account of reaped children is newer than the
        reading of a child. A process that goes in the middle of a scan counts as vanished at once, although
        the account of its parent may tell only in the next scan.
        """
        listed = self._list(again=self._undecided)
        vanished = [] if listed is None else self._drop_unlisted(listed)
        changed: list[Change] = []
        lost: list[_Entry] = []
        for entry in self._entries.values():
            line = self._read(entry)
            if line is None or (line != entry.line and not self._update(entry, line, changed)):
                lost.append(entry)
        if lost:
            vanished += self._drop(lost)
            listed = self._list(again=True)
        started = [] if listed is None else self._add_new(listed)
        return Scan(started, changed, vanished)

    def close(self) -> None:
        """Give all descriptors back."""
        for entry in list(self._entries.values()):
            self._forget(entry)

    def _list(self, again: bool = False) -> set[int] | None:
        """The pids there are, or None when they are the same as at the last scan."""
        try:
            names = os.listdir(self._root) if self._pids is None else [*self._pids()]
        except OSError as error:
            raise SourceUnavailable(f"cannot list the processes in {self._root}: {error.strerror}") from None
        if names == self._names and not again:
            return None
        self._names = names
        return {int(name) for name in names if name.isdecimal()}

    def _drop_unlisted(self, listed: set[int]) -> list[ProcessReading]:
        self._ignored = {pid: looks for pid, looks in self._ignored.items() if pid in listed}
        return self._drop([entry for pid, entry in self._entries.items() if pid not in listed])

    def _drop(self, gone: list[_Entry]) -> list[ProcessReading]:
        for entry in gone:
            self._forget(entry)
        return [entry.reading for entry in gone]

    def _read(self, entry: _Entry) -> bytes | None:
        """The newest line of a process, or the last one where it cannot be read now; None once it is gone."""
        try:
            if entry.fd is not None:
                return os.pread(entry.fd, _STAT_BYTES, 0) or None
            return self._read_anew(entry)
        except OSError as error:
            return entry.line if self._is_failure(error) else None

    def _read_anew(self, entry: _Entry) -> bytes | None:
        fd = os.open(f"{self._root}/{entry.reading.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        line = b""
        try:
            line = os.read(fd, _STAT_BYTES)
        finally:
            if line and self._kept < self._max_descriptors:
                entry.fd = fd
                self._kept += 1
            else:
                os.close(fd)
        return line or None

    def _update(self, entry: _Entry, line: bytes, changed: list[Change]) -> bool:
        """Take the new line over; False when it is of another process that was given the same pid."""
        try:
            reading = procfs.parse_stat(line)
        except KernelFormatError:
            self.read_errors += 1
            return True
        if reading.start_seconds != entry.reading.start_seconds:
            return False
        changed.append(Change(entry.reading, reading))
        entry.line, entry.reading = line, reading
        return True

    def _add_new(self, listed: set[int]) -> list[ProcessReading]:
        new = [pid for pid in listed if pid not in self._entries and self._ignored.get(pid, 0) < self._looks]
        opened = [entry for entry in map(self._open, sorted(new)) if entry]
        started: list[ProcessReading] = []
        for entry in _parents_first(opened):
            pid = entry.reading.pid
            if self._wanted is None or self._wanted(entry.reading):
                self._ignored.pop(pid, None)
                self._entries[pid] = entry
                started.append(entry.reading)
            else:
                self._ignored[pid] = self._ignored.get(pid, 0) + 1
                self._close(entry)
        self._undecided = any(looks < self._looks for looks in self._ignored.values())
        return started

    def _open(self, pid: int) -> _Entry | None:
        try:
            fd = os.open(f"{self._root}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._is_failure(error)
            return None
        entry = None
        try:
            line = os.read(fd, _STAT_BYTES)
            entry = _Entry(None, line, procfs.parse_stat(line))
        except OSError as error:
            self._is_failure(error)
        except KernelFormatError:
            self.read_errors += bool(line)  # It ended before it was read when there is none.
        if entry is not None and self._kept < self._max_descriptors:
            entry.fd = fd
            self._kept += 1
        else:
            os.close(fd)
        return entry

    def _forget(self, entry: _Entry) -> None:
        self._close(entry)
        del self._entries[entry.reading.pid]

    def _close(self, entry: _Entry) -> None:
        if entry.fd is not None:
            os.close(entry.fd)
            entry.fd = None
            self._kept -= 1

    def _is_failure(self, error: OSError) -> bool:
        """A process that ended is no failure; one that cannot be read is, and is counted."""
        failed = error.errno not in (errno.ESRCH, errno.ENOENT)
        self.read_errors += failed
        return failed


def _parents_first(opened: list[_Entry]) -> Iterable[_Entry]:
    """By age; of two that began within one clock tick the pid does not tell, since pids start over."""
    opened.sort(key=lambda entry: (entry.reading.start_seconds, entry.reading.pid))
    by_pid = {entry.reading.pid: entry for entry in opened}
    ordered: dict[int, _Entry] = {}
    for entry in opened:
        line: list[_Entry] = []
        above: _Entry | None = entry
        while above is not None and above not in line and above.reading.pid not in ordered:
            line.append(above)
            above = by_pid.get(above.reading.parent_pid)
        ordered.update((one.reading.pid, one) for one in reversed(line))
    return ordered.values()
