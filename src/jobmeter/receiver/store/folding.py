"""Folds what was streamed of a run, in whatever state it is."""

from sqlalchemy import Connection

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.exits import Exit
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import Summary
from jobmeter.receiver.store.backend import Key
from jobmeter.receiver.store.queries import records
from jobmeter.report.figures import roughly


def fold_stored(connection: Connection, key: Key, fold: RunFold) -> str | None:
    """Add the stored records of a run (``Run.key``), up to one that cannot be read; then a sentence says why.

    It is among the warnings of the fold, too.
    """
    try:
        for record in records(connection, key):
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


def summary_of(fold: RunFold, without_end: Exit) -> Summary | None:
    """The summary, whose exit is ``without_end`` unless the run's end came.

    None when nothing can be told, as without the start record.
    """
    try:
        summary = fold.summary()
    except (JournalError, OverflowError, ValueError):
        return None
    if not fold.ended:
        summary.exit = without_end
    return summary


def silence(seconds: float | None = None) -> Exit:
    """The exit of a run that was not heard of any more, for so long if that is known."""
    heard = "nothing more of the run" if seconds is None else f"nothing of the run for {roughly(seconds)}"
    return Exit(
        reason="lost",
        detail=f"The receiver heard {heard}: its meter was killed, or cannot reach the receiver.",
        certainty="probable",
    )


def first_record(connection: Connection, key: Key) -> wire.AnyRecord | None:
    """None when there is none that can be read."""
    try:
        return next(records(connection, key), None)
    except JournalError:
        return None
