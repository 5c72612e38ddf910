"""Containers are told of once when they come and once when they end; a task ends when its last sample is taken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from msgspec.structs import replace

from jobmeter.exporter.announced import Announcements
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.hooks import Comings, ExporterHooks
from jobmeter.model.account import Account
from jobmeter.ops.hooks.door import hook_socket
from jobmeter.ops.hooks.events import TaskEvent
from tests.exporter.rows import BUILD, WITHIN
from tests.ops.hooks.talking import LISTEN, Client, Notes, client, until

UNNAMED = replace(BUILD, identity=Identity())
BEGAN, ENDED = "container_started", "container_ended"


def told(comings: Comings, rows: Sequence[Row], now: float) -> list[tuple[str, str]]:
    return [(event.event, event.id) for event in comings.look(rows, now)]


def test_each_is_told_once() -> None:
    """When it comes and when it ends, with what it used."""
    comings = Comings(lambda: 2000.0)
    assert told(comings, (BUILD, WITHIN), 0.0) == [(BEGAN, BUILD.id), (BEGAN, WITHIN.id)]
    assert told(comings, (BUILD, WITHIN), 1.0) == []
    assert [event.id for event in comings.present()] == [BUILD.id, WITHIN.id]
    over = replace(WITHIN, ended=1795300060.25, account=Account(cpu_seconds=2.5))
    (event,) = comings.look((BUILD, over), 2.0)
    assert (event.event, event.parent, event.used.cpu_seconds) == (ENDED, BUILD.id, 2.5)
    assert event.ended is not None
    assert event.ended.timestamp() == 1795300060.25
    assert event.used.oom_kills is None
    assert told(comings, (BUILD,), 200.0) == []
    assert [event.id for event in comings.present()] == [BUILD.id]


def test_its_job_is_waited_for() -> None:
    """A second at most; who has ended by then is told of as well."""
    comings = Comings()
    assert told(comings, (rows := (UNNAMED, replace(WITHIN, identity=Identity(), ended=5.0))), 0.0) == []
    assert told(comings, rows, 0.9) == []
    assert told(comings, (BUILD, rows[1]), 0.95) == [(BEGAN, BUILD.id)]
    assert told(comings, (BUILD, rows[1]), 1.0) == [(BEGAN, WITHIN.id), (ENDED, WITHIN.id)]


def test_one_that_is_seen_after_its_end() -> None:
    """As jobs of 100 ms: both at once."""
    assert told(Comings(), (replace(BUILD, ended=3.0),), 0.0) == [(BEGAN, BUILD.id), (ENDED, BUILD.id)]


def test_another_one_in_its_place() -> None:
    """A name that was given again, also before anyone saw the end of the first."""
    comings = Comings()
    told(comings, (replace(BUILD, ended=3.0),), 0.0)
    assert told(comings, (BUILD,), 1.0) == [(BEGAN, BUILD.id)]
    another = replace(BUILD, number=BUILD.number + 1, account=Account(cpu_seconds=0.5))
    ended, began = comings.look((another,), 2.0)
    assert [(one.event, one.used.cpu_seconds) for one in (ended, began)] == [
        (ENDED, BUILD.account.cpu_seconds),
        (BEGAN, 0.5),
    ]
    assert ended.ended is not None
    assert told(comings, (replace(another, ended=4.0),), 3.0) == [(ENDED, BUILD.id)]


def test_one_that_vanishes_before_its_job_is_known() -> None:
    """Is told of with both."""
    comings = Comings()
    assert told(comings, (UNNAMED,), 0.0) == []
    assert told(comings, (), 0.1) == [(BEGAN, BUILD.id), (ENDED, BUILD.id)]


def test_one_that_vanishes() -> None:
    """Of another machine, that is heard of no more: that moment is its end. Nothing is kept of it."""
    comings = Comings(lambda: 2000.0)
    far = replace(BUILD, path="vm/4f0c", machine="vm", runtime="linux-vm", started=None)
    (came,) = comings.look((far,), 0.0)
    assert (came.machine, came.runtime, came.cgroup, came.started) == ("vm", "linux-vm", None, None)
    (gone,) = comings.look((), 1.0)
    assert gone.ended is not None
    assert gone.ended.timestamp() == 2000.0
    assert comings._told == {}


# --- over the socket


class Exporter:
    """Rows and samples of a test."""

    def __init__(self) -> None:
        self.rows: Sequence[Row] = ()
        self.announced = Announcements()
        self.samples = 0
        self.sampled = True
        self.may_sample = asyncio.Event()
        self.may_sample.set()

    async def sample(self) -> bool:
        self.samples += 1
        await self.may_sample.wait()
        return self.sampled


@asynccontextmanager
async def exporting(path: Path) -> AsyncIterator[tuple[Exporter, Client]]:
    exporter = Exporter()
    hooks = ExporterHooks(lambda: exporter.rows, exporter.sample, exporter.announced, Notes())
    with hook_socket(str(path), "--hooks") as listening:
        async with hooks.life(listening), client(path) as script:
            yield exporter, script


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(30):
            await work()

    uvloop.run(in_time())


def test_containers_and_tasks_are_told(tmp_path: Path) -> None:
    """What holds first: tasks, then containers; each once."""

    async def main() -> None:
        async with exporting(tmp_path / "s") as (exporter, script):
            exporter.rows = (BUILD,)
            exporter.announced.start(TaskEvent(event="on_task_started", task_id="12"))
            await asyncio.sleep(0.3)
            script.say(LISTEN)
            heard = [await script.hear() for _ in range(2)]
            assert [one["event"] for one in heard] == ["on_task_started", BEGAN]
            assert (heard[1]["job"]["repository"], heard[1]["attribution"]) == ("acme/engine", "own")
            exporter.rows = (replace(BUILD, ended=1795300099.0),)
            assert (await script.hear())["ended"] == "2026-11-21T22:28:19Z"

    run(main)


def test_the_end_of_a_task(tmp_path: Path) -> None:
    """Is told at once, and answered when its last sample is taken; until then it is known."""

    async def main() -> None:
        async with exporting(tmp_path / "s") as (exporter, script), client(tmp_path / "s") as announcer:
            script.say(b'{"listen": ["on_task_destroy"]}\n')
            assert await announcer.ask(b'{"event": "on_task_started", "task_id": 5}\n') == {"ok": True}
            exporter.may_sample.clear()
            announcer.say(b'{"event": "on_task_destroy", "task_id": 5}\n')
            assert (await script.hear())["task_id"] == "5"
            assert [task.task_id for task in exporter.announced.running()] == ["5"]
            exporter.may_sample.set()
            assert await announcer.hear() == {"ok": True}
            assert (exporter.announced.running(), exporter.samples) == ([], 1)
            exporter.sampled = False
            failed = await announcer.ask(b'{"event": "on_task_destroy", "task_id": 5}\n')
            assert failed["error"].startswith("the last sample could not be taken")

    run(main)


def test_the_end_of_a_task_is_told_with_its_job(tmp_path: Path) -> None:
    """Also where the announcement of its end says only which task it is."""
    whole = b'{"event": "on_task_started", "task_id": 5, "job": {"server_url": "u", "repository": "a/b"}, "pid": 7}\n'

    async def main() -> None:
        async with exporting(tmp_path / "s") as (_, script), client(tmp_path / "s") as announcer:
            script.say(b'{"listen": ["on_task_destroy"]}\n')
            await announcer.ask(whole)
            await announcer.ask(b'{"event": "on_task_destroy", "task_id": 5, "job": {"server_url": "u"}}\n')
            heard = await script.hear()
            assert (heard["job"]["repository"], heard["pid"]) == ("a/b", 7)

    run(main)


def test_a_fault_does_not_end_the_telling(tmp_path: Path) -> None:
    """A container of a date that there is not: the others are told of once it is gone."""

    async def main() -> None:
        async with exporting(tmp_path / "s") as (exporter, script):
            script.say(LISTEN)
            exporter.rows = (replace(BUILD, started=1e300),)
            await asyncio.sleep(0.3)
            exporter.rows = (WITHIN,)
            assert (await script.hear())["id"] == WITHIN.id

    run(main)


def test_a_process_places_its_container(tmp_path: Path) -> None:
    """One in no container, or gone, places none: the task is known by its number all the same."""

    async def main() -> None:
        async with exporting(tmp_path / "s") as (exporter, script):
            for number, pid in enumerate((os.getpid(), 2**31 - 1)):
                line = b'{"event": "on_task_started", "task_id": %d, "pid": %d}\n' % (number, pid)
                assert await script.ask(line) == {"ok": True}
            assert len(exporter.announced.running()) == 2

    run(main)


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """No task of the loop, no socket."""

    async def main() -> None:
        async with exporting(tmp_path / "s") as (_, script):
            script.say(LISTEN)
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert not (tmp_path / "s").exists()

    run(main)
