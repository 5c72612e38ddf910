"""What a list says of jobs is kept, and never longer than it is true, on each database."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from sqlalchemy import Connection, event, select, text

from jobmeter.receiver.api.history_types import JobItem
from jobmeter.receiver.api.job_items import JobItems
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.known_jobs import OfRepository, find_job, jobs_of
from jobmeter.receiver.store.removed_runs import add_removed
from jobmeter.receiver.store.usage_tables import usages
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import with_writer
from tests.receiver.store.test_usages import Changing, Quiet, build, sent

NAMES = ("acme", "engine", "ci.yaml", "build")


class Importing:
    """The numbers of the first run, which another receiver removed, come from there."""

    size = 0

    def apply(self, connection: Connection, now: int) -> None:
        (row,) = connection.execute(select(usages).where(usages.c.run_uid == "run-0000")).mappings()
        values = {name: value for name, value in row.items() if name not in ("job", "gone", "ref")}
        later = {"heard_at": now + 1000, "duration_seconds": 7.0}
        assert add_removed(connection, [(NAMES, values | later)]) == 1


def changing(*statements: str) -> list[Changing]:
    return [Changing(*map(text, statements))]


RUNS = [build(number, duration_seconds=60.0 + number) for number in range(8)]
ROUNDS: dict[str, list[Any]] = {
    "runs are over": sent(*RUNS),
    "another one is": sent(build(8, duration_seconds=70.5)),
    "one is told otherwise": sent(build(3, duration_seconds=80.0)),
    "one goes on again": changing("UPDATE runs SET state = 'running' WHERE run_uid = 'run-0008'"),
    "one is removed": changing("DELETE FROM runs WHERE run_uid = 'run-0003'"),
    "one is imported": [Importing()],
    "the job is made anew under its old id": changing(
        "DELETE FROM jobs", "DELETE FROM usages", "UPDATE usage_progress SET heard_at = 0"
    ),
}


def test_what_is_kept_is_what_would_be_made(place: str) -> None:
    """After whatever can happen to runs; and while nothing happens nothing is read."""

    async def work(writer: Writer, database: Database) -> dict[str, tuple[bool, ...]]:
        keeping, items = Bookkeeping(database, writer, Quiet()), JobItems()
        found: dict[str, tuple[bool, ...]] = {}
        before: Any = None
        for name, changes in ROUNDS.items():
            await asyncio.gather(*map(writer.submit, changes))
            await keeping.catch_up()
            await keeping.forget("")
            told, queries = await database.read(partial(asked, items))
            again, no_queries = await database.read(partial(asked, items))
            made, _ = await database.read(partial(asked, JobItems()))
            found[name] = (told == again == made, told != before, queries > 0, no_queries == 0)
            before = told
        return found

    assert with_writer(place, work) == dict.fromkeys(ROUNDS, (True, True, True, True))


def asked(items: JobItems, connection: Connection) -> tuple[tuple[JobItem, float], int]:
    """What is said of the job, and how many queries that took."""
    job, queries = find_job(connection, NAMES), []
    assert job is not None
    event.listen(connection, "before_cursor_execute", lambda *about: queries.append(about))
    return (items.item(connection, job), items.used(connection, job, "duration")), len(queries)


def test_so_many_jobs_are_kept(place: str) -> None:
    """Those that were asked for last."""

    async def work(writer: Writer, database: Database) -> list[int]:
        await asyncio.gather(*map(writer.submit, sent(*(build(n, job=f"job-{n}") for n in range(3)))))
        await Bookkeeping(database, writer, Quiet()).catch_up()
        return await database.read(question)

    def question(connection: Connection) -> list[int]:
        items, known = (
            JobItems(most=2),
            jobs_of(connection, OfRepository(None, "acme", "engine"), "name", 0, 9),
        )
        made: list[int] = []
        event.listen(connection, "before_cursor_execute", lambda *about: made.append(number))
        for number in (0, 1, 0, 2, 0, 1):
            items.used(connection, known[number], "memory")
        return made

    assert with_writer(place, work) == [0, 1, 2, 1]
