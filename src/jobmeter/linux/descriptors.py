"""How many files may stay open: those read at every tick, as far as the limit allows."""

import os
import resource

_OTHERS = 512
"""So many are left to connections, sockets of engines and what a library opens."""


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may at most; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


class Descriptors:
    """Keeps count of the files that stay open; one beyond ``limit`` is opened for each reading instead."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self.refused = 0
        """Files that could not stay open."""

    @classmethod
    def of_process(cls) -> "Descriptors":
        """Raises the limit of this process and takes what others do not need."""
        return cls(max(0, raise_descriptor_limit() - _OTHERS))

    def keep(self, path: str) -> int | None:
        """A descriptor for reading, or None when there is room for no more. Raises OSError."""
        if self._left <= 0:
            self.refused += 1
            return None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._left -= 1
        return fd

    def give_back(self, fd: int) -> None:
        """Close one."""
        os.close(fd)
        self._left += 1
