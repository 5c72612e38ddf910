"""Errors of SQLite and its library as ours."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.backend import Judgement
from jobmeter.receiver.store.errors import Locked

_NO_FAULT_OF_A_CHANGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
)


def judged(error: Exception, place: str = "the database") -> Judgement | None:
    """What an error means; None when it is not of SQLite or of the library above it."""
    if not isinstance(error, DBAPIError | sqlite3.Error):
        return None
    return Judgement(store_error(error, place), concerns_all=_kind(_code(error)) in _NO_FAULT_OF_A_CHANGE)


def store_error(error: DBAPIError | sqlite3.Error, place: str) -> StoreError:
    """The error of the database or its library as one of ours."""
    cause, code = _cause(error), _code(error)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StoreFull(f"{place} cannot grow: no space is left on the device")
    if _kind(code) == sqlite3.SQLITE_NOTADB:
        return StoreError(
            f"{place} is not a database of jobmeter; name another file, or, if it was one, put a copy from before in "
            "its place"
        )
    if _kind(code) == sqlite3.SQLITE_CORRUPT:
        return StoreError(f"{place} is damaged, a copy from before has to take its place: {cause}")
    if _kind(code) == sqlite3.SQLITE_BUSY:
        return Locked(f"{place} cannot be used: {cause}")
    return StoreError(f"{place} cannot be used: {cause}")


def _cause(error: BaseException) -> BaseException:
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def _code(error: BaseException) -> int:
    code: int = getattr(_cause(error), "sqlite_errorcode", 0)
    return code


def _kind(code: int) -> int:
    """What is above the lowest byte tells more."""
    return code & 0xFF
