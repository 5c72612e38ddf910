"""Runs are ended whatever is stored of another one, and whatever cannot be read."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.model.summary import Summary
from jobmeter.receiver import endings
from jobmeter.receiver.access.grant import ANYONE
from jobmeter.receiver.bodies import Body, Handling
from jobmeter.receiver.endings import Endings
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.parts import Parts
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.folding import fold_stored
from jobmeter.receiver.store.merging import unmerged_runs
from jobmeter.receiver.store.streams import Claim, Part
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import found, ndjson, stored, summary, with_writer
from tests.support.runs import records


class Messages:
    """A log that is looked at."""

    def __init__(self) -> None:
        self.runs: list[object] = []
        self.errors: list[str] = []
        self.lost: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        if "given up" in message:
            self.lost.append(fields)
            return
        self.runs.append(fields.get("run_uid"))
        self.errors.append(str(fields.get("error")))


def streamed(run_uid: str, *, ended: bool = False, ticks: int = 3) -> list[Part]:
    """A run, each record in a part of its own."""
    lines = [wire.encode(record) for record in records(run_uid, ended=ended, ticks=ticks)]
    return [Part(run_uid, number, (line,)) for number, line in enumerate(lines)]


def changed(path: Path, sql: str, *values: object) -> None:
    """Change the database behind the receiver's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def with_endings(
    path: Path, work: Callable[[Endings, Database, Writer], Awaitable[Any]], log: Messages
) -> Any:
    """What ``work`` gives; runs are lost at once."""

    async def run(writer: Writer, database: Database) -> Any:
        figures = Figures(CollectorRegistry())
        return await work(Endings(database, writer, figures, log, lost_after_seconds=0.001), database, writer)

    return with_writer(path, run)


def swept(path: Path, until: Callable[[], bool]) -> Messages:
    """Look for lost runs until there is nothing to look for."""
    log = Messages()

    async def work(ended: Endings, _: Database, __: Writer) -> None:
        sweep = asyncio.create_task(ended.finish_silent())
        for _try in range(1000):
            await asyncio.sleep(0.01)
            if until() or sweep.done():
                break
        await asyncio.sleep(0.05)
        sweep.cancel()
        with suppress(asyncio.CancelledError):
            await sweep

    with_endings(path, work, log)
    return log


