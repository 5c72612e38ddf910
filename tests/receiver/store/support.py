"""A database of a test's own, and changes to make in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

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


def with_writer(path: Path, work: Callable[[Writer, Database], Awaitable[Any]]) -> Any:
    """What ``work`` gives, with a writer on the database at this path."""

    async def run() -> Any:
        database = Database.open(str(path))
        writer = Writer(database)
        writer.start()
        try:
            return await work(writer, database)
        finally:
            await writer.close()
            database.close()

    return asyncio.run(run())


def stored(path: Path, *changes: Any) -> list[Any]:
    """The results of changes that are made one after the other; an error is its result."""

    async def work(writer: Writer, _: Database) -> list[Any]:
        return [
            (await asyncio.gather(writer.submit(change), return_exceptions=True))[0] for change in changes
        ]

    result: list[Any] = with_writer(path, work)
    return result


def found(path: Path, run_uid: str) -> Run:
    """The run as it is stored; it must be there."""
    database = Database.open(str(path))
    try:
        run = database.read_here(lambda connection: find_run(connection, run_uid))
    finally:
        database.close()
    assert run is not None
    return run


def lines(path: Path, run_uid: str) -> list[int]:
    """The numbers of the stored records, in order, of a run that is made of ``part``s."""
    run = found(path, run_uid)
    database = Database.open(str(path))
    try:
        text = database.read_here(lambda connection: b"".join(part_bodies(connection, run.id)))
    finally:
        database.close()
    return [int(line.split(b":")[1][:-1]) for line in text.splitlines()]


def ndjson(records: Sequence[wire.AnyRecord]) -> bytes:
    """Records as they are sent."""
    return b"".join(wire.encode(record) + b"\n" for record in records)
