"""Several receivers share one database: what each acknowledged is there once, whatever the others and the server do."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.errors import NotStorable
from jobmeter.receiver.store.postgresql import backend
from jobmeter.receiver.store.queries import Run, RunFilter, newest_runs
from jobmeter.receiver.store.streams import Claim, Ending, Finish, Gap, Progress
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import asked, found, lines, part, results_of, stored, summary

COUNT = 200


@asynccontextmanager
async def writing(url: str):
    """A receiver's writer."""
    database = Database.open(url)
    writer = Writer(database)
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()
        database.close()


def with_two(url: str, work: Callable[[Writer, Writer], Awaitable[Any]]) -> Any:
    """What ``work`` gives with the writers of two receivers."""

    async def run() -> Any:
        async with AsyncExitStack() as stack:
            return await work(
                await stack.enter_async_context(writing(url)), await stack.enter_async_context(writing(url))
            )

    return asyncio.run(run())


def test_the_same_summaries_at_both_are_stored_once(postgresql_url):
    """Both have the same ids; the order in which they came differs."""
    changes = [summary(f"u{number}") for number in range(COUNT)]

    async def work(one, other):
        return await asyncio.gather(results_of(one, *changes), results_of(other, *reversed(changes)))

    first, second = with_two(postgresql_url, work)
    assert first == list(reversed(second))
    assert len({*first}) == COUNT
    assert asked(postgresql_url, "SELECT count(*) FROM runs") == [(COUNT,)]


def test_a_run_that_is_sent_to_both_at_once_is_stored_once(postgresql_url):
    """Each part of it, whoever is first; what comes too early says what is missing."""
    parts = [part("u", first, 2) for first in range(0, 40, 2)]

    async def work(one, other):
        return await asyncio.gather(results_of(one, *parts), results_of(other, *parts))

    results = list(itertools.chain(*with_two(postgresql_url, work)))
    assert {type(result) for result in results} <= {Progress, Gap}
    assert lines(postgresql_url, "u") == list(range(found(postgresql_url, "u").next_sequence))
    stored_records = sum(result.stored_records for result in results if isinstance(result, Progress))
    assert stored_records == found(postgresql_url, "u").next_sequence


def test_a_run_begun_at_one_is_finished_at_the_other(postgresql_url):
    """In turns; the end is folded from what both have stored."""

    async def work(one, other):
        for first in range(0, 20, 2):
            await (one if first % 4 else other).submit(part("u", first, 2))
        return await other.submit(part("u", 20, 1, ends_after=20))

    assert with_two(postgresql_url, work) == Progress(21, True, 1)
    assert found(postgresql_url, "u").state == "finished"
    assert lines(postgresql_url, "u") == list(range(21))


def test_a_list_has_each_run_once_though_both_go_on_storing(postgresql_url):
    """Every one that was there when its first page was read."""
    stored(postgresql_url, *(summary(f"before-{number}") for number in range(50)))
    lists = []

    async def work(one, other):
        database, numbers = Database.open(postgresql_url), itertools.count()

        async def store(writer):
            while not done.is_set():
                await results_of(writer, *(summary(f"new-{next(numbers)}") for _ in range(3)))
                await asyncio.sleep(0.01)

        done = asyncio.Event()
        storing = [asyncio.create_task(store(writer)) for writer in (one, other)]
        for _ in range(5):
            there = await database.read(
                lambda asked: {run.run_uid for run in newest_runs(asked, ALL, None, 10**6)}
            )
            listed, before = [], None
            while page := await database.read(partial(pages_of, before=before)):
                listed += [run.run_uid for run in page]
                before = page[-1].id
            lists.append((there, listed))
        done.set()
        await asyncio.gather(*storing)
        database.close()

    with_two(postgresql_url, work)
    for there, listed in lists:
        assert len(listed) == len({*listed}) >= 50
        assert there <= {*listed}


ALL = RunFilter()


def pages_of(connection: Connection, before: int | None) -> list[Run]:
    """A small page of all runs."""
    return list(newest_runs(connection, ALL, before, 10))


class Meeting:
    """Applies a change, waits for the other receiver to have applied its own, and applies a second one."""

    size = 0

    def __init__(self, barrier: threading.Barrier, first: Any, second: Any) -> None:
        self._barrier, self._changes, self.tries = barrier, (first, second), 0

    def apply(self, connection, now):
        self.tries += 1
        first = self._changes[0].apply(connection, now)
        if self.tries == 1:
            self._barrier.wait(30)
        return first, self._changes[1].apply(connection, now)


