"""Files of the kernel: small ones read at once, long ones page by page."""

import os
from typing import Final

from jobmeter.model.errors import KernelFormatError

_READ_BYTES: Final = 16384
_MAX_BYTES: Final = 1 << 20
_SMALLEST_PAGE_BYTES: Final = 4096
_LONGEST_LINE_BYTES: Final = 512
SHORT_BYTES: Final = _SMALLEST_PAGE_BYTES - _LONGEST_LINE_BYTES
"""What is shorter than this is all that a file has."""


def read_whole(fd: int) -> bytes:
    """All of a file of many lines: the kernel gives at most a page of whole lines at once (seq_file).

    So what leaves room for another line in the smallest page is the end. Raises OSError, and KernelFormatError
    when there is no end within a mebibyte.
    """
    text = b""
    while more := os.pread(fd, _READ_BYTES, len(text)):
        text += more
        if len(more) < SHORT_BYTES:
            break
        if len(text) > _MAX_BYTES:
            raise KernelFormatError("a file of the kernel does not come to an end")
    return text


def read_file(path: str) -> bytes:
    """All of a file. Raises OSError and KernelFormatError, as ``read_whole`` does."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_whole(fd)
    finally:
        os.close(fd)
