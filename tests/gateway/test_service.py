"""The daemon from its start to the stages of its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jobmeter.gateway.service import Gateway, Listener
from tests.gateway.fronts import Front, Messages, State
from tests.gateway.polling.rig import NEVER, Forge, Rig, Work, tasks


class Room:
    """A check that says what a test wants."""

    name = "disk"
    answer: str | None = None

    async def trouble(self) -> str | None:
        return self.answer


class Daemon:
    """A gateway before these forges."""

    def __init__(
        self,
        *fronts: Front,
        patience: float = 600.0,
        cancels: bool = False,
        works: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (),
    ) -> None:
        self.fronts = fronts
        self.log = Messages()
        self.room = Room()
        named = dict(zip(("forgejo", "lab"), fronts, strict=False))
        self.works = works
        self.gateway = Gateway(
            named, [self.room], self.log, check_seconds=0.01, patience_seconds=patience, cancels=cancels
        )

    def run(self, *steps: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Whether it came to its end, after each of the steps and one SIGTERM after the last."""

        async def main() -> bool:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                self.port = listening.getsockname()[1]
                listeners = [Listener(front.application, listening) for front in self.fronts[:1]]
                started = asyncio.Event()
                running = asyncio.create_task(
                    self.gateway.run(listeners, CollectorRegistry(), started.set, self.works)
                )
                await asyncio.wait_for(started.wait(), 10)
                for step in steps:
                    await step()
                os.kill(os.getpid(), signal.SIGTERM)
                return await asyncio.wait_for(running, 20)

        return asyncio.run(main())


