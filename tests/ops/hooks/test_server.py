"""Listeners hear what holds and what comes; announcements are answered; nobody can delay anybody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.hooks.connection import Limits
from jobmeter.ops.hooks.events import MAX_LINE_BYTES, TaskEvent
from tests.ops.hooks.talking import LISTEN, STARTED, client, serving, until

ENDS = STARTED.replace(b"started", b"destroy")


def task(number: int, text: str = "") -> TaskEvent:
    return TaskEvent(event="on_task_started", task_id=f"{number}{text}")


def run(work: Callable[[], Awaitable[None]]) -> None:
    """In the loop that daemons have."""
    uvloop.run(_in_time(work))


async def _in_time(work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(30):
        await work()


def test_who_comes_late_hears_what_runs(tmp_path: Path) -> None:
    """Then what happens, each in its order."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            daemon.desk.running = {task(1).key: task(1)}
            script.say(LISTEN)
            assert (await script.hear())["task_id"] == "1"
            for number in (2, 3):
                daemon.server.tell(task(number))
            assert [(await script.hear())["task_id"] for _ in range(2)] == ["2", "3"]

    run(main)


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    """Other events are for others; a later line says it anew."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            daemon.desk.running = {task(1).key: task(1)}
            script.say(b'{"listen": ["container_ended"]}\n{"listen": ["on_task_started"]}\n')
            assert (await script.hear())["task_id"] == "1"

    run(main)


def test_a_script_that_closes_its_output_goes_on_hearing(tmp_path: Path) -> None:
    """As of `echo … | nc -U`; once it is gone it is no client any more."""

    async def main() -> None:
        async with serving(tmp_path / "s", Limits(clients=1)) as daemon:
            async with client(daemon.path) as script:
                script.say(LISTEN.strip())
                script.writer.write_eof()
                await asyncio.sleep(0.05)
                daemon.server.tell(task(5))
                assert (await script.hear())["task_id"] == "5"
            await until(lambda: not daemon.server._clients)

    run(main)


def test_an_end_is_answered_once_it_was_acted_upon(tmp_path: Path) -> None:
    """Not before; what is said behind it is heard at once, and answered behind it."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            assert await script.ask(STARTED) == {"ok": True}
            daemon.desk.sampled.clear()
            script.say(ENDS + STARTED.replace(b"12", b"13"))
            answer = asyncio.create_task(script.hear())
            await until(lambda: daemon.desk.words[-1] == ("on_task_started", "13"))
            assert not answer.done()
            daemon.desk.sampled.set()
            assert [await answer, await script.hear()] == [{"ok": True}, {"ok": True}]

    run(main)


@pytest.mark.parametrize(
    "fault, sentence",
    [(JobmeterError("there is no room"), "there is no room"), (KeyError("x"), "a fault of the daemon")],
)
def test_what_could_not_be_done_is_said(tmp_path: Path, fault: Exception, sentence: str) -> None:
    """Also where it is our own fault; the connection goes on."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            daemon.desk.fault = fault
            answer = await script.ask(STARTED)
            assert (answer["ok"], sentence in answer["error"]) == (False, True)
            daemon.desk.fault = None
            assert await script.ask(STARTED) == {"ok": True}

    run(main)


def test_a_line_that_is_not_accepted(tmp_path: Path) -> None:
    """Is answered; who has said nothing else before is let go."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon:
            async with client(daemon.path) as script:
                assert await script.ask(STARTED) == {"ok": True}
                assert not (await script.ask(b'{"event": "x", "task_id": 1}\n'))["ok"]
                assert await script.ask(b"\n" + ENDS) == {"ok": True}
            async with client(daemon.path) as browser:
                assert "not understood" in (await browser.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))["error"]
                assert await browser.hear() == {}

    run(main)