def test_two_that_wait_for_each_other_both_store(postgresql_url):
    """The server ends one of two transactions that have each what the other wants; it is done again."""
    stored(postgresql_url, part("u", 0, 1), part("v", 0, 1))
    barrier = threading.Barrier(2)
    changes = [
        Meeting(barrier, part("u", 1, 1), part("v", 1, 1)),
        Meeting(barrier, part("v", 1, 1), part("u", 1, 1)),
    ]

    async def work(one, other):
        return await asyncio.gather(one.submit(changes[0]), other.submit(changes[1]))

    results = with_two(postgresql_url, work)
    assert sorted(change.tries for change in changes) == [1, 2]
    assert sum(progress.stored_records for pair in results for progress in pair) == 2
    assert lines(postgresql_url, "u") == lines(postgresql_url, "v") == [0, 1]


def test_lost_runs_are_looked_for_by_one(postgresql_url):
    """Of those that search at once, each takes up other runs; none waits for another."""
    stored(postgresql_url, *(part(f"u{number}", 0, 1) for number in range(10)))
    later = int(time.time() * 1000) + 1000

    async def work(one, other):
        with psycopg.connect(postgresql_url) as third:
            third.execute("SELECT FROM runs WHERE run_uid IN ('u1', 'u2') FOR UPDATE")
            return await asyncio.gather(
                *(writer.submit(Claim(later, 4)) for writer in (one, other, one, other))
            )

    claims = with_two(postgresql_url, work)
    taken = [run_uid for claim in claims for run_uid in claim]
    assert sorted(taken) == [f"u{number}" for number in range(10) if number not in (1, 2)]


def test_a_claim_that_is_not_kept_passes_to_others(postgresql_url, monkeypatch):
    """After a minute, or when the run was heard of in between."""
    stored(postgresql_url, part("dead", 0, 1), part("alive", 0, 1))
    now = int(time.time() * 1000)
    clock = iter([now + 1, now + 2, now + 3, now + 60_002])
    monkeypatch.setattr("jobmeter.receiver.store.writer._now", lambda: next(clock))
    claim = Claim(now + 60_000)
    first, _, again, late = stored(postgresql_url, claim, part("alive", 1, 1), claim, claim)
    assert (sorted(first), again, late) == (["alive", "dead"], ["alive"], ["dead"])


def test_a_lost_run_is_ended_once(postgresql_url):
    """Though both should have folded it."""
    stored(postgresql_url, part("u", 0, 2))
    lost = Finish("u", 2**62, Ending(2, b"{}", "lost"))

    async def work(one, other):
        return await asyncio.gather(one.submit(lost), other.submit(lost))

    assert sorted(with_two(postgresql_url, work)) == [False, True]