async def until(reached: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


def test_it_answers_while_it_lives() -> None:
    """Within the lives of its forges; at the end nothing new is fetched and it is not ready any more."""
    front, other = Front(), Front()
    daemon = Daemon(front, other)
    answers = []

    async def asks() -> None:
        assert (front.lives, other.lives) == (1, 1)
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{daemon.port}/") as answer:
            answers.append(answer.read())
        assert await daemon.gateway.health.trouble() is None

    assert daemon.run(asks) is True
    assert answers == [b"ok"]
    assert (front.told, front.paused, other.paused) == (["begins", "stops", "ends"], [True], [True])
    assert asyncio.run(_trouble(daemon)) == "the daemon stops"


async def _trouble(daemon: Daemon) -> str | None:
    return await daemon.gateway.health.trouble()


def test_tasks_that_run_are_waited_for() -> None:
    """And its doors are open meanwhile, as their reports go through them."""
    front = Front()
    daemon = Daemon(front)
    work = Work(takes=0.5)

    async def begins() -> None:
        rig = Rig(Forge([tasks(1)]), work)
        front.pollers.append(rig.poller)
        rig.start()
        await until(lambda: work.begun == ["1"])

    assert daemon.run(begins) is True
    assert (work.done, work.cancelled) == (["1"], [])


@pytest.mark.parametrize("patience, signals", [(0.0, 0), (NEVER, 1)])
def test_tasks_are_cancelled_when_the_time_is_over_or_at_a_second_signal(
    patience: float, signals: int
) -> None:
    """They report it before the end."""
    front = Front()
    daemon = Daemon(front, patience=patience)
    work = Work(reports=0.05)

    async def begins() -> None:
        rig = Rig(Forge([tasks(1)]), work)
        front.pollers.append(rig.poller)
        rig.start()
        await until(lambda: work.begun == ["1"])
        for number in range(signals):
            asyncio.get_running_loop().call_later(0.1 * (number + 1), os.kill, os.getpid(), signal.SIGTERM)

    assert daemon.run(begins) is True
    assert (work.done, work.cancelled) == ([], ["1"])


@pytest.mark.parametrize("cancels", [True, False])
def test_the_forges_cancel_tasks_that_are_left_if_they_shall(cancels: bool) -> None:
    """When the time is over, and before the last is said."""
    fronts = Front(), Front()
    daemon = Daemon(*fronts, patience=0.0, cancels=cancels)

    async def begins() -> None:
        rig = Rig(Forge([tasks(1)]), work := Work())
        fronts[0].pollers.append(rig.poller)
        rig.start()
        await until(lambda: work.begun == ["1"])

    assert daemon.run(begins) is True
    assert [front.told for front in fronts] == [["begins", "stops", *["cancels"] * cancels, "ends"]] * 2


@pytest.mark.parametrize(
    "cancels, become",
    [
        (False, "they run on, and the next start takes them up"),
        (True, "the forge is told that they are cancelled"),
    ],
)
def test_jobs_that_are_left_are_named_by_forge_and_runner(cancels: bool, become: str) -> None:
    """Two forges may have the same number for a job; what becomes of each is said."""
    fronts = Front(State("a", "large", tasks=("7",))), Front(State("token:planted-0", tasks=("7", "8")))
    daemon = Daemon(*fronts, patience=0.0, cancels=cancels)

    async def begins() -> None:
        rig = Rig(Forge([tasks(7)]), work := Work())
        fronts[0].pollers.append(rig.poller)
        rig.start()
        await until(lambda: work.begun == ["7"])

    assert daemon.run(begins) is True
    assert daemon.log.said == [
        "the gateway stops when the running jobs have ended",
        *[f"jobs are still running and are waited for no more: {become}"] * 2,
    ]
    assert daemon.log.fields[1:] == [
        {"forge": "forgejo", "runner": "large", "count": 1, "tasks": ["7"]},
        {"forge": "lab", "runner": "planted-", "count": 2, "tasks": ["7", "8"]},
    ]


def test_what_may_still_come_at_the_end_is_said() -> None:
    """By a request that the forge holds; without a job there is nothing to be waited for."""
    daemon = Daemon(Front(State("a")), Front(State("b", "small", standing="fetching")))
    assert daemon.run() is True
    assert daemon.log.said == [
        "a request is still held at the forge; a job that it brings is still taken",
        "the gateway stops; no job is running",
    ]
    assert daemon.log.fields[0] == {"forge": "lab", "runners": ["small"]}


def test_what_cannot_be_cancelled_is_left() -> None:
    """At the third signal: the process has to be left then."""
    front = Front()
    daemon = Daemon(front, patience=NEVER)
    work = Work(takes=2.0, deaf=True)

    async def begins() -> None:
        rig = Rig(Forge([tasks(1)]), work)
        front.pollers.append(rig.poller)
        rig.start()
        await until(lambda: work.begun == ["1"])
        for number in (1, 2):
            asyncio.get_running_loop().call_later(0.1 * number, os.kill, os.getpid(), signal.SIGTERM)

    assert daemon.run(begins) is False


def test_the_gate_holds_all_forges() -> None:
    """While it is closed; that is a trouble too."""
    fronts = Front(), Front()
    daemon = Daemon(*fronts)
    troubles: list[str | None] = []

    async def closes() -> None:
        daemon.room.answer = "no room"
        await until(lambda: fronts[1].paused == [True])
        troubles.append(await daemon.gateway.health.trouble())
        daemon.room.answer = None
        await until(lambda: fronts[1].paused == [True, False])

    assert daemon.run(closes) is True
    assert troubles == ["nothing is fetched: no room"]
    assert fronts[0].paused == [True, False, True]


@pytest.mark.parametrize(
    "runners, trouble",
    [
        ([], None),
        ([State("a")], None),
        ([State("a", trouble="away"), State("b")], None),
        ([State("a", trouble="away"), State("b", trouble="gone")], "lab: away"),
        ([State("a", unregistered="unknown")], "lab: a runner is no longer registered: unknown"),
    ],
)
def test_it_is_not_ready_while_no_runner_of_a_forge_can_ask(
    runners: list[State], trouble: str | None
) -> None:
    """One that can is enough."""
    daemon = Daemon(Front(State("c")), Front(*runners))
    troubles: list[str | None] = []

    async def ask() -> None:
        troubles.append(await daemon.gateway.health.trouble())

    daemon.run(ask)
    assert troubles == [trouble]


def test_all_forges_that_cannot_be_asked_are_named() -> None:
    """In one sentence."""
    daemon = Daemon(Front(State("a", trouble="away")), Front(State("b", unregistered="unknown")))
    troubles: list[str | None] = []

    async def ask() -> None:
        troubles.append(await daemon.gateway.health.trouble())

    daemon.run(ask)
    assert troubles == ["forgejo: away; lab: a runner is no longer registered: unknown"]


def test_work_in_the_background_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells its kind alone: what failed may quote what was sent in confidence."""
    monkeypatch.setattr("jobmeter.gateway.service._AGAIN_SECONDS", 0.01)
    begun = []

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise ValueError("secret")

    daemon = Daemon(Front(), works=(work,))

    async def waits() -> None:
        await until(lambda: len(begun) == 3)

    assert daemon.run(waits) is True
    assert daemon.log.said.count("work in the background failed and begins again") == 2
