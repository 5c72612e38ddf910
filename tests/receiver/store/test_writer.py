"""The one writer: what it acknowledges is stored, and one bad change spoils no other."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store import writer as writers
from jobmeter.receiver.store.writer import QueueFull
from tests.receiver.store.support import Blocking, Failing, asked, found, stored, summary, with_writer


def test_what_gathers_during_a_commit_is_one_commit(place):
    """Each has its own result, in whatever order they finish."""
    commits = []

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        others = [writer.submit(summary(f"u{number}")) for number in range(100)]
        writer._observer = lambda changes, seconds: commits.append(changes)
        blocking.released.set()
        return await first, await asyncio.gather(*others)

    first, ids = with_writer(place, work)
    assert first == "done"
    assert sorted(ids) == list(range(1, 101))
    assert len(commits) <= 2


def test_the_same_run_twice_in_one_commit_is_one_run(place):
    """Both have its id."""

    async def work(writer, _):
        return await asyncio.gather(*(writer.submit(summary(uid)) for uid in ("a", "b", "a", "a")))

    first, second, *again = with_writer(place, work)
    assert first != second
    assert again == [first, first]


def test_known_and_new_runs_in_one_commit_have_each_their_id(place):
    """Whether one statement can store them or not."""
    (known,) = stored(place, summary("known", b'{"n":1}'))

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        rest = [writer.submit(summary(uid, b'{"n":2}')) for uid in ("new", "known", "newer")]
        blocking.released.set()
        await first
        return await asyncio.gather(*rest)

    assert with_writer(place, work)[1] == known
    assert asked(place, "SELECT count(*), count(DISTINCT run_uid) FROM runs") == [(3, 3)]
    assert found(place, "known").summary == b'{"n":2}'


def test_many_runs_have_the_ids_they_are_told(place):
    """Whatever the number of rows a statement takes."""

    async def work(writer, _):
        return await asyncio.gather(*(writer.submit(summary(f"u{number}")) for number in range(203)))

    ids = with_writer(place, work)
    rows = dict(asked(place, "SELECT run_uid, id FROM runs"))
    assert [rows[f"u{number}"] for number in range(203)] == ids


def test_a_later_summary_of_a_run_replaces_the_earlier_one(place):
    """The run keeps its id."""
    first, second = stored(place, summary("a", b'{"n":1}'), summary("a", b'{"n":2}'))
    assert first == second
    assert found(place, "a").summary == b'{"n":2}'


@pytest.mark.parametrize(
    "fault, expected", [(RuntimeError("a defect"), RuntimeError), ("SELECT nonesuch", StoreError)]
)
def test_a_change_that_fails_undoes_nothing_but_itself(place, fault, expected):
    """The others of its commit are stored; it has its error."""

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        rest = [writer.submit(one) for one in (summary("a"), Failing(fault), summary("b"))]
        blocking.released.set()
        await first
        return await asyncio.gather(*rest, return_exceptions=True)

    one, failed, other = with_writer(place, work)
    assert type(failed) is expected
    assert one < other
    assert asked(place, "SELECT count(*) FROM parts") == [(0,)]


def test_the_queue_is_bounded(place, monkeypatch):
    """What is beyond is refused at once, and taken again when there is room."""
    monkeypatch.setattr(writers, "MAX_QUEUED", 2)

    async def work(writer, _):
        blocking = Blocking()
        waiting = [writer.submit(blocking), writer.submit(summary("a"))]
        with pytest.raises(QueueFull):
            writer.submit(summary("b"))
        blocking.released.set()
        await asyncio.gather(*waiting)
        return await writer.submit(summary("b"))

    assert with_writer(place, work) == 2


def test_what_waits_at_the_end_is_committed(place):
    """Closing takes nothing more, loses nothing, and may be done twice."""

    async def work(writer, _):
        waiting = [writer.submit(summary(f"u{number}")) for number in range(10)]
        await writer.close()
        with pytest.raises(QueueFull):
            writer.submit(summary("late"))
        return await asyncio.gather(*waiting)

    assert with_writer(place, work) == list(range(1, 11))


def test_who_no_longer_waits_is_no_trouble(place):
    """A client that has gone cancels its wait, not the commit."""

    async def work(writer, _):
        writer.submit(summary("a")).cancel()
        await writer.submit(summary("b"))

    with_writer(place, work)
    assert found(place, "a").summary == b"{}"


def test_a_database_that_went_away_is_an_error_of_ours(place):
    """Not one of the library."""

    async def work(writer, database):
        with database.writer.begin() as connection:
            connection.execute(text("DROP TABLE runs"))
        return await asyncio.gather(writer.submit(summary("a")), return_exceptions=True)

    (error,) = with_writer(place, work)
    assert isinstance(error, StoreError)
    assert "runs" in str(error)


def test_who_counts_cannot_stop_the_writer(place):
    """It stores on."""

    def failing(changes, seconds):
        raise ValueError("a defect")

    async def work(writer, _):
        writer._observer = failing
        return [await writer.submit(summary(uid)) for uid in "ab"], writer.trouble()

    assert with_writer(place, work) == ([1, 2], None)


def test_trouble_is_a_change_that_waits_for_long(place, monkeypatch):
    """As while the disk stalls."""
    monkeypatch.setattr(writers, "_LONG_SECONDS", 0.1)

    async def work(writer, _):
        blocking = Blocking()
        waiting = writer.submit(blocking)
        await asyncio.sleep(0.2)
        told = writer.trouble()
        blocking.released.set()
        await waiting
        return told, writer.trouble()

    told, after = with_writer(place, work)
    assert "has waited for more than" in told
    assert after is None
