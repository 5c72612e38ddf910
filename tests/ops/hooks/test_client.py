"""What is announced is told to who is there, or comes later; nobody waits longer than said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from jobmeter.ops.hooks import client as announcing
from jobmeter.ops.hooks.client import Announcer
from jobmeter.ops.hooks.events import TaskEvent
from tests.ops.hooks.talking import Notes, serving, until

ONE, TWO = (TaskEvent(event="on_task_started", task_id=task_id) for task_id in ("1", "2"))
BEGAN, ENDED = "on_task_started", "on_task_destroy"


@asynccontextmanager
async def announcer(path: Path, **limits: float) -> AsyncIterator[tuple[Announcer, Notes]]:
    notes = Notes()
    one = Announcer(str(path), notes, **limits)
    running = asyncio.create_task(one.run())
    try:
        yield one, notes
    finally:
        running.cancel()
        await asyncio.wait((running,))


def run(work: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(_in_time(work))


async def _in_time(work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(30):
        await work()


def test_start_and_end(tmp_path: Path) -> None:
    """Who waits for the end of a task hears that it was acted upon."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, announcer(tmp_path / "s") as (one, notes):
            one.started(ONE)
            assert await one.ended(ONE, 5.0)
            assert daemon.desk.words == [(BEGAN, "1"), (ENDED, "1")]
            one.started(TWO)
            one.ending(TWO)
            await until(lambda: daemon.desk.words[2:] == [(BEGAN, "2"), (ENDED, "2")])
            assert notes.said == []

    run(main)


def test_who_comes_later_is_told_what_runs(tmp_path: Path) -> None:
    """And of the end of what it may have known; each is said once."""

    async def main() -> None:
        async with announcer(tmp_path / "s") as (one, notes):
            one.started(ONE)
            one.started(TWO)
            await until(lambda: notes.said)
            one.ending(ONE)
            async with serving(tmp_path / "s") as daemon:
                await until(lambda: len(daemon.desk.heard) == 2)
                assert daemon.desk.words == [(ENDED, "1"), (BEGAN, "2")]
            await until(lambda: len(notes.said) == 4)
            async with serving(tmp_path / "s") as daemon:
                await until(lambda: daemon.desk.heard)
                assert daemon.desk.words == [(BEGAN, "2")]
            assert [said.split()[0] for said in notes.said[:3]] == ["nobody", "who", "what"]

    run(main)


def test_nobody_waits_for_who_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a job goes on at once, whenever the next attempt is."""
    monkeypatch.setattr(announcing, "_FIRST_PAUSE_SECONDS", 60.0)

    async def main() -> None:
        async with announcer(tmp_path / "s") as (one, notes):
            await until(lambda: notes.said)
            begun = time.monotonic()
            assert not await one.ended(ONE, 20.0)
            assert time.monotonic() - begun < 5.0

    run(main)


def test_nobody_waits_longer_than_said(tmp_path: Path) -> None:
    """For one that is there and does not act; it is asked anew once it is taken to be stuck."""

    async def main() -> None:
        async with (
            serving(tmp_path / "s") as daemon,
            announcer(tmp_path / "s", answer_seconds=0.2) as (one, notes),
        ):
            one.started(ONE)
            daemon.desk.sampled.clear()
            assert not await one.ended(ONE, 0.05)
            await until(lambda: daemon.desk.words.count((ENDED, "1")) == 2)
            daemon.desk.sampled.set()
            await until(lambda: not one._waiting and not one._asked)
            assert notes.said[0].startswith("nobody can be told")

    run(main)


def test_what_is_refused_is_said_in_the_log(tmp_path: Path) -> None:
    """And the other ones are told."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, announcer(tmp_path / "s") as (one, notes):
            assert not await one.ended(ONE, 5.0)
            one.started(TWO)
            await until(lambda: daemon.desk.running)
            assert notes.said == ["what was announced of a task was not done"]

    run(main)


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n", b'{"ok": true}\n' * 3, b"x" * 200_000]
)
def test_one_that_talks_nonsense(tmp_path: Path, says: bytes) -> None:
    """Or closes at once: it is tried again, more and more seldom."""

    async def main() -> None:
        asked = 0

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            writer.write(says)
            writer.close()

        server = await asyncio.start_unix_server(answer, tmp_path / "s")
        async with server, announcer(tmp_path / "s") as (one, notes):
            one.started(ONE)
            await asyncio.sleep(0.6)
            assert 1 <= asked <= 5
            assert len(notes.said) >= 1

    run(main)


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tasks without an end, and of ends that nobody hears: the oldest go."""
    monkeypatch.setattr(announcing, "MAX_RUNNING", 3)
    monkeypatch.setattr(announcing, "MAX_WAITING", 3)

    async def main() -> None:
        async with announcer(tmp_path / "s") as (one, notes):
            await until(lambda: notes.said)
            for number in range(10):
                one.ending(replace(ONE, task_id=f"e{number}"))
                one.started(replace(ONE, task_id=f"{number}"))
            async with serving(tmp_path / "s") as daemon:
                await until(lambda: len(daemon.desk.heard) == 6)
                ids = [task.task_id for task in daemon.desk.heard]
                assert ids == ["e7", "e8", "e9", "7", "8", "9"]

    run(main)
