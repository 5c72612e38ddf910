"""Small files of the kernel, read at once."""

import os
from typing import Final

MOST_BYTES: Final = 65536


def read_file(path: str) -> bytes:
    """What one read gives, at most MOST_BYTES. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, MOST_BYTES)
    finally:
        os.close(fd)
