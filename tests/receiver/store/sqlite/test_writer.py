"""What the writer does when its file, its WAL or its lock is another's."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store import backend
from jobmeter.receiver.store import writer as writers
from jobmeter.receiver.store.errors import Locked
from jobmeter.receiver.store.sqlite import backend as sqlite
from tests.receiver.store.support import Blocking, Failing, found, results_of, stored, summary, with_writer


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


@pytest.mark.parametrize("with_a_known_one", [False, True])
def test_a_lock_of_another_is_the_answer_to_all_that_wait(tmp_path, monkeypatch, with_a_known_one):
    """After one wait for it, not one for each; then it goes on."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.3)
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
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.3)
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
    assert 2 * backend.BUSY_SECONDS < 10


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


def test_trouble_is_what_the_last_commit_failed_of_and_ends_with_it(tmp_path, monkeypatch):
    """It tries again by itself, as nobody sends to a receiver in trouble."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
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
