"""What the database says becomes an error of ours, and who else it would have met is known."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.store.errors import Locked
from jobmeter.receiver.store.sqlite.errors import judged

KINDS = [
    ("SQLITE_BUSY", True, Locked, "cannot be used"),
    ("SQLITE_BUSY_RECOVERY", True, Locked, "cannot be used"),
    ("SQLITE_LOCKED", True, StoreError, "cannot be used"),
    ("SQLITE_PROTOCOL", True, StoreError, "cannot be used"),
    ("SQLITE_NOMEM", True, StoreError, "cannot be used"),
    ("SQLITE_FULL", True, StoreFull, "cannot grow: no space is left"),
    ("SQLITE_IOERR", True, StoreError, "cannot be used"),
    ("SQLITE_IOERR_WRITE", True, StoreError, "cannot be used"),
    ("SQLITE_IOERR_SHMSIZE", True, StoreFull, "cannot grow: no space is left"),
    ("SQLITE_READONLY", True, StoreError, "cannot be used"),
    ("SQLITE_READONLY_DBMOVED", True, StoreError, "cannot be used"),
    ("SQLITE_CANTOPEN", True, StoreError, "cannot be used"),
    ("SQLITE_CANTOPEN_ISDIR", True, StoreError, "cannot be used"),
    ("SQLITE_NOTADB", True, StoreError, "is not a database of jobmeter"),
    ("SQLITE_CORRUPT", False, StoreError, "is damaged"),
    ("SQLITE_ERROR", False, StoreError, "cannot be used"),
    ("SQLITE_CONSTRAINT_UNIQUE", False, StoreError, "cannot be used"),
    ("SQLITE_TOOBIG", False, StoreError, "cannot be used"),
]


@pytest.mark.parametrize("through_the_library", [False, True])
@pytest.mark.parametrize("code, all_of_them, kind, sentence", KINDS)
def test_an_error_of_the_database_is_one_of_ours(code, all_of_them, kind, sentence, through_the_library):
    """By its code, of which the lowest byte is the kind."""
    cause = sqlite3.DatabaseError("what it says")
    cause.sqlite_errorcode = getattr(sqlite3, code)
    error = DBAPIError("INSERT", (), cause) if through_the_library else cause
    judgement = judged(error, "here")
    assert judgement is not None
    assert type(judgement.error) is kind
    assert str(judgement.error).startswith(f"here {sentence}")
    assert judgement[1:] == (all_of_them, False, False)


def test_an_error_of_something_else_is_not_judged():
    """Whoever made it knows more."""
    assert judged(RuntimeError("a defect")) is None
