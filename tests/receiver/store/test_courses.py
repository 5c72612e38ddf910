"""The course of a long run is kept when it ends, and told without reading its records again."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, delete

from jobmeter.model import wire
from jobmeter.receiver.access.grant import ANYONE
from jobmeter.receiver.api import courses
from jobmeter.receiver.api.answers import course_of, describe_run, show_run
from jobmeter.receiver.api.buckets import Course, Range
from jobmeter.receiver.api.parameters import DEFAULT_POINTS
from jobmeter.receiver.api.types import RunTimeline
from jobmeter.receiver.bodies import Body, Handling
from jobmeter.receiver.endings import Endings
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.pages import shown
from jobmeter.receiver.parts import Parts
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import find_run
from jobmeter.receiver.store.queries import records as stored_records
from jobmeter.receiver.store.schema import parts
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import ndjson, with_writer
from tests.support.runs import records

UID = "long"


class Quiet:
    """A log in which nothing goes wrong."""

    def warn(self, message: str, **fields: object) -> None:
        assert "given up as lost" in message, (message, fields)


def streamed(place: str, *bodies: list[wire.AnyRecord], lost: bool = False) -> None:
    """A run that was sent in parts, and what was begun at its end is done."""

    async def work(writer: Writer, database: Database) -> None:
        figures = Figures(CollectorRegistry())
        endings = Endings(database, writer, figures, Quiet(), lost_after_seconds=0)
        receiver = Parts(writer, Handling(), endings, figures)
        for body in bodies:
            await receiver.store(UID, Body(ndjson(body), gzipped=False), ANYONE)
        if lost:
            await asyncio.sleep(0.01)
            await endings._finish_all(2**62)
        await endings.settle()
        assert endings._blocks._process is None

    with_writer(place, work)


def read(place: str, question: Any) -> Any:
    database = Database.open(place)
    try:
        return database.read_here(question)
    finally:
        database.close()


def told(place: str, **fineness: Any) -> RunTimeline:
    fineness = {"points": courses.POINTS, "resolution_seconds": None} | fineness
    found: RunTimeline = read(place, partial(course_of, run_uid=UID, **fineness))
    return found


def long_run(ticks: int = courses.LONG) -> list[wire.AnyRecord]:
    return list(records(UID, ticks=ticks))


def without_records(place: str) -> Any:
    """What is shown of the run when its records are not there any more."""
    database = Database.open(place)
    with database.writer.begin() as connection:
        connection.execute(delete(parts).where(parts.c.first_sequence >= 0))
    database.close()
    return read(place, partial(show_run, run_uid=UID, points=courses.POINTS))


@pytest.mark.parametrize("lost", [False, True])
def test_it_is_the_same_as_by_the_records(place: str, lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last digit, whether the run came to its end or fell silent; and no record is read for it."""
    run = long_run()
    cut = -1 if lost else len(run)
    streamed(place, run[:1500], run[1500:cut], lost=lost)
    by_records = told(place, resolution_seconds=1.0)

    found = told(place)

    assert found == by_records
    assert len(found.elapsed_seconds) > 100
    detail, course = without_records(place)
    assert course == by_records
    assert detail == read(place, partial(describe_run, run_uid=UID))
    assert detail.detail.state == ("lost" if lost else "finished")


def test_who_reads_records_reads_no_course(place: str) -> None:
    """Neither as they were sent nor one by one."""
    run = long_run()
    streamed(place, run)

    def asked(connection: Connection) -> list[wire.AnyRecord]:
        known = find_run(connection, UID)
        assert known is not None
        return list(stored_records(connection, known.key))

    assert read(place, asked) == run


def test_a_late_record_makes_another_course(place: str) -> None:
    """What was kept is of other records; it is kept anew when the run ends again."""
    run = long_run()
    later = long_run(courses.LONG + 500)[len(run) :]
    streamed(place, run)
    first = told(place)
    streamed(place, later[:-1])
    going = told(place)
    streamed(place, later[-1:])
    ended = told(place)

    assert first.elapsed_seconds[-1] < going.elapsed_seconds[-1] <= ended.elapsed_seconds[-1]
    assert (going.state, ended.state) == ("running", "finished")
    assert without_records(place)[1] == ended


def test_a_short_run_keeps_none(tmp_path: Path) -> None:
    """It is read in no time, and there are many of them."""
    place = tmp_path / "db"
    streamed(str(place), long_run(courses.LONG - 5))
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT first_sequence FROM parts").fetchall() == [(0,)]


def test_it_takes_little_room(tmp_path: Path) -> None:
    """Of a container less than the records it stands for."""
    place = tmp_path / "db"
    streamed(str(place), long_run(20_000))
    with closing(sqlite3.connect(place)) as connection:
        ((kept,), (whole,)) = connection.execute("SELECT length(body) FROM parts ORDER BY first_sequence")
    assert kept < 20_000
    assert kept < whole


def test_what_pages_and_the_api_ask_for_is_what_is_kept() -> None:
    """Else it would be kept for nothing."""
    assert shown.POINTS == DEFAULT_POINTS == courses.POINTS


@pytest.mark.parametrize(
    "kept, next_sequence",
    [(b"", 7), (b"damaged", 7), (courses.encode(Course(resolution_seconds=1.0), 7), 8)],
)
def test_what_is_of_other_records_or_damaged_is_not_told(kept: bytes, next_sequence: int) -> None:
    """The records are read instead."""
    assert courses.decode(kept, next_sequence) is None


def test_what_cannot_be_written_is_not_kept() -> None:
    """Nor what is as large as a run of thousands of containers."""
    odd = Course(resolution_seconds=1.0, machine_memory_bytes=Range(max=[2**70]))
    assert courses.encode(odd, 7) is None