def cut(connection: Any) -> None:
    """End all connections to its database but this one."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_connection_that_is_cut_between_two_commits_is_not_noticed(postgresql_url):
    """By nobody who stores, and by nobody who asks."""

    async def work(one, _):
        results = [await one.submit(summary("a"))]
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            cut(other)
        return [*results, await one.submit(part("u", 0, 1)), one.trouble()]

    assert with_two(postgresql_url, work) == [1, Progress(1, False, 1), None]
    database = Database.open(postgresql_url)
    for _ in range(2):
        assert database.read_here(lambda connection: connection.exec_driver_sql("SELECT 1").scalar()) == 1
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            cut(other)
    database.close()


class Cutting:
    """Loses the connection in its transaction, the first time."""

    size = 0

    def __init__(self) -> None:
        self.tries = 0

    def apply(self, connection, now):
        self.tries += 1
        if self.tries == 1:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return self.tries


def test_a_connection_that_is_cut_in_a_commit_stores_all_of_it_once(postgresql_url):
    """It is done again on a new one."""
    changes = [part("u", 0, 2), summary("a"), Cutting(), part("u", 2, 1, ends_after=2)]

    async def work(one, _):
        return await results_of(one, *changes)

    results = with_two(postgresql_url, work)
    assert [type(result) for result in results] == [Progress, int, int, Progress]
    assert lines(postgresql_url, "u") == [0, 1, 2]
    assert asked(postgresql_url, "SELECT count(*) FROM runs") == [(2,)]


def test_a_row_that_another_holds_is_waited_for_and_told(postgresql_url, monkeypatch):
    """What else was sent is stored; senders repeat the one."""
    settings = backend._WRITER_SETTINGS.replace("'4s'", "'200ms'")
    assert settings != backend._WRITER_SETTINGS
    monkeypatch.setattr(backend, "_WRITER_SETTINGS", settings)
    stored(postgresql_url, part("held", 0, 1))

    async def work(one, _):
        with psycopg.connect(postgresql_url) as third:
            third.execute("SELECT FROM runs WHERE run_uid = 'held' FOR UPDATE")
            results = await results_of(one, part("held", 1, 1), part("free", 0, 1))
        return results, await one.submit(part("held", 1, 1))

    (held, free), later = with_two(postgresql_url, work)
    assert isinstance(held, StoreError)
    assert "lock timeout" in str(held)
    assert free == Progress(1, False, 1)
    assert later == Progress(2, False, 1)


def test_a_receiver_that_stops_in_a_commit_lets_others_go_on(postgresql_url, monkeypatch):
    """The server ends a transaction in which nothing happens: a frozen machine holds no row for long."""
    monkeypatch.setattr(
        backend,
        "_WRITER_SETTINGS",
        backend._WRITER_SETTINGS.replace("timeout', '10s'", "timeout', '300ms'"),
    )
    stored(postgresql_url, part("u", 0, 1))
    reached, released = threading.Event(), threading.Event()

    class Frozen:
        size = 0

        def apply(self, connection, now):
            progress = part("u", 1, 1).apply(connection, now)
            if not reached.is_set():
                reached.set()
                released.wait(30)
            return progress

    async def work(one, other):
        frozen = one.submit(Frozen())
        await asyncio.to_thread(reached.wait, 30)
        progress = await other.submit(part("u", 1, 1))
        released.set()
        return progress, await frozen

    assert with_two(postgresql_url, work) == (Progress(2, False, 1), Progress(2, False, 0))
    assert lines(postgresql_url, "u") == [0, 1]


def test_a_server_that_may_only_be_read_is_trouble_until_it_may_be_written(postgresql, postgresql_url):
    """As one that takes the place of another; the receiver need not be started again."""
    name = postgresql_url.rpartition("/")[2]

    async def work(one, _):
        results = [await one.submit(summary("a"))]
        postgresql.ask(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            cut(other)
        results += [*await results_of(one, summary("b")), one.trouble()]
        postgresql.ask(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        return [*results, *await results_of(one, summary("b")), one.trouble()]

    first, refused, trouble, second, after = with_two(postgresql_url, work)
    assert (isinstance(first, int), isinstance(second, int), after) == (True, True, None)
    assert isinstance(refused, StoreError)
    assert "read-only transaction" in trouble


LONG = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))


@pytest.mark.parametrize("name", [LONG, "\0"], ids=["long", "NUL"])
def test_a_name_that_the_database_cannot_take_is_refused_for_good(postgresql_url, name):
    """What came with it is stored; the sentence says why."""

    async def work(one, _):
        return await results_of(one, summary("a"), summary("long", job=name), summary("b"))

    first, refused, second = with_two(postgresql_url, work)
    assert (isinstance(first, int), isinstance(second, int)) == (True, True)
    assert type(refused) is NotStorable
    assert name not in str(refused)


def test_a_commit_waits_for_the_disk_whatever_the_database_says(postgresql, postgresql_url):
    """An operator may have made it faster for something else; what is stricter stays."""
    name = postgresql_url.rpartition("/")[2]
    told = []
    for setting in ("off", "remote_apply"):
        postgresql.ask(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
        database = Database.open(postgresql_url)
        with database.writer.connect() as connection:
            told.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar())
        database.close()
    assert told == ["on", "remote_apply"]


def test_readers_change_nothing(postgresql_url):
    """And see one state of the database from begin to end."""
    database = Database.open(postgresql_url)
    try:
        with pytest.raises(StoreError, match="read-only transaction"):
            database.read_here(lambda connection: connection.exec_driver_sql("DELETE FROM runs"))

        def counted(connection):
            counts = [connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()]
            stored(postgresql_url, summary("a"))
            return [*counts, connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()]

        assert database.read_here(counted) == [0, 0]
    finally:
        database.close()
