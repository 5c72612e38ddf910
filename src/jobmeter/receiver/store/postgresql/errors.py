"""Errors of PostgreSQL and its library as ours, by their SQLSTATE (PostgreSQL's documentation, appendix A)."""

import psycopg
from sqlalchemy.exc import DBAPIError

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.backend import Judgement
from jobmeter.receiver.store.errors import NotStorable

_DISK_FULL = "53100"
# Of several servers one that may only be read was the first one before, and another one is now; and a transaction in
# which nothing happened for long was ended with its connection.
_NEEDS_ANOTHER_CONNECTION = ("25006", "25P03")
_CANCELED = "57014"
# connection, authorization, database, resources, operator, system
_CLASSES_OF_ALL = ("08", "28", "3D", "53", "57", "58")
# Which a server sends as it ends the connection.
_CLASSES_OF_AN_END = ("08", "57")
# The last one: while it waited, the partition that it was on its way to got a narrower range.
_CLASHES = ("40001", "40P01", "23505", "23514")
_NOT_STORABLE = ("22021", "22P05", "54000")
_DAMAGED = "XX"


def judged(error: Exception, place: str = "the database") -> Judgement | None:
    """What an error means; None when it is not of PostgreSQL or of the library above it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    code = cause.sqlstate or ""
    # Without a code it is the library's own: there is no connection, or no more.
    is_cut = not code and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return Judgement(
        _sentence(cause, code, place),
        concerns_all=is_cut
        or code in _NEEDS_ANOTHER_CONNECTION
        or (code[:2] in _CLASSES_OF_ALL and code != _CANCELED),
        clash=code in _CLASHES,
        stale=is_cut
        or code in _NEEDS_ANOTHER_CONNECTION
        or (code[:2] in _CLASSES_OF_AN_END and code != _CANCELED),
    )


def store_error(error: DBAPIError | psycopg.Error, place: str) -> StoreError:
    """The error of the database or its library as one of ours."""
    judgement = judged(error, place)
    return (
        StoreError(f"{place} cannot be used: {sentence_of(error)}") if judgement is None else judgement.error
    )


def _sentence(cause: psycopg.Error, code: str, place: str) -> StoreError:
    if code == _DISK_FULL:
        return StoreFull(f"{place} cannot grow: {sentence_of(cause)}")
    if code in _NOT_STORABLE or (not code and isinstance(cause, psycopg.DataError)):
        return NotStorable(f"{place} takes no such value: {sentence_of(cause)}")
    if code.startswith(_DAMAGED):
        return StoreError(
            f"{place} is damaged, a copy from before has to take its place: {sentence_of(cause)}"
        )
    return StoreError(f"{place} cannot be used: {sentence_of(cause)}")


def sentence_of(cause: Exception) -> str:
    """What it says first: libpq goes on with advice."""
    message = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return (message or str(cause)).strip().partition("\n")[0]
