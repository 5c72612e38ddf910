"""What comes alone is stored by the event loop itself: only where that is quick, and with the same results."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from jobmeter.model.errors import StoreFull
from jobmeter.receiver.store import writer as writers
from tests.receiver.store.support import found, summary, with_writer
from tests.receiver.store.test_writer import Blocking

QUICK, SLOW = 0.0002, 0.02


class Disk:
    """A clock by which each commit takes so many seconds, and who made each commit."""

    def __init__(self, seconds: float = QUICK) -> None:
        self.seconds = seconds
        self.commits: list[tuple[bool, int]] = []
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self.seconds
        return self._now

    def committed(self, changes: int, seconds: float) -> None:
        self.commits.append((threading.current_thread() is threading.main_thread(), changes))

    @property
    def by_loop(self) -> list[bool]:
        return [by_loop for by_loop, _ in self.commits]


class Asking:
    """Answers what a statement gives on the writer's connection."""

    size = 0

    def __init__(self, statement: str) -> None:
        self.statement = statement

    def apply(self, connection, now):
        return connection.exec_driver_sql(self.statement).scalar()


def on(disk, path, work):
    return with_writer(path, work, observer=disk.committed, clock=disk)


async def one_by_one(writer, count, prefix="u"):
    return [await writer.submit(summary(f"{prefix}{number}")) for number in range(count)]


def test_on_a_quick_disk_the_loop_stores_what_comes_alone(tmp_path):
    """Once a commit of the thread has shown that it is quick; the ids are those of the order of arrival."""
    disk = Disk()
    assert on(disk, tmp_path / "db", lambda writer, _: one_by_one(writer, 20)) == list(range(1, 21))
    assert disk.commits == [(False, 1)] + [(True, 1)] * 19
    rows = sqlite3.connect(tmp_path / "db").execute("SELECT run_uid FROM runs ORDER BY id").fetchall()
    assert rows == [(f"u{number}",) for number in range(20)]


def test_a_slow_disk_never_holds_up_the_loop(tmp_path):
    """However long it stays slow."""
    disk = Disk(SLOW)
    on(disk, tmp_path / "db", lambda writer, _: one_by_one(writer, 20))
    assert disk.by_loop == [False] * 20


def test_a_stall_is_made_good_by_quick_commits_of_the_thread(tmp_path):
    """The longer it was, the more of them."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        disk.seconds = SLOW
        await one_by_one(writer, 1, "slow")
        disk.seconds = QUICK
        await one_by_one(writer, 40, "after")

    on(disk, tmp_path / "db", work)
    assert disk.by_loop[:3] == [False, True, True]
    after = disk.by_loop[3:]
    assert after.index(True) == SLOW / writers._QUICK_SECONDS + 1
    assert all(after[after.index(True) :])


def test_what_comes_together_is_one_commit_of_the_thread(tmp_path):
    """In the order in which it came, and no commit for the first one alone."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        blocking = Blocking()
        waiting = [writer.submit(summary("a")), writer.submit(blocking), writer.submit(summary("b"))]
        blocking.released.set()
        return await asyncio.gather(*waiting)

    assert on(disk, tmp_path / "db", work) == [3, "done", 4]
    assert disk.by_loop[:2] == [False, True]
    assert not any(disk.by_loop[2:])


def test_senders_that_take_turns_are_for_the_thread(tmp_path):
    """The loop reads what the next one sends while the disk works; it stores for one who goes on alone."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        for number, sender in enumerate("ababbb"):
            await writer.submit(summary(f"{sender}{number}"), sender)

    on(disk, tmp_path / "db", work)
    assert disk.by_loop == [False, True, False, False, False, False, True, True]


def test_the_loop_does_not_write_while_the_thread_does(tmp_path):
    """What comes meanwhile waits its turn behind it."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        blocking = Blocking()
        first = writer.submit(blocking)
        await asyncio.sleep(0.01)
        second = writer.submit(summary("a"))
        await asyncio.sleep(0.01)
        assert not second.done()
        blocking.released.set()
        return await asyncio.gather(first, second)

    assert on(disk, tmp_path / "db", work) == ["done", 3]
    assert disk.by_loop == [False, True, False, False]


def test_the_lock_of_another_process_does_not_hold_up_the_loop(tmp_path):
    """The thread waits for it."""
    path = tmp_path / "db"

    async def work(writer, _):
        await one_by_one(writer, 2)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = writer.submit(summary("a"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        return await waiting

    assert on(Disk(), path, work) == 3


def test_a_known_run_alone_keeps_its_id(tmp_path):
    """It is changed by the thread."""
    path = tmp_path / "db"

    async def work(writer, _):
        await one_by_one(writer, 3)
        return await writer.submit(summary("u1", b'{"n":2}')), await writer.submit(summary("new"))

    again, new = on(Disk(), path, work)
    assert (again, found(path, "u1").summary) == (2, b'{"n":2}')
    assert new == found(path, "new").id


def test_a_full_disk_is_told_to_who_came_alone(tmp_path):
    """And nothing is wrong with what comes when there is room."""

    async def work(writer, _):
        await one_by_one(writer, 2)
        await writer.submit(Asking("PRAGMA max_page_count = 1"))
        with pytest.raises(StoreFull):
            await writer.submit(summary("large", b'"' + b"x" * 60_000 + b'"'))
        await writer.submit(Asking("PRAGMA max_page_count = 1000000"))
        return await writer.submit(summary("a"))

    assert on(Disk(), tmp_path / "db", work) == 3


def test_what_cannot_be_stored_is_told_to_who_came_alone(tmp_path):
    """Whatever is wrong with it, the next is stored as usual."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        with pytest.raises(OverflowError):
            await writer.submit(summary("a")._replace(start_time=2**80))
        return await one_by_one(writer, 2, "next")

    assert on(disk, tmp_path / "db", work) == [3, 4]
    assert disk.by_loop == [False, True, False, True, True]


def test_the_thread_writes_the_log_back_now_and_then(tmp_path, monkeypatch):
    """The loop leaves it to a commit of the thread, of which there is one after so many of the loop's."""
    monkeypatch.setattr(writers, "_ALONE_IN_A_ROW", 3)
    disk = Disk()

    async def work(writer, _):
        before = await writer.submit(Asking("PRAGMA wal_autocheckpoint"))
        await one_by_one(writer, 9)
        assert await writer.submit(Asking("PRAGMA wal_autocheckpoint")) == before > 0
        assert await writer.submit(Asking("PRAGMA busy_timeout")) > 0

    on(disk, tmp_path / "db", work)
    assert disk.by_loop[1:10] == [True, True, True, False, True, True, True, False, True]


def test_a_large_summary_is_for_the_thread(tmp_path):
    """To write it takes long on any disk."""
    disk = Disk()

    async def work(writer, _):
        await one_by_one(writer, 2)
        await writer.submit(summary("large", b'"' + b"x" * 1_000_000 + b'"'))

    on(disk, tmp_path / "db", work)
    assert disk.by_loop == [False, True, False]


def test_what_came_alone_before_the_end_is_committed(tmp_path):
    """Whether its turn has come or not, and whoever waits for it."""
    path = tmp_path / "db"

    async def work(writer, _):
        await one_by_one(writer, 2)
        writer.submit(summary("gone")).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = writer.submit(summary("last"))
        await writer.close()
        return await waiting

    assert on(Disk(), path, work) == 4
    assert found(path, "gone").id == 3
