"""A month of which nothing is to be kept goes at once; one of which anything is stays, and is removed in bites."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import update

from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.backend import Dropped
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence
from jobmeter.receiver.store.months import month_of
from jobmeter.receiver.store.postgresql import old_months
from jobmeter.receiver.store.usage_tables import usage_progress
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.postgresql.test_partitions import DAY, NOW, made, uid
from tests.receiver.store.support import asked, found, lines, part, stored, summary, with_writer
from tests.receiver.store.test_usages import Changing, Quiet

LATER = NOW + 100 * DAY
OLD = [uid(NOW), uid(NOW + 1), uid(NOW + 2)]


@pytest.fixture
def url(postgresql_url):
    """Two streamed runs and a summary of this month, and a run whose key has no month; two have evidence."""
    made(postgresql_url)
    runs = [change for one in OLD[:2] for change in (part(one, 0, 2), part(one, 2, 1, ends_after=2))]
    evidence = [NewEvidence(run, KeptEvidence(1, 1, 1, False, b"")) for run in (OLD[2], "push-1")]
    stored(postgresql_url, *runs, summary(OLD[2]), summary("push-1"), *evidence)
    told(postgresql_url)
    return postgresql_url


def told(url: str) -> None:
    """Have history take in all of it, and a run after."""

    async def work(writer: Writer, database: Database) -> None:
        await Bookkeeping(database, writer, Quiet()).look_back()
        await writer.submit(Changing(update(usage_progress).values(heard_at=2**62)))

    with_writer(url, work)


def dropped(url: str, timelines_before: int | None, runs_before: int | None) -> Dropped:
    """What goes."""
    with psycopg.connect(url, autocommit=True) as connection:
        return old_months.drop(connection, timelines_before, runs_before)


def tables(url: str) -> set[str]:
    """Of this month."""
    name = month_of(NOW).name
    rows = asked(url, f"SELECT tablename FROM pg_tables WHERE tablename LIKE '%{name}'")
    return {table.removesuffix(f"_{name}") for (table,) in rows}


def counts(url: str) -> tuple[int, int]:
    """How many runs and parts there are."""
    (row,) = asked(url, "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM parts)")
    return row[0], row[1]


def test_the_runs_of_a_month_go_with_their_tables(url):
    """Their evidence too; those without a month stay."""
    assert dropped(url, None, LATER) == Dropped(3, 0)
    assert asked(url, "SELECT run FROM evidence") == [("push-1",)]
    assert (counts(url), tables(url)) == ((1, 0), set())
    assert dropped(url, LATER, LATER) == Dropped()


def test_the_timelines_of_a_month_go(url):
    """And their runs stay."""
    assert dropped(url, LATER, None) == Dropped(0, 2)
    assert (counts(url), tables(url)) == ((4, 0), {"runs", "parts", "evidence"})
    assert found(url, OLD[0]).summary == b'{"folded":true}'
    assert asked(url, "SELECT count(*) FROM evidence") == [(2,)]


@pytest.mark.parametrize(
    "change", ["state = 'running'", f"heard_at = {LATER + 1}"], ids=["goes on", "heard of"]
)
def test_a_month_of_which_something_is_young_stays(url, change):
    """One run is enough."""
    with psycopg.connect(url) as connection:
        connection.execute(f"UPDATE runs SET {change} WHERE run_uid = %s".encode(), [OLD[2]])
    assert dropped(url, LATER, LATER) == Dropped()
    assert counts(url) == (4, 4)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET heard_at = heard_at + 1 WHERE state <> 'running'",
        "DELETE FROM usages",
        "UPDATE usage_progress SET heard_at = 0",
    ],
    ids=["changed", "never", "set back meanwhile"],
)
def test_a_month_that_history_has_not_taken_in_stays(url, statement):
    """Else its runs would be in no sum."""
    with psycopg.connect(url) as connection:
        connection.execute(statement)
    assert dropped(url, None, LATER) == Dropped()
    assert counts(url) == (4, 4)
    assert dropped(url, LATER, None) == Dropped(0, 2)


def test_a_month_that_has_not_ended_stays(url):
    """Though all of it is old."""
    month_ends = month_of(NOW).after().begin
    assert dropped(url, month_ends - 1, month_ends - 1) == Dropped()
    assert dropped(url, None, month_ends) == Dropped(3, 0)


def test_what_comes_late_for_a_month_that_has_gone_is_stored(url):
    """Where what has no month lies."""
    dropped(url, None, LATER)
    stored(url, part(OLD[0], 0, 2), part(OLD[0], 2, 1, ends_after=2))
    assert lines(url, OLD[0]) == [0, 1, 2]
    assert made(url) != []
    assert lines(url, OLD[0]) == [0, 1, 2]


def test_somebody_who_is_at_a_month_is_not_disturbed(url):
    """It goes with a later sweep."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1 FROM runs WHERE run_uid = %s FOR UPDATE", [OLD[0]])
        assert dropped(url, None, LATER) == Dropped()
        assert counts(url) == (4, 4)
    assert dropped(url, None, LATER) == Dropped(3, 0)


def test_an_empty_table_that_could_not_be_dropped_goes_later(url):
    """As while a long question is asked about other months."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1 FROM runs WHERE run_uid = 'push-1'")
        assert dropped(url, None, LATER) == Dropped(3, 0) or tables(url)
    dropped(url, None, LATER)
    assert (counts(url), tables(url)) == ((1, 0), set())