def states(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {state for (state,) in connection.execute("SELECT state FROM runs")}


def test_all_that_fell_silent_are_ended_in_one_sweep(tmp_path, monkeypatch):
    """However many they are; none is waited for until the next."""
    monkeypatch.setattr(endings, "_SWEEP_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(endings, "_PAGE", 2)
    path = tmp_path / "db"
    for number in range(5):
        stored(path, *streamed(f"run-{number}", ticks=1))
    changed(path, "UPDATE runs SET heard_at = id")

    async def work(ended, _database, _writer):
        await ended._finish_all(1000)

    with_endings(path, work, Messages())
    assert states(path) == {"lost"}


def test_what_a_kill_has_left_unmerged_is_merged_after_the_next_start(tmp_path, monkeypatch):
    """Of runs that are over; one that goes on stays as it is, and one with a block alone too."""
    monkeypatch.setattr(endings, "_LOOKED_THROUGH", 2)
    path = tmp_path / "db"
    for name in ("a", "b", "c", "d"):
        stored(path, *streamed(name))
    changed(path, "UPDATE runs SET state = 'finished' WHERE run_uid <> 'd'")

    async def work(ended, database, _writer):
        await ended.merge_left()
        left = partial(unmerged_runs, after=None, limit=9, stopping=threading.Event())
        return await database.read(left)

    assert with_endings(path, work, Messages()) == ([], None)
    with closing(sqlite3.connect(path)) as connection:
        parts = dict(
            connection.execute("SELECT run_uid, count(*) FROM parts JOIN runs ON run = id GROUP BY run")
        )
    assert parts == {"a": 1, "b": 1, "c": 1, "d": len(streamed("d"))}


@pytest.mark.parametrize("fault", ["damaged", "newer", "a defect"])
def test_a_run_that_cannot_be_read_does_not_keep_the_others_from_their_end(tmp_path, monkeypatch, fault):
    """It is finished too, with what could be read, and the log says so once."""
    monkeypatch.setattr(endings, "_SWEEP_SECONDS", (0.01, 0.01))
    path = tmp_path / "db"
    stored(path, *streamed("bad"))
    stored(path, *streamed("good"))
    if fault == "damaged":
        changed(path, "UPDATE parts SET body = x'0011223344' WHERE run = 1 AND first_sequence = 2")
    elif fault == "newer":
        stored(path, Part("bad", 5, (b'{"v":99,"kind":"start","run_uid":"bad","sequence":5}',)))
    else:
        changed(path, "UPDATE parts SET body = 'text' WHERE run = 1 AND first_sequence = 2")
    changed(path, "UPDATE runs SET heard_at = id")

    log = swept(path, lambda: states(path) == {"lost"})

    assert states(path) == {"lost"}
    assert log.runs == ["bad"]
    assert log.lost == [{"run_uid": "bad"}, {"run_uid": "good"}]
    good, bad = found(path, "good").summary, found(path, "bad").summary
    assert good is not None
    assert b"cannot be read" not in good
    assert (bad is None) == (fault == "a defect")
    assert b"cannot be read" in (bad or b"cannot be read")


def test_a_lost_run_says_that_nothing_was_heard_of_it(tmp_path, monkeypatch):
    """And for how long in truth, also where less of it counted: it has no journal, and knows no more."""
    monkeypatch.setattr(endings, "_SWEEP_SECONDS", (0.01, 0.01))
    path = tmp_path / "db"
    stored(path, *streamed("silent"))
    changed(path, "UPDATE runs SET heard_at = ?", int(time.time() * 1000) - 10_000_000)
    swept(path, lambda: states(path) == {"lost"})
    summary = msgspec.json.decode(found(path, "silent").summary or b"", type=Summary)
    assert summary.exit == Exit(
        reason="lost",
        detail="The receiver heard nothing of the run for 2 h 46 m: "
        "its meter was killed, or cannot reach the receiver.",
        certainty="probable",
    )


def test_the_search_for_lost_runs_survives_a_database_that_cannot_be_used(tmp_path, monkeypatch):
    """It says so, and goes on."""
    monkeypatch.setattr(endings, "_SWEEP_SECONDS", (0.01, 0.01))
    path = tmp_path / "db"
    stored(path, *streamed("u"))
    failures = iter([ValueError("a defect")])

    def failing_once(*args: Any) -> Any:
        for failure in failures:
            raise failure
        return Claim(*args)

    monkeypatch.setattr("jobmeter.receiver.endings.Claim", failing_once)
    log = swept(path, lambda: states(path) == {"lost"})
    assert states(path) == {"lost"}
    assert log.errors == ["a defect"]


def endless(started: threading.Event) -> Iterator[bytes]:
    """A run that is never packed to its end."""
    while True:
        started.set()
        yield b"{}\n"


def test_a_merge_does_not_keep_the_receiver_from_its_end(tmp_path, monkeypatch):
    """It is broken off, and all records are there."""
    path, started = tmp_path / "db", threading.Event()
    stored(path, *streamed("u"))
    monkeypatch.setattr("jobmeter.receiver.store.merging.unpacked", lambda body: endless(started))
    log = Messages()

    async def work(ended: Endings, _: Database, __: Writer) -> None:
        ended.merge_later("u")
        ended.merge_later("u")
        await asyncio.to_thread(started.wait, 10)
        await asyncio.wait_for(ended.settle(), 10)

    with_endings(path, work, log)
    assert log.runs == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (5,)


def test_ends_of_many_runs_leave_a_reader_for_others(tmp_path, monkeypatch):
    """Of parts and of silence, while a course is made and a run is merged: what is short does not wait."""
    path, released, folding, packing = tmp_path / "db", threading.Event(), [], threading.Event()
    for number in range(6):
        stored(path, *streamed(f"run-{number}"))
    end = list(records("u"))[-1:]

    def slowly(*args: Any) -> str | None:
        folding.append(args)
        released.wait(30)
        return fold_stored(*args)

    def packed(body: bytes) -> Iterator[bytes]:
        packing.set()
        released.wait(30)
        return iter(())

    monkeypatch.setattr("jobmeter.receiver.endings.fold_stored", slowly)
    monkeypatch.setattr("jobmeter.receiver.store.merging.unpacked", packed)

    async def work(ended: Endings, database: Database, _: Writer) -> Any:
        ended.merge_later("run-5")
        parts = [Part(f"run-{number}", 5, (wire.encode(end[0]),), ends=True) for number in range(5)]
        waiting: list[Awaitable[Any]] = [ended.of_part(part, end) for part in parts]
        waiting += [ended._finish("run-5", 0), database.read_long(lambda _: None)]
        ends = asyncio.gather(*waiting)
        try:
            async with asyncio.timeout(20):
                while len(folding) < 2 or not packing.is_set():
                    await asyncio.sleep(0.01)
                await database.read(lambda _: None)
            return len(folding)
        finally:
            released.set()
            await ends
            await ended.settle()

    assert with_endings(path, work, Messages()) == 2
    assert len(folding) == 6


def test_a_merge_that_fails_is_told_and_stops_nothing(tmp_path, monkeypatch):
    """The receiver still commits what waits."""
    path, log = tmp_path / "db", Messages()
    stored(path, *streamed("u"))
    changed(path, "UPDATE parts SET body = x'0011' WHERE first_sequence = 1")

    async def work(ended: Endings, _: Database, writer: Writer) -> Any:
        ended.merge_later("u")
        for _try in range(1000):
            await asyncio.sleep(0.01)
            if log.runs:
                break
        await ended.settle()
        return await writer.submit(summary("after"))

    assert with_endings(path, work, log) == 2
    assert log.runs == ["u"]


def test_an_end_that_is_sent_again_is_folded_once(tmp_path, monkeypatch):
    """Who waits for the answer has grown impatient; both are told the same."""
    path, log = tmp_path / "db", Messages()
    stored(path, *streamed("u"))
    end = ndjson(list(records("u"))[-1:])
    folds: list[object] = []

    def folding(*args: Any) -> str | None:
        folds.append(args)
        time.sleep(0.1)
        return fold_stored(*args)

    monkeypatch.setattr("jobmeter.receiver.endings.fold_stored", folding)

    async def work(ended: Endings, _: Database, writer: Writer) -> Any:
        taking = Parts(writer, Handling(), ended, Figures(CollectorRegistry()))
        answers = await asyncio.gather(*(taking.store("u", Body(end, False), ANYONE) for _try in range(5)))
        await ended.settle()
        return answers

    answers = with_endings(path, work, log)
    assert {(one.next_sequence, one.ended) for one in answers} == {(6, True)}
    assert sum(one.stored_records for one in answers) == 1
    assert len(folds) == 1
    assert found(path, "u").summary is not None
