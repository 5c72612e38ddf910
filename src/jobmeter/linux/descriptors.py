"""How many files may stay open: those read at every tick, as far as the limit allows."""

import os
import resource

_OTHERS = 512
"""So many are left to connections, sockets of engines and what a library opens; of few, half."""
_SHARE_OF_PROCESSES = 8


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may at most; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


class Descriptors:
    """Keeps count of what stays open; a file beyond ``limit`` is opened for each reading instead.

    Files leave an eighth to processes: that of one cannot be opened again once it has ended.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._for_processes = limit // _SHARE_OF_PROCESSES
        self.refused = 0
        """Files that could not stay open."""

    @classmethod
    def of_process(cls) -> "Descriptors":
        """Raises the limit of this process and takes what others do not need."""
        limit = raise_descriptor_limit()
        return cls(limit - min(_OTHERS, limit // 2))

    def keep(self, path: str) -> int | None:
        """A descriptor for reading, or None when there is room for no more. Raises OSError."""
        if self._left <= max(0, self._for_processes):
            self.refused += 1
            return None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._left -= 1
        return fd

    def give_back(self, fd: int) -> None:
        """Close one."""
        os.close(fd)
        self._left += 1

    def keep_process(self, pid: int) -> int | None:
        """One that is readable once the process has ended (pidfd_open(2)), or None. Raises OSError."""
        if self._left <= 0:
            return None
        fd = os.pidfd_open(pid)
        self._left -= 1
        self._for_processes -= 1
        return fd

    def give_process_back(self, fd: int) -> None:
        """Close one."""
        self.give_back(fd)
        self._for_processes += 1
