"""Writes the cpio archives (format newc) that Linux unpacks as its first root file system.

The kernel accepts several archives one after another in one file, so a large part that stays the same can be
written once.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Self

TRAILER = "TRAILER!!!"

Skip = Callable[[Path], bool]


class CpioWriter:
    """Adds entries to an archive; parent directories are added by themselves."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._inode = 0
        self._directories = {PurePosixPath("/")}

    def directory(self, path: str | PurePath) -> None:
        """Add a directory and its parents."""
        self._parents(PurePosixPath(path) / "entry")

    def file(self, path: str | PurePath, content: bytes, *, executable: bool = False, mtime: int = 0) -> None:
        """Add a regular file."""
        self._parents(PurePosixPath(path))
        self._entry(str(path), stat.S_IFREG | (0o755 if executable else 0o644), content, mtime)

    def link(self, path: str | PurePath, target: str | PurePath) -> None:
        """Add a symbolic link."""
        self._parents(PurePosixPath(path))
        self._entry(str(path), stat.S_IFLNK | 0o777, str(target).encode())

    def copy(self, source: Path, path: str | PurePath) -> None:
        """Add a file of this machine, following links."""
        status = source.stat()
        executable = bool(status.st_mode & stat.S_IXUSR)
        self.file(path, source.read_bytes(), executable=executable, mtime=int(status.st_mtime))

    def copy_tree(self, source: Path, path: str | PurePath, skip: Skip = lambda _: False) -> None:
        """Add a file, or everything below a directory but what `skip` chooses by its path below `source`."""
        if source.is_file():
            self.copy(source, path)
            return
        self.directory(path)
        for found in sorted(source.rglob("*")):
            relative = found.relative_to(source)
            if skip(relative):
                continue
            if found.is_dir():
                self.directory(PurePosixPath(path) / relative)
            elif found.is_file():
                self.copy(found, PurePosixPath(path) / relative)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entry(TRAILER, 0, b"")

    def _parents(self, path: PurePosixPath) -> None:
        for parent in reversed(path.parents):
            if parent not in self._directories:
                self._directories.add(parent)
                self._entry(str(parent), stat.S_IFDIR | 0o755, b"")

    def _entry(self, path: str, mode: int, content: bytes, mtime: int = 0) -> None:
        self._inode += 1
        name = path.lstrip("/").encode() + b"\0"
        links, owner, device = 1, 0, 0
        fields = [self._inode, mode, owner, owner, links, mtime, len(content), *[device] * 4, len(name), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._stream.write(_padded(header + name) + _padded(content))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
