"""A database of a test's own, and changes to make in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from jobmeter.model import wire
from jobmeter.model.job import Job
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import Run, find_run, part_bodies
from jobmeter.receiver.store.streams import Ending, Part
from jobmeter.receiver.store.summaries import NewSummary
from jobmeter.receiver.store.writer import Writer

JOB = Job(organization="o", repository="o/r", workflow="w", job="j", run_id="7")


def summary(run_uid: str, content: bytes = b"{}", job: str = "j") -> NewSummary:
    """A summary that was sent."""
    return NewSummary(run_uid, None, "o", "o/r", "w", job, "7", None, 1000, b"{}", content)


def part(run_uid: str, first: int, count: int, *, ends_after: int | None = None, gap: bool = False) -> Part:
    """Records ``first`` and on; with ``ends_after`` the last is the end, folded from so many stored ones."""
    lines = tuple(b'{"n":%d}' % number for number in range(first, first + count))
    ending = None if ends_after is None else Ending(ends_after, b'{"folded":true}')
    job = JOB if first == 0 else None
    return Part(run_uid, first, lines, job=job, gap=gap, ends=ending is not None, ending=ending)


def with_writer(place: Path | str, work: Callable[[Writer, Database], Awaitable[Any]]) -> Any:
    """What ``work`` gives, with a writer on the database at this place."""

    async def run() -> Any:
        database = Database.open(str(place))
        writer = Writer(database)
        writer.start()
        try:
            return await work(writer, database)
        finally:
            await writer.close()
            database.close()

    return asyncio.run(run())


def stored(place: Path | str, *changes: Any) -> list[Any]:
    """The results of changes that are made one after the other; an error is its result."""

    async def work(writer: Writer, _: Database) -> list[Any]:
        return [
            (await asyncio.gather(writer.submit(change), return_exceptions=True))[0] for change in changes
        ]

    result: list[Any] = with_writer(place, work)
    return result


def found(place: Path | str, run_uid: str) -> Run:
    """The run as it is stored; it must be there."""
    database = Database.open(str(place))
    try:
        run = database.read_here(lambda connection: find_run(connection, run_uid))
    finally:
        database.close()
    assert run is not None
    return run


def lines(place: Path | str, run_uid: str) -> list[int]:
    """The numbers of the stored records, in order, of a run that is made of ``part``s."""
    run = found(place, run_uid)
    database = Database.open(str(place))
    try:
        content = database.read_here(lambda connection: b"".join(part_bodies(connection, run.key)))
    finally:
        database.close()
    return [int(line.split(b":")[1][:-1]) for line in content.splitlines()]


def ndjson(records: Sequence[wire.AnyRecord]) -> bytes:
    """Records as they are sent."""
    return b"".join(wire.encode(record) + b"\n" for record in records)


class Blocking:
    """Holds the writer until it is released."""

    size = 10

    def __init__(self) -> None:
        self.released = threading.Event()

    def apply(self, connection, now):
        self.released.wait(30)
        return "done"


class Failing:
    """Spoils the transaction it is in, by an error or by a statement that has one."""

    size = 0

    def __init__(self, fault: Exception | str) -> None:
        self.fault = fault

    def apply(self, connection, now):
        connection.execute(
            text("INSERT INTO parts (run, first_sequence, next_sequence, body) VALUES ('1', 0, 1, '')")
        )
        if isinstance(self.fault, Exception):
            raise self.fault
        connection.execute(text(self.fault))


async def results_of(writer, *changes):
    """Of changes that are submitted at once; an error is a result."""
    return await asyncio.gather(*map(writer.submit, changes), return_exceptions=True)


def asked(place: Path | str, statement: str) -> list[Any]:
    """The rows of a statement."""
    database = Database.open(str(place))
    try:
        return database.read_here(lambda connection: list(connection.execute(text(statement)).all()))
    finally:
        database.close()
