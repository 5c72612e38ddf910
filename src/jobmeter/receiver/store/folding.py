"""Folds what was streamed of a run, in whatever state it is."""

from sqlalchemy import Connection

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import Summary
from jobmeter.receiver.store.queries import records


def fold_stored(connection: Connection, run_id: int, fold: RunFold) -> str | None:
    """Add the stored records of a run (``Run.id``), up to one that cannot be read; then a sentence says why.

    It is among the warnings of the fold, too.
    """
    try:
        for record in records(connection, run_id):
            fold_record(record, fold)
    except JournalError as error:
        reason = f"Records from {fold.next_sequence} on cannot be read: {error}."
        fold.warn(reason)
        return reason
    return None


def fold_record(record: wire.AnyRecord, fold: RunFold) -> None:
    """Add one record; one that cannot be added is left out, with a warning."""
    try:
        fold.add(record)
    except JournalError as error:
        fold.warn(f"A record is left out: {error}.")


def summary_of(fold: RunFold) -> Summary | None:
    """None when nothing can be told, as without the start record."""
    try:
        return fold.summary()
    except (JournalError, OverflowError, ValueError):
        return None


def first_record(connection: Connection, run_id: int) -> wire.AnyRecord | None:
    """None when there is none that can be read."""
    try:
        return next(records(connection, run_id), None)
    except JournalError:
        return None
