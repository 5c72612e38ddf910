"""Copies the file of the database while a receiver uses it."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.sqlite.file import is_in_use, is_ours, reading_uri


def backup(path: str, target: str) -> None:
    """Copy the database to a file while a receiver uses it; the copy is whole or is not there.

    It replaces an older copy, whose mode it takes, and nothing else. Raises StoreError.
    """
    try:
        _check_copy(path, target)
        if not is_ours(path):
            raise StoreError(f"{path} is not a database of jobmeter; --db names the database of the receiver")
        with _unfinished_beside(target) as unfinished:
            _copy(path, unfinished)
            if os.path.exists(target):
                shutil.copymode(target, unfinished)
            _flush(unfinished)
            os.replace(unfinished, target)
    except (sqlite3.Error, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{path} could not be copied to {target!r}: {reason}") from None


def _check_copy(path: str, target: str) -> None:
    """Raises StoreError when there is nothing to copy, or when the copy would replace anything but a copy."""
    if not os.path.exists(path):
        raise StoreError(f"{path} does not exist; --db names the database of the receiver")
    if not os.path.lexists(target):
        return
    if os.path.exists(target) and os.path.samefile(path, target):
        raise StoreError(f"{target} is the database itself; name another file for the copy")
    if os.path.isfile(target) and (is_in_use(target) or os.path.exists(f"{target}-wal")):
        raise StoreError(f"{target} is in use as a database; name a new file or an older copy")
    if not _is_copy(target):
        raise StoreError(f"{target} exists and is no copy of jobmeter's; name a new file or an older copy")


def _is_copy(target: str) -> bool:
    try:
        return os.path.isfile(target) and is_ours(target, at_rest=True)
    except StoreError:
        return False


@contextlib.contextmanager
def _unfinished_beside(target: str) -> Iterator[str]:
    """A file for this user alone, under a name that nobody has; it goes unless it was given another one."""
    fd, unfinished = tempfile.mkstemp(
        prefix=".jobmeter-", suffix=".part", dir=os.path.dirname(target) or os.curdir
    )
    os.close(fd)
    try:
        yield unfinished
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _copy(path: str, target: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(reading_uri(path), uri=True)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        # In one step: a copy in several begins anew at each commit of a busy receiver.
        source.backup(copy)


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
