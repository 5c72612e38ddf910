"""A job's folder goes with all that is in it, however deep; a process of the job can lead the removal nowhere else."""

import errno
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

_OWN = 0o700
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_SHOWN = 200


def remove_folder(path: Path, parent: int) -> None:
    """Take it away, if it is there; ``parent`` is a descriptor of the folder that it is in, which only we can change.

    No link is followed, no mount entered. Raises OSError with a sentence on what is left.
    """
    with closing(_Removal(path, parent)) as removal:
        removal.remove()


def seize(name: str, parent: int) -> int:
    """A descriptor of a folder in ``parent``, which from now on only we can change, and enter. Raises OSError."""
    fd = _open_closed(name, parent)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            os.fchown(fd, os.geteuid(), os.getegid())
        os.fchmod(fd, _OWN)  # from here on its former owner cannot
    except OSError:
        os.close(fd)
        raise
    return fd


class _Level(NamedTuple):
    """A folder that we are in or below; ``folders`` are those in it that are still to be removed."""

    name: str
    inode: tuple[int, int]
    folders: list[str]


class _Removal:
    """Goes down and up again with one descriptor: a tree may be deeper than there are descriptors, or stack."""

    def __init__(self, path: Path, parent: int) -> None:
        self._root = path
        self._here = os.dup(parent)
        self._top = _inode(parent)
        self._levels: list[_Level] = []
        self._left = 0
        self._first: tuple[str, OSError] | None = None

    def close(self) -> None:
        """Leave where it is."""
        os.close(self._here)

    def remove(self) -> None:
        """Raises OSError."""
        if self._is_full(self._root.name):
            self._down(self._root.name)
        while self._levels:
            folders = self._levels[-1].folders
            if folders:
                self._down(folders.pop())
            else:
                self._up()
        if self._first is not None:
            path, error = self._first
            more = f"; and {self._left - 1} more are left" if self._left > 1 else ""
            raise OSError(error.errno, f"{path!r} is left: {_reason(error)}{more}")

    def _down(self, name: str) -> None:
        """Into a folder, of which those of its folders that are not empty are left then."""
        try:
            below = seize(name, self._here)
        except OSError as error:
            self._leave(name, error)
            return
        self._go(below)
        folders: list[str] = []
        self._levels.append(_Level(name, _inode(below), folders))
        try:
            with os.scandir(below) as entries:
                folders += [entry.name for entry in entries if self._stays(entry)]
        except OSError as error:
            self._leave("", error)

    def _up(self) -> None:
        """Out of a folder, and remove it. Raises OSError."""
        name = self._levels.pop().name
        self._go(os.open("..", _HANDLE, dir_fd=self._here))
        if _inode(self._here) != (self._levels[-1].inode if self._levels else self._top):
            raise OSError(0, f"{self._path(name)!r} was moved while it was removed")
        # Of what is in it, and why, was told where that is so.
        if self._is_full(name) and not self._left:
            self._leave(name, OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY)))

    def _go(self, fd: int) -> None:
        os.close(self._here)
        self._here = fd

    def _stays(self, entry: os.DirEntry[str]) -> bool:
        """Remove it, unless it is a folder with something in it."""
        try:
            if entry.is_dir(follow_symlinks=False):
                return self._is_full(entry.name)
            os.unlink(entry.name, dir_fd=self._here)
        except OSError as error:
            self._leave(entry.name, error)
        return False

    def _is_full(self, name: str) -> bool:
        """Remove a folder if it is empty. Whatever is in one on which something is mounted, the kernel refuses that."""
        try:
            os.rmdir(name, dir_fd=self._here)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return True
            self._leave(name, error)
        return False

    def _leave(self, name: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self._left += 1
            self._first = self._first or (self._path(name), error)

    def _path(self, name: str) -> str:
        """Shortened: a job can make it of any length."""
        path = os.path.join(self._root.parent, *(level.name for level in self._levels), name)
        half = _MOST_SHOWN // 2
        return path if len(path) <= _MOST_SHOWN else f"{path[:half]}…{path[-half:]}"


def _open_closed(name: str, parent: int) -> int:
    """Also a folder whose owner, where that is us and not root, may not read it."""
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, _HANDLE, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", _OWN)
            return os.open(".", _FOLDER, dir_fd=handle)
        finally:
            os.close(handle)


def _inode(fd: int) -> tuple[int, int]:
    told = os.fstat(fd)
    return told.st_dev, told.st_ino


def _reason(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "something is mounted there"
    return error.strerror or type(error).__name__
