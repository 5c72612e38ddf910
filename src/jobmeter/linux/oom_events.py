"""OOM kills as they happen: a cgroup's files answer only for some 30 ms once its last process is gone.

v2: memory.events raises POLLPRI when it changes (cgroup-v2.rst), be it only that a limit was reached. v1: an
eventfd is bound to memory.oom_control through cgroup.event_control (cgroup-v1/memory.rst), which needs write
access; it wakes when memory has run out, shortly before the kernel kills. /proc/vmstat counts the kills of the
whole machine (oom_kill, Linux 4.13), which says that there was one, not where.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.cgroupfs import parse_flat_keyed
from jobmeter.model.errors import KernelFormatError, SourceUnavailable

_READ_BYTES = 16384


class OomCounts(NamedTuple):
    """How often memory ran out, and how many processes were killed for it."""

    ooms: int
    kills: int


class OomEvents:
    """One cgroup's OOM events; ``fileno`` is ready with POLLPRI (v2) or POLLIN (v1), see ``priority``."""

    def __init__(self, directories: Mapping[str, str]) -> None:
        """Raises SourceUnavailable where the cgroup raises no events that we may hear."""
        self.priority = "memory" not in directories
        self._fds: list[int] = []
        self._heard = 0
        try:
            if self.priority:
                path = f"{directories[UNIFIED]}/memory.events"
                self._fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            else:
                self._bind(directories["memory"])
            self.before = self.take() or OomCounts(0, 0)
        except (OSError, KeyError) as error:
            self.close()
            raise SourceUnavailable(f"OOM events cannot be heard: {error}") from None

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fds[0]

    def take(self) -> OomCounts | None:
        """Take the event, so that the next one wakes again, and count; None once the cgroup is gone."""
        try:
            if not self.priority:
                self._heard += _drain(self._fds[0])
            ooms, kills = parse_flat_keyed(os.pread(self._fds[-1], _READ_BYTES, 0), b"oom", b"oom_kill")
        except (OSError, IndexError, KernelFormatError):
            return None
        return OomCounts(ooms or self._heard, kills or 0)

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _bind(self, directory: str) -> None:
        self._fds.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._fds.append(os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC))
        control = os.open(f"{directory}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, f"{self._fds[0]} {self._fds[1]}".encode())
        finally:
            os.close(control)


def _drain(eventfd: int) -> int:
    try:
        return os.eventfd_read(eventfd)
    except BlockingIOError:
        return 0


class MachineOomKills:
    """Counts the OOM kills of the whole machine since the last look."""

    def __init__(self, root: str = "/proc") -> None:
        self._fd: int | None = None
        self._last = 0
        try:
            self._fd = os.open(f"{root}/vmstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # Nothing is counted, and nothing will be said.
        self._last = self._read()

    def take(self) -> int:
        """The kills since the last call; 0 where they are not counted."""
        if self._fd is None:
            return 0
        before, self._last = self._last, self._read()
        return max(0, self._last - before)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read(self) -> int:
        assert self._fd is not None
        try:
            (kills,) = parse_flat_keyed(os.pread(self._fd, _READ_BYTES, 0), b"oom_kill")
        except (OSError, KernelFormatError):
            return self._last
        return kills or 0