def test_a_line_without_an_end(tmp_path: Path) -> None:
    """Is held up to its bound."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as endless:
            endless.say(b"[" * (8 * MAX_LINE_BYTES))
            assert str(MAX_LINE_BYTES) in (await endless.hear())["error"]
            assert await endless.hear() == {}

    run(main)


def test_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    """And hears why."""

    async def main() -> None:
        limits = Limits(first_word_seconds=0.05)
        async with serving(tmp_path / "s", limits) as daemon, client(daemon.path) as silent:
            assert (await silent.hear())["error"] == "nothing was said for 0.05 s"

    run(main)


def test_a_listener_that_cannot_be_told_is_let_go(tmp_path: Path) -> None:
    """Of what cannot be made a line: it can come again, and the log says why it must."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            daemon.desk.running = {task(1).key: replace(task(1), job=lambda: None)}
            script.say(LISTEN)
            assert await script.hear() == {}
            assert daemon.notes.said == ["a listener of the hooks is let go by a fault of ours"]
            await until(lambda: not daemon.server._clients)

    run(main)


def test_a_listener_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    """Others hear everything meanwhile, and at once."""

    async def main() -> None:
        limits = Limits(unsent_bytes=200_000)
        async with (
            serving(tmp_path / "s", limits) as daemon,
            client(daemon.path) as asleep,
            client(daemon.path) as awake,
        ):
            asleep.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for script in (asleep, awake):
                script.say(LISTEN)
            await until(lambda: [bool(one.words) for one in daemon.server._clients.values()] == [True, True])
            for number in range(2000):
                daemon.server.tell(task(number, "x" * 1000))
                assert (await awake.hear())["task_id"].startswith(str(number))
            assert len(daemon.notes.said) == 1
            await until(lambda: len(daemon.server._clients) == 1)

    run(main)


def test_who_is_slow_gets_everything_within_its_bound(tmp_path: Path) -> None:
    """More than a socket takes at once."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as slow:
            daemon.desk.running = {
                one.key: one for one in (task(number, "x" * 1000) for number in range(1000))
            }
            slow.say(LISTEN)
            await until(lambda: any(one.words for one in daemon.server._clients.values()))
            for number in range(1000, 2000):
                daemon.server.tell(task(number, "x" * 1000))
            told = [int((await slow.hear())["task_id"].rstrip("x")) for _ in range(2000)]
            assert told == list(range(2000))

    run(main)


def test_a_thousand_connections(tmp_path: Path) -> None:
    """Most are refused with a sentence; who was there goes on, and afterwards there is room again."""

    async def main() -> None:
        async with serving(tmp_path / "s", Limits(clients=8)) as daemon, client(daemon.path) as first:
            assert await first.ask(STARTED) == {"ok": True}
            crowd = [client(daemon.path) for _ in range(400)]
            others = [await one.__aenter__() for one in crowd]
            assert "8 clients" in (await others[-1].hear())["error"]
            assert await first.ask(ENDS) == {"ok": True}
            for one in crowd:
                await one.__aexit__(None, None, None)
            await until(lambda: len(daemon.server._clients) == 1)
            async with client(daemon.path) as late:
                assert await late.ask(STARTED) == {"ok": True}

    run(main)


def test_a_thousand_clients_one_after_the_other(tmp_path: Path) -> None:
    """Leave no descriptor and no task, whatever they said."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon:
            before = len(os.listdir("/proc/self/fd"))
            for number in range(1000):
                async with client(daemon.path) as one:
                    one.say((LISTEN, STARTED, ENDS, b"?\n", b"")[number % 5])
            await until(lambda: not daemon.server._clients)
            await until(lambda: len(os.listdir("/proc/self/fd")) == before)
            assert len(asyncio.all_tasks()) == 1

    run(main)


def test_the_end_of_the_daemon_waits_for_nobody(tmp_path: Path) -> None:
    """Neither for who listens nor for what cannot be acted upon; no task is left."""

    async def main() -> None:
        async with serving(tmp_path / "s") as daemon, client(daemon.path) as script:
            daemon.desk.sampled.clear()
            script.say(LISTEN + STARTED + ENDS)
            await until(lambda: len(daemon.desk.heard) == 2)
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    run(main)
