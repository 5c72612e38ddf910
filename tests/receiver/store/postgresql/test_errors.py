"""What PostgreSQL says becomes an error of ours, and what is to be done about it is known."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.errors import NotStorable
from jobmeter.receiver.store.postgresql.errors import judged

ALL, CLASH, STALE = (True, False, False), (False, True, False), (True, False, True)
ONE = (False, False, False)
KINDS = [
    (errors.DiskFull, StoreFull, ALL),
    (errors.TooManyConnections, StoreError, ALL),
    (errors.OutOfMemory, StoreError, ALL),
    (errors.IoError, StoreError, ALL),
    (errors.InvalidPassword, StoreError, ALL),
    (errors.InvalidCatalogName, StoreError, ALL),
    (errors.AdminShutdown, StoreError, STALE),
    (errors.CannotConnectNow, StoreError, STALE),
    (errors.ConnectionFailure, StoreError, STALE),
    (errors.ReadOnlySqlTransaction, StoreError, STALE),
    (errors.IdleInTransactionSessionTimeout, StoreError, STALE),
    (psycopg.OperationalError, StoreError, STALE),
    (psycopg.InterfaceError, StoreError, STALE),
    (errors.DeadlockDetected, StoreError, CLASH),
    (errors.SerializationFailure, StoreError, CLASH),
    (errors.UniqueViolation, StoreError, CLASH),
    (errors.CheckViolation, StoreError, CLASH),
    (errors.LockNotAvailable, StoreError, ONE),
    (errors.QueryCanceled, StoreError, ONE),
    (errors.UndefinedTable, StoreError, ONE),
    (errors.ProgramLimitExceeded, NotStorable, ONE),
    (errors.CharacterNotInRepertoire, NotStorable, ONE),
    (psycopg.DataError, NotStorable, ONE),
    (errors.DataCorrupted, StoreError, ONE),
]


@pytest.mark.parametrize("through_the_library", [False, True])
@pytest.mark.parametrize("kind, ours, consequences", KINDS)
def test_an_error_of_the_database_is_one_of_ours(kind, ours, consequences, through_the_library):
    """By its SQLSTATE; without one there is no connection."""
    cause = kind("what it says\n\tIs the server running?")
    judgement = judged(DBAPIError("INSERT", (), cause) if through_the_library else cause, "here")
    assert judgement is not None
    assert type(judgement.error) is ours
    assert str(judgement.error).startswith("here ")
    assert str(judgement.error).endswith(": what it says")
    assert judgement[1:] == consequences


def test_an_error_of_something_else_is_not_judged():
    """Whoever made it knows more."""
    assert judged(RuntimeError("a defect")) is None
