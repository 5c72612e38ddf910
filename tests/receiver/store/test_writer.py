"""The one writer: what it acknowledges is stored, and one bad change spoils no other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store import database as databases
from jobmeter.receiver.store import writer as writers
from jobmeter.receiver.store.errors import Locked
from jobmeter.receiver.store.writer import QueueFull
from tests.receiver.store.support import found, stored, summary, with_writer


class Blocking:
    """Holds the writer until it is released; counts how often it was applied."""

    size = 10

    def __init__(self) -> None:
        self.released = threading.Event()

    def apply(self, connection, now):
        self.released.wait(30)
        return "done"


class Failing:
    """Spoils the transaction it is in."""

    size = 0

    def __init__(self, error: Exception) -> None:
        self.error = error

    def apply(self, connection, now):
        connection.execute(
            text("INSERT INTO parts (run, first_sequence, next_sequence, body) VALUES (1, 0, 1, '')")
        )
        raise self.error


def test_what_gathers_during_a_commit_is_one_commit(tmp_path):
    """Each has its own result, in whatever order they finish."""
    commits = []

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        others = [writer.submit(summary(f"u{number}")) for number in range(100)]
        writer._observer = lambda changes, seconds: commits.append(changes)
        blocking.released.set()
        return await first, await asyncio.gather(*others)

    first, ids = with_writer(tmp_path / "db", work)
    assert first == "done"
    assert sorted(ids) == list(range(1, 101))
    assert len(commits) <= 2


def test_the_same_run_twice_in_one_commit_is_one_run(tmp_path):
    """Both have its id."""

    async def work(writer, _):
        return await asyncio.gather(*(writer.submit(summary(uid)) for uid in ("a", "b", "a", "a")))

    first, second, *again = with_writer(tmp_path / "db", work)
    assert first != second
    assert again == [first, first]


def test_known_and_new_runs_in_one_commit_have_each_their_id(tmp_path):
    """Whether one statement can store them or not."""
    path = tmp_path / "db"
    (known,) = stored(path, summary("known", b'{"n":1}'))

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        rest = [writer.submit(summary(uid, b'{"n":2}')) for uid in ("new", "known", "newer")]
        blocking.released.set()
        await first
        return await asyncio.gather(*rest)

    assert with_writer(path, work)[1] == known
    rows = sqlite3.connect(path).execute("SELECT count(*), count(DISTINCT run_uid) FROM runs").fetchone()
    assert rows == (3, 3)
    assert found(path, "known").summary == b'{"n":2}'


def test_many_runs_have_the_ids_they_are_told(tmp_path):
    """Whatever the number of rows a statement takes."""
    path = tmp_path / "db"

    async def work(writer, _):
        return await asyncio.gather(*(writer.submit(summary(f"u{number}")) for number in range(203)))

    ids = with_writer(path, work)
    rows = dict(sqlite3.connect(path).execute("SELECT run_uid, id FROM runs"))
    assert [rows[f"u{number}"] for number in range(203)] == ids


def test_a_later_summary_of_a_run_replaces_the_earlier_one(tmp_path):
    """The run keeps its id."""
    first, second = stored(tmp_path / "db", summary("a", b'{"n":1}'), summary("a", b'{"n":2}'))
    assert first == second
    assert found(tmp_path / "db", "a").summary == b'{"n":2}'


@pytest.mark.parametrize(
    "error, expected", [(RuntimeError("a defect"), RuntimeError), (sqlite3.OperationalError("x"), StoreError)]
)
def test_a_change_that_fails_undoes_nothing_but_itself(tmp_path, error, expected):
    """The others of its commit are stored; it has its error."""

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        rest = [writer.submit(one) for one in (summary("a"), Failing(error), summary("b"))]
        blocking.released.set()
        await first
        return await asyncio.gather(*rest, return_exceptions=True)

    one, failed, other = with_writer(tmp_path / "db", work)
    assert (one, type(failed), other) == (1, expected, 2)
    assert sqlite3.connect(tmp_path / "db").execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_the_queue_is_bounded(tmp_path, monkeypatch):
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

    assert with_writer(tmp_path / "db", work) == 2


def test_what_waits_at_the_end_is_committed(tmp_path):
    """Closing takes nothing more, loses nothing, and may be done twice."""
    path = tmp_path / "db"

    async def work(writer, _):
        waiting = [writer.submit(summary(f"u{number}")) for number in range(10)]
        await writer.close()
        with pytest.raises(QueueFull):
            writer.submit(summary("late"))
        return await asyncio.gather(*waiting)

    assert with_writer(path, work) == list(range(1, 11))


def test_who_no_longer_waits_is_no_trouble(tmp_path):
    """A client that has gone cancels its wait, not the commit."""
    path = tmp_path / "db"

    async def work(writer, _):
        writer.submit(summary("a")).cancel()
        await writer.submit(summary("b"))

    with_writer(path, work)
    assert found(path, "a").summary == b"{}"


def test_a_database_that_went_away_is_an_error_of_ours(tmp_path):
    """Not one of the library."""
    path = tmp_path / "db"

    async def work(writer, database):
        with database.writer.begin() as connection:
            connection.execute(text("DROP TABLE runs"))
        return await asyncio.gather(writer.submit(summary("a")), return_exceptions=True)

    (error,) = with_writer(path, work)
    assert isinstance(error, StoreError)
    assert "no such table" in str(error)


@pytest.mark.parametrize("harm", ["removed", "replaced"])
def test_nothing_is_acknowledged_that_only_a_lost_wal_would_have(tmp_path, harm):
    """What was before is in the database once it is closed, which is what the sentence says."""
    path, wal = tmp_path / "db", tmp_path / "db-wal"
    stored(path, summary("old"))

    async def work(writer, _):
        (acknowledged,) = await results_of(writer, summary("a"))
        wal.rename(tmp_path / "away")
        if harm == "replaced":
            wal.write_bytes(b"")
        return acknowledged, writer.trouble(), await results_of(writer, summary("b"))

    acknowledged, trouble, (refused,) = with_writer(path, work)
    assert isinstance(refused, StoreError)
    assert trouble == str(refused)
    assert f"{wal} is not the file that was opened" in trouble
    assert "stop the receiver by SIGTERM" in trouble
    assert found(path, "a").id == acknowledged
    assert not wal.exists()


def test_a_wal_that_is_emptied_is_still_the_one_that_was_opened(tmp_path):
    """As another process may do at any time."""
    path = tmp_path / "db"

    async def work(writer, _):
        first = await results_of(writer, summary("a"))
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert (tmp_path / "db-wal").stat().st_size == 0
        return first + await results_of(writer, summary("b"))

    assert with_writer(path, work) == [1, 2]


def test_a_file_in_the_place_of_the_database_is_trouble_before_anything_is_sent(tmp_path):
    """The sentence names what would spoil it."""
    path = tmp_path / "db"
    stored(tmp_path / "copy", summary("other"))

    async def work(writer, _):
        await writer.submit(summary("a"))
        (tmp_path / "copy").rename(path)
        return writer.trouble()

    trouble = with_writer(path, work)
    assert f"stop the receiver and remove {path}-wal and {path}-shm" in trouble
    assert (tmp_path / "db-wal").exists()


def test_nothing_is_acknowledged_that_would_not_be_found(tmp_path):
    """The file was moved away; it is stored again once it is back."""
    path = tmp_path / "db"

    async def work(writer, _):
        (stored,) = await results_of(writer, summary("a"))
        path.rename(tmp_path / "away")
        refused = await results_of(writer, summary("b"), summary("c"))
        trouble = writer.trouble()
        (tmp_path / "away").rename(path)
        (again,) = await results_of(writer, summary("b"))
        return stored, refused, trouble, again, writer.trouble()

    stored, refused, trouble, again, after = with_writer(path, work)
    assert all(isinstance(one, StoreError) for one in refused)
    assert "moved, removed or replaced" in str(trouble)
    assert (stored, again, after) == (1, 2, None)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def results_of(writer, *changes):
    return await asyncio.gather(*map(writer.submit, changes), return_exceptions=True)


@pytest.mark.parametrize("with_a_known_one", [False, True])
def test_a_lock_of_another_is_the_answer_to_all_that_wait(tmp_path, monkeypatch, with_a_known_one):
    """After one wait for it, not one for each; then it goes on."""
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.3)
    path = tmp_path / "db"
    stored(path, summary("known"))
    changes = [summary(f"u{number}") for number in range(9)] + [summary("known")] * with_a_known_one

    async def work(writer, _):
        with locked(path):
            begun = time.monotonic()
            answers = await results_of(writer, *changes)
            seconds = time.monotonic() - begun
        return answers, seconds, await results_of(writer, *changes)

    refused, seconds, taken = with_writer(path, work)
    assert {type(one) for one in refused} == {Locked}
    assert "locked" in str(refused[0])
    assert seconds < 5 * 0.3
    assert sorted(taken) == sorted({*taken})


def test_who_waited_as_long_as_another_for_a_lock_has_the_same_answer(tmp_path, monkeypatch):
    """However many they are; who came later waits once more, and nobody for three."""
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.3)
    monkeypatch.setattr(writers, "_MAX_BATCH", 2)
    path, tried = tmp_path / "db", []

    async def work(writer, _):
        await writer.submit(summary("before"))
        writer._observer = lambda changes, seconds: tried.append(changes)
        with locked(path):
            refused = await results_of(writer, *(summary(f"u{number}") for number in range(20)))
        return refused, await results_of(writer, summary("after"))

    refused, taken = with_writer(path, work)
    assert {str(one) for one in refused} == {"the database cannot be used: database is locked"}
    assert len(tried) <= 3  # The first one or two, the next two, and the one afterwards.
    assert taken == [2]


def test_a_wait_for_a_lock_ends_while_senders_still_listen():
    """Who comes at its begin waits for two; they give up after 10 s."""
    assert 2 * databases._BUSY_SECONDS < 10


def test_a_lock_that_comes_while_each_is_tried_alone_is_waited_for_once(tmp_path):
    """What is left has the same answer."""
    path = tmp_path / "db"

    class Locking(Blocking):
        def apply(self, connection, now):
            with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")

    async def work(writer, _):
        blocking = Blocking()
        first = writer.submit(blocking)
        changes = (summary("a"), Failing(RuntimeError("x")), Locking(), summary("b"))
        rest = asyncio.gather(*map(writer.submit, changes), return_exceptions=True)
        blocking.released.set()
        await first
        return await rest

    results = with_writer(path, work)
    assert [type(one) for one in results] == [int, RuntimeError, Locked, Locked]


def test_who_counts_cannot_stop_the_writer(tmp_path):
    """It stores on."""

    def failing(changes, seconds):
        raise ValueError("a defect")

    async def work(writer, _):
        writer._observer = failing
        return [await writer.submit(summary(uid)) for uid in "ab"], writer.trouble()

    assert with_writer(tmp_path / "db", work) == ([1, 2], None)


def test_trouble_is_what_the_last_commit_failed_of_and_ends_with_it(tmp_path, monkeypatch):
    """It tries again by itself, as nobody sends to a receiver in trouble."""
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.05)
    path = tmp_path / "db"

    async def until(writer, expected):
        deadline = time.monotonic() + 20
        while (writer.trouble() is None) != expected and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return writer.trouble()

    async def work(writer, _):
        told = [writer.trouble()]
        with locked(path):
            await results_of(writer, summary("a"))
            told.append(writer.trouble())
            await asyncio.sleep(0.3)
            told.append(writer.trouble())
        told.append(await until(writer, True))
        await writer.close()
        return [*told, writer.trouble()]

    before, failed, still, after, closed = with_writer(path, work)
    assert (before, after, closed) == (None, None, "the writer does not run")
    assert failed == still
    assert "locked" in failed


def test_trouble_is_a_change_that_waits_for_long(tmp_path, monkeypatch):
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

    told, after = with_writer(tmp_path / "db", work)
    assert "has waited for more than" in told
    assert after is None
