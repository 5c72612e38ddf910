"""Three runners with sixty slots each before a real gateway, counted at the forge; and work within few slots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.support.gateways import TOKEN, running_gateway
from tests.e2e.support.scripted_runners import CANCELLED, SUCCESS, ActionsWorker, GitlabWorker, at_work, until
from tests.support.forges.actions import ActionsForge, Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge

CAPACITY = 60
INTERVAL_SECONDS = 1
CYCLES = 4
RUNNERS = {name: f"{TOKEN}-{name}" for name in ("one", "two", "three")}


class Asking(Runner):
    """A runner of old: each of its slots asks by itself, again and again, whatever the others do."""

    def __init__(self, port: int, uuid: str, token: str) -> None:
        super().__init__(port, uuid, token)
        self.got: list[int] = []
        self.requests = 0

    async def slot(self) -> None:
        while True:
            self.requests += 1
            self.got += await self.fetch()
            await asyncio.sleep(INTERVAL_SECONDS / 2)


@asynccontextmanager
async def asking(*runners: Asking) -> AsyncIterator[None]:
    """All their slots, one after the other by some milliseconds."""
    slots = []
    for runner in runners * CAPACITY:
        slots.append(asyncio.create_task(runner.slot()))
        await asyncio.sleep(0.001)
    yield
    for slot in slots:
        assert not slot.done()
        slot.cancel()
    await asyncio.gather(*slots, return_exceptions=True)


async def fetches(forge: ActionsForge) -> tuple[int, float]:
    """How many requests for work the forge gets in some cycles, and how many cycles these were."""
    began, before = time.monotonic(), forge.calls["FetchTask"]
    await asyncio.sleep(CYCLES * INTERVAL_SECONDS)
    return forge.calls["FetchTask"] - before, (time.monotonic() - began) / INTERVAL_SECONDS


def test_three_runners_with_sixty_slots(tmp_path: Path) -> None:
    """Idle: 3 requests in a cycle where 180 were sent, over 3 connections. Full: none. Never two at a time of one."""

    async def main() -> None:
        interval = {"fetch_interval": f"{INTERVAL_SECONDS}s", "fetch_interval_max": f"{INTERVAL_SECONDS}s"}
        async with (
            actions_forge(**RUNNERS) as forge,
            running_gateway(tmp_path, forge.url, capacity=CAPACITY, **interval) as gateway,
        ):
            runners = [Asking(gateway.port, uuid, token) for uuid, token in RUNNERS.items()]
            async with asking(*runners):
                sent = sum(runner.requests for runner in runners)
                idle, cycles = await fetches(forge)
                assert 3 <= idle <= 3 * (cycles + 1)
                assert sum(runner.requests for runner in runners) - sent >= 180
                assert len({seen.connection for seen in forge.seen}) <= 3
                forge.enqueue(*range(1, 3 * CAPACITY + 11))
                await until(lambda: len(forge.waiting) == 10, 60)
                await until(lambda: all(len(runner.got) == CAPACITY for runner in runners))
                full, _ = await fetches(forge)
                assert full == 0
                assert forge.most_fetching == 1
                await runners[0].state(runners[0].got[0], SUCCESS)
                await until(lambda: len(runners[0].got) == CAPACITY + 1)
            assert len(forge.waiting) == 9
            assert gateway.warned == []

    asyncio.run(main())


def test_six_tasks_with_three_slots(tmp_path: Path) -> None:
    """At most three at a time, two at least; requests one after the other; all end, one of them cancelled."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=3) as gateway,
        ):
            worker = ActionsWorker(gateway.port, "one", TOKEN, capacity=6, reports=5, pause=0.1)
            most = 0
            forge.enqueue(*range(1, 7))
            async with at_work(worker):
                while len(worker.ended) < 6:
                    most = max(most, len(worker.begun) - len(worker.ended))
                    if len(forge.jobs[2].rows) == 1:
                        forge.jobs[2].cancelled = True
                    await asyncio.sleep(0.005)
            assert 2 <= most <= 3
            assert forge.most_fetching == 1
            assert worker.ended == {number: "cancelled" if number == 2 else "done" for number in range(1, 7)}
            results = [job.result for job in forge.jobs.values()]
            assert results == [SUCCESS, CANCELLED, SUCCESS, SUCCESS, SUCCESS, SUCCESS]

    asyncio.run(main())


def test_a_runner_with_four_slots_of_which_the_gateway_fills_one(tmp_path: Path) -> None:
    """Its others ask all the time while one works; never two tasks at a time, counted at the forge, each once."""

    async def main() -> None:
        interval = {"fetch_interval": "500ms", "fetch_interval_max": "500ms"}
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=1, **interval) as gateway,
        ):
            worker = ActionsWorker(gateway.port, "one", TOKEN, capacity=4, reports=5, pause=0.1)
            forge.enqueue(1, 2, 3, 4)
            async with at_work(worker):
                await until(lambda: len(worker.ended) == 4)
            assert forge.most_working == 1
            assert worker.begun == dict.fromkeys(forge.jobs, 1)
            assert gateway.warned == []

    asyncio.run(main())


def test_a_runner_of_gitlab_that_does_four_jobs_at_once(tmp_path: Path) -> None:
    """It asks for more while it works, and waits."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.2) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", capacity=1) as gateway,
        ):
            first, *others = [GitlabWorker(gateway.port, TOKEN, reports=5, pause=0.1) for _ in range(4)]
            forge.enqueue(1, 2, 3, 4)
            async with at_work(first):
                await until(lambda: forge.jobs[1].trace != b"")
                async with at_work(*others):
                    await until(lambda: sum(len(one.ended) for one in (first, *others)) == 4)
            assert forge.most_working == 1
            assert [job.text.count("line") for job in forge.jobs.values()] == [5] * 4
            assert gateway.said("a job is taken to be over: its runner asks for another one") == []

    asyncio.run(main())
