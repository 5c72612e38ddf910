"""The file of the database: whether it can be opened, whether it is one of ours, and who uses it."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.sqlite.errors import store_error

_OURS = {"runs", "alembic_version"}


def check_place(path: str) -> None:
    """Raises StoreError with the reason where SQLite would say only that it cannot open the file."""
    if not path:
        raise StoreError("the name of the database is empty; --db names its file")
    directory = os.path.dirname(path) or os.curdir
    if not os.path.isdir(directory):
        raise StoreError(f"{path} cannot be opened: the directory {directory} does not exist")
    if os.path.isdir(path):
        raise StoreError(f"{path} cannot be opened: it is a directory")
    if os.path.exists(path) and not os.path.isfile(path):
        raise StoreError(f"{path} cannot be opened: it is no regular file")
    wanted = path if os.path.exists(path) else directory
    if not os.access(wanted, os.R_OK | os.W_OK, effective_ids=True):
        raise StoreError(f"{path} cannot be opened: {wanted} may not be read and written by this user")


class OpenedFiles:
    """The files of a database that commits lie in, as they were when it was opened.

    SQLite appends to the WAL and copies from there later; it empties this file and uses it again, and removes it
    when the last connection is closed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = _file_at(path), _file_at(f"{path}-wal")

    def check(self) -> None:
        """Raises StoreError when one of them was moved, removed or replaced, and says what to do."""
        file, wal = self._opened
        if _file_at(self._path) != file:
            raise StoreError(
                f"{self._path} is not the file that was opened: it was moved, removed or replaced; put it back, or "
                f"stop the receiver and remove {self._path}-wal and {self._path}-shm, which would spoil another file"
            )
        if _file_at(f"{self._path}-wal") != wal:
            raise StoreError(
                f"{self._path}-wal is not the file that was opened: it was moved, removed or replaced; stop the "
                f"receiver by SIGTERM, which saves what was acknowledged, and start it again"
            )


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file it is: device and inode; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_ours(path: str, *, at_rest: bool = False) -> bool:
    """Whether a file is a database of jobmeter; of one ``at_rest`` nothing is left beside it.

    Raises StoreError for one that is no database or is damaged.
    """
    return _tables_in(reading_uri(path) + ("&immutable=1" if at_rest else ""), path) >= _OURS


def check_ours_or_empty(path: str) -> None:
    """Raises StoreError for a file that others have made something of."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    tables = _tables_in(reading_uri(path), path)
    if tables and not tables >= _OURS:
        raise StoreError(
            f"{path} is not a database of jobmeter: it has the table {min(tables - _OURS or tables)!r}; "
            "name another file"
        )


def _tables_in(uri: str, path: str) -> set[str]:
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error as error:
        raise store_error(error, path) from None
    return {name for (name,) in rows if not name.startswith("sqlite_")}


@contextlib.contextmanager
def in_use(path: str) -> Iterator[bool]:
    """Tells others that this process uses the database, and whether others do already.

    To be entered before the database is opened and left after it was closed: a process that closes any descriptor
    of a file loses SQLite's locks on it (fcntl(2)); these are flock(2)'s. Raises StoreError.
    """
    check_place(path)
    with contextlib.ExitStack() as held:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, fd)
            others = not _locked_alone(fd)
            fcntl.flock(fd, fcntl.LOCK_SH)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"{path!r} cannot be opened: {reason}") from None
        yield others


def is_in_use(path: str) -> bool:
    """Whether a receiver uses the database; not for a process that has it open itself."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _locked_alone(fd)
    finally:
        os.close(fd)


def _locked_alone(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reading_uri(path: str) -> str:
    """Opens the database for reading only: one that is gone is missed then, and not made anew."""
    return f"{Path(os.path.abspath(path)).as_uri()}?mode=ro"
