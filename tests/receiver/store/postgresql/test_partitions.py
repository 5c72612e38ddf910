"""Every run has a place, its month's where it has one; months are made ahead, once, whoever makes them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.months import month_of
from jobmeter.receiver.store.postgresql import partitions
from jobmeter.receiver.store.postgresql.partitions import make_ahead
from jobmeter.receiver.store.streams import Gap
from tests.receiver.store.support import asked, found, lines, part, stored, summary, with_writer
from tests.receiver.store.test_months import uid_at

DAY = 86_400_000
NOW = int(datetime.now(UTC).timestamp() * 1000)


def made(url: str, now: int = NOW) -> list[str]:
    """What was missing."""
    with psycopg.connect(url, autocommit=True) as connection:
        return make_ahead(connection, now)


def uid(milliseconds: int) -> str:
    return uid_at(datetime.fromtimestamp(milliseconds / 1000, UTC))


def places(url: str) -> dict[str, tuple[str, str | None]]:
    """The partitions of each run and of its parts."""
    rows = asked(
        url,
        "SELECT run_uid, runs.tableoid::regclass::text, min(parts.tableoid::regclass::text) FROM runs LEFT JOIN parts"
        " ON run = run_uid GROUP BY 1, 2",
    )
    return {run_uid: (place, of_parts) for run_uid, place, of_parts in rows}


def test_every_key_has_a_place(postgresql_url):
    """Its month, with its parts beside it; before and after all months; or the rest."""
    assert made(postgresql_url)
    this, month = uid(NOW), month_of(NOW).name
    keys = {
        this: f"_{month}",
        uid(NOW - 100 * DAY): "_early",
        uid(NOW + 300 * DAY): "_default",
        "-": "_early",
        "push-1": "_late",
        "f81d4fae-7dec-81d0-a765-00a0c91e6bf6": "_late",
        this.upper(): "_early",
        "~" * 64: "_late",
    }
    stored(postgresql_url, *(part(key, 0, 2) for key in keys))
    assert places(postgresql_url) == {key: (f"runs{end}", f"parts{end}") for key, end in keys.items()}
    assert all(lines(postgresql_url, key) == [0, 1] for key in keys)


def test_months_are_made_ahead_once(postgresql_url):
    """The one before, this one and three more, of each table."""
    first = made(postgresql_url)
    assert sorted(first) == first
    assert len(first) == 3 * 5
    assert made(postgresql_url) == []
    assert len(made(postgresql_url, NOW + 31 * DAY)) in (3, 6)


def test_what_came_too_early_moves_into_its_month(postgresql_url):
    """From a sender whose clock is ahead; it keeps its id, and goes on."""
    early, later = uid(NOW + 200 * DAY), uid(NOW + 400 * DAY)
    stored(postgresql_url, part(early, 0, 2), summary(later))
    before = found(postgresql_url, early)
    assert made(postgresql_url, NOW + 200 * DAY)
    assert places(postgresql_url)[early] == tuple(
        f"{table}_{month_of(NOW + 200 * DAY).name}" for table in ("runs", "parts")
    )
    assert places(postgresql_url)[later] == ("runs_default", None)
    assert found(postgresql_url, early) == before
    stored(postgresql_url, part(early, 2, 1, ends_after=2), summary(later, b'{"n":2}'))
    assert lines(postgresql_url, early) == [0, 1, 2]
    assert asked(postgresql_url, "SELECT count(*) FROM runs") == [(2,)]


def test_receivers_that_make_months_at_once_make_each_once(postgresql_url):
    """While runs are stored."""
    done = threading.Event()

    def store() -> int:
        count = 0
        while not done.is_set():
            assert all(
                isinstance(one, int)
                for one in stored(postgresql_url, summary(f"u{count}"), summary(uid(NOW)))
            )
            count += 1
        return count

    with ThreadPoolExecutor(5) as pool:
        storing = pool.submit(store)
        try:
            results = [name for names in pool.map(lambda _: made(postgresql_url), range(4)) for name in names]
        finally:
            done.set()
        count = storing.result(30)
    assert sorted(results) == sorted({*results})
    assert len(results) == 15
    assert asked(postgresql_url, "SELECT count(*) FROM runs") == [(count + 1,)]


@pytest.mark.parametrize(
    "table, changes",
    [
        ("runs", [summary(uid(NOW)), summary(uid(NOW + 1))]),
        ("runs", [part(uid(NOW), 0, 1)]),
        ("parts", [part(uid(NOW), 0, 1)]),
    ],
)
def test_what_waits_while_its_month_is_made_is_stored_there(postgresql_url, table, changes):
    """It was on its way to the default partition, which no longer takes it."""
    month = month_of(NOW)

    async def work(writer, _):
        with psycopg.connect(postgresql_url) as making:
            partitions._make(making, f"{table}_{month.name}", table, month)
            waiting = [writer.submit(change) for change in changes]
            await asyncio.sleep(0.3)
            making.commit()
            return await asyncio.gather(*waiting)

    assert len(with_writer(postgresql_url, work)) == len(changes)
    assert {name for (name,) in asked(postgresql_url, f"SELECT tableoid::regclass::text FROM {table}")} == {
        f"{table}_{month.name}"
    }


def test_a_table_that_is_read_for_long_is_not_waited_for(postgresql_url):
    """As by pg_dump: senders would wait behind, so it is tried again later."""
    database = Database.open(postgresql_url)
    try:
        with psycopg.connect(postgresql_url) as reading:
            reading.execute("SELECT count(*) FROM runs")
            with pytest.raises(StoreError, match="lock timeout"):
                database.backend.keep_up(NOW)
            assert isinstance(stored(postgresql_url, summary(uid(NOW)))[0], int)
        assert places(postgresql_url)[uid(NOW)][0] == "runs_default"
        database.backend.keep_up(NOW)
        assert places(postgresql_url)[uid(NOW)][0] == f"runs_{month_of(NOW).name}"
    finally:
        database.close()


def test_a_month_can_be_dropped(postgresql, postgresql_url):
    """First what was streamed of its runs; a late part of one begins it anew."""
    made(postgresql_url)
    month, kept = month_of(NOW).name, uid(NOW - 100 * DAY)
    stored(postgresql_url, part(uid(NOW), 0, 2), part(kept, 0, 2))
    for table in ("parts", "runs"):
        postgresql.ask(f"DROP TABLE {table}_{month}", database=postgresql_url.rpartition("/")[2])
    assert asked(postgresql_url, "SELECT run_uid, run FROM runs JOIN parts ON run = run_uid") == [
        (kept, kept)
    ]
    assert made(postgresql_url) == [f"parts_{month}", f"runs_{month}"]
    gap, again = stored(postgresql_url, part(uid(NOW), 2, 1), part(uid(NOW), 2, 1, gap=True))
    assert (type(gap), again.next_sequence) == (Gap, 3)


class Messages(list[str]):
    """A log that is looked at."""

    def warn(self, message: str, **fields: object) -> None:
        self.append(f"{message}: {fields['error']}")


def test_a_receiver_that_cannot_prepare_for_what_comes_says_so(postgresql_url):
    """And goes on; its role may have lost the right to make tables."""
    messages = Messages()

    async def work(_, database):
        with psycopg.connect(postgresql_url) as reading:
            reading.execute("SELECT count(*) FROM runs")
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await database.keep_up(messages)

    with_writer(postgresql_url, work)
    assert len(messages) == 1
    assert messages[0].startswith("the database is not prepared for the months to come: ")


def test_bodies_are_not_compressed_twice(postgresql_url):
    """In no partition; of one that is read from its begin only a page is read then."""
    made(postgresql_url)
    rows = asked(
        postgresql_url,
        "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE attname = 'body' AND relkind IN ('r', 'p')",
    )
    assert rows == [("e",)]


def test_a_run_is_looked_for_in_its_partition_alone(postgresql_url):
    """By its key, as a part or a summary of it does."""
    made(postgresql_url)
    plan = asked(postgresql_url, f"EXPLAIN SELECT * FROM runs WHERE run_uid = '{uid(NOW)}'")
    used = {word for (line,) in plan for word in line.split() if word.startswith("runs_")}
    assert {word for word in used if "pkey" not in word} == {f"runs_{month_of(NOW).name}"}


def test_each_partition_tells_how_names_belong_together(postgresql_url):
    """One that is made later, too: without it all runs of a job are read for the newest of them."""
    assert made(postgresql_url)
    without = asked(
        postgresql_url,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname ~ '^runs(_|$)'"
        " AND NOT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = pg_class.oid AND stxkind = '{f}')",
    )
    assert without == []
