"""How the kernel answers those who read its files, where plain files do otherwise."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

Pread = Callable[[int, int, int], bytes]


def pages_of(size: int) -> Pread:
    """As the kernel reads files of many lines: so many whole ones as there is room for in a page."""
    pread = os.pread

    def read(fd: int, count: int, offset: int) -> bytes:
        page = pread(fd, min(count, size), offset)
        return page[: page.rfind(b"\n") + 1]

    return read


def no_device() -> Pread:
    """What was removed cannot be read any more, though it is held."""
    pread = os.pread

    def read(fd: int, count: int, offset: int) -> bytes:
        if not os.fstat(fd).st_nlink:
            raise OSError(errno.ENODEV, "No such device")
        return pread(fd, count, offset)

    return read
