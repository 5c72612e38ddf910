"""Everything that can fail around a job, and what comes of the job: it runs, once, and its result arrives."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.relay.options import ACTIONS_DONE_SECONDS
from tests.gateway.relay.rig import Clock, Messages, Rig, on_disk, until
from tests.support.forges.actions import (
    HANG,
    LOST,
    RESET,
    ActionsForge,
    Fault,
    Runner,
    actions_forge,
    task_ids,
)
from tests.support.forges.serving import wire

SUCCESS, CANCELLED = 1, 3
SECRET = "a-secret-token"
SHORT = ("Connect-Timeout-Ms", "1000")


def run(main):
    asyncio.run(main())


class Working(Runner):
    """A runner that does one task after the other, and tries each call again until it is taken."""

    def __init__(self, rig: Rig, seed: int) -> None:
        super().__init__(rig.port, "one", SECRET)
        self.chance = random.Random(seed)
        self.done: Counter[int] = Counter()

    async def work(self) -> None:
        """Ask, and do what it gets."""
        while True:
            for task_id in await self._tasks():
                await self._do(task_id)

    async def _tasks(self) -> list[int]:
        try:
            got = await self.call("FetchTask", SHORT)
            return task_ids(got)
        except (OSError, asyncio.IncompleteReadError, AssertionError):
            await asyncio.sleep(0.005)
            return []

    async def _do(self, task_id: int) -> None:
        for number in range(3):
            await self._until_taken(
                "UpdateLog", task_id=task_id, index=number, rows=[{"content": str(number)}]
            )
            await self._until_taken("UpdateTask", state={"id": task_id})
        await self._until_taken("UpdateLog", task_id=task_id, index=3, rows=[{"content": "3"}], no_more=True)
        await self._until_taken("UpdateTask", state={"id": task_id, "result": SUCCESS})
        self.done[task_id] += 1

    async def _until_taken(self, call: str, **fields: object) -> None:
        while True:
            try:
                if (await self.call(call, SHORT, **fields)).status == 200:
                    return
            except (OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.005)


FAULTS: dict[str, list[Fault]] = {
    "502": [502, 503, 504, 500],
    "reset": [RESET] * 4,
    "lost": [LOST] * 4,
    "slow": [0.1, 0.2],
}


@pytest.mark.parametrize("call", ["UpdateLog", "UpdateTask"])
@pytest.mark.parametrize("faults", FAULTS)
def test_reports_that_fail(call, faults):
    """Every row arrives once, and the result."""

    async def main():
        async with actions_forge(one=SECRET) as forge, Rig(forge, capacity=1).running() as rig:
            forge.faults[call] = deque(FAULTS[faults])
            forge.enqueue(7)
            runner = Working(rig, 1)
            working = asyncio.create_task(runner.work())
            await until(lambda: runner.done[7] == 1)
            working.cancel()
            assert (forge.jobs[7].rows, forge.jobs[7].result) == (["0", "1", "2", "3"], SUCCESS)
            assert rig.ended == [("7", "success")]
            assert SECRET not in repr(rig.log.warned)

    run(main)


def test_a_forge_that_hangs_holds_no_report_for_long():
    """The runner has its answer before its own limit is over."""

    async def main():
        async with actions_forge(one=SECRET) as forge, Rig(forge).running() as rig:
            runner = Runner(rig.port, "one", SECRET)
            forge.faults["UpdateLog"] = deque([HANG])
            got = await runner.call("UpdateLog", ("Connect-Timeout-Ms", "200"), task_id=7)
            assert (got.status, b"too long" in got.body) == (503, True)

    run(main)


def test_an_answer_that_is_cut_on_its_way_to_the_runner():
    """The job runs once: whoever asks next with the same credentials gets it."""

    async def main():
        async with actions_forge(one=SECRET) as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", SECRET)
            forge.enqueue(7)
            async with wire(rig.port) as line:
                await line.send(runner.written("FetchTask"))
                await until(lambda: rig.held == ["7"])
                line.writer.transport.abort()
            await asyncio.sleep(0.01)  # Within `fetch_interval` it may still be on its way.
            assert await runner.fetch() == [7]
            assert forge.jobs[7].handed == ["one"]

    run(main)


def test_a_runner_that_is_killed():
    """A new one with its credentials has free hands; the old task is over, as nobody reports it any more."""

    async def main():
        clock = Clock()
        async with actions_forge(one=SECRET) as forge, Rig(forge, clock=clock, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", SECRET)
            forge.enqueue(7, 8)
            await runner.fetch()
            await runner.log(7, 0, "a")
            clock.ahead = ACTIONS_DONE_SECONDS
            assert await runner.fetch() == [8]
            assert rig.ended == [("7", "unknown")]

    run(main)


PHASES = ["handed-out", "first-report", "mid-job", "last-log", "final"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_cancel_in_every_phase(phase):
    """The runner hears of it with the next state that it reports; the job is counted once, as cancelled."""

    async def main():
        async with actions_forge(one=SECRET) as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", SECRET)
            forge.enqueue(7, 8)
            await runner.fetch()
            for now in PHASES:
                if now == phase:
                    forge.jobs[7].cancelled = True
                if now == "final":
                    await runner.state(7, SUCCESS)
                elif now != "handed-out":
                    await runner.log(7, PHASES.index(now) - 1, now, last=now == "last-log")
                    await runner.state(7)
            assert rig.ended == [("7", "cancelled")]
            assert rig.held == []
            assert await runner.fetch() == [8]

    run(main)


def test_a_stranger_changes_nothing():
    """Who has not the runner's token gets no task, frees no slot, replaces no report; also while the forge is away."""

    async def main():
        async with actions_forge(one=SECRET) as forge, Rig(forge, capacity=1).running() as rig:
            runner, stranger = Runner(rig.port, "one", SECRET), Runner(rig.port, "one", "guessed")
            forge.enqueue(7)
            await runner.fetch()
            assert await stranger.fetch_status() == 401
            assert (await stranger.log(7, 0, "mine", last=True)).status == 401
            assert (await stranger.state(7, 2)).status == 401
            await forge.go_away()
            assert (await stranger.state(7, 2)).status == 503
            assert rig.held == ["7"]
            assert rig.relay._exchanges.finals.waiting == []
            await forge.listen()
            assert await runner.fetch() == [7]

    run(main)


def test_no_secret_is_logged():
    """Neither tokens nor what is in tasks, logs or masks, whatever goes wrong."""

    async def main():
        async with (
            actions_forge(one=SECRET) as forge,
            Rig(forge, capacity=1, park_seconds=0.1).running() as rig,
        ):
            runner = Runner(rig.port, "one", SECRET)
            forge.enqueue(7, 8)
            forge.faults["FetchTask"] = deque([502, RESET, 0.2])
            for _ in range(2):
                await runner.fetch_status()
                await rig.ready()
            async with runner.asking():
                await until(lambda: forge.calls["FetchTask"] == 3)
            await until(lambda: len(rig.ended) == 1)
            await runner.fetch()
            await forge.go_away()
            await runner.log(8, 0, "::add-mask::masked-word", last=True)
            async with wire(rig.port) as line:
                await line.send(runner.written("UpdateLog", task_id=8).replace(b"\x08\x08", b"\xff\xff"))
                await line.answer()
            told = repr(rig.log.warned) + repr(rig.told.events) + repr(rig.relay.standing())
            assert len(rig.log.warned) > 4
            for secret in (SECRET, "task-secret", "masked-word"):
                assert secret not in told

    run(main)


async def one_kill(folder: Path, forge: ActionsForge, seed: int) -> tuple[bool, Counter[int]]:
    """A job during which the gateway is killed at some moment; True if the task was lost in the one window there is."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        first = Rig(forge, capacity=1, keeping=Keeping(folder / "a", "forge", Messages()))
        await stack.enter_async_context(first.running())
        runner = Working(first, seed)
        working = asyncio.create_task(runner.work())
        await asyncio.sleep(chance.uniform(0.0, 0.04))
        # What is on disk at this moment is all that the next process has; the runner's connections are cut.
        on_disk(folder / "a", folder / "b")
        port, runner.port = runner.port, 1
        second = Rig(forge, capacity=1, keeping=Keeping(folder / "b", "forge", Messages()))
        await stack.enter_async_context(second.running())
        runner.port = second.port
        assert port != runner.port
        job = forge.jobs[seed]
        try:
            async with asyncio.timeout(3):
                while not runner.done:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return not job.rows and job.result == 0, runner.done
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    return False, runner.done


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """The job's log and result are whole and it ran once, but for a kill before the forge's answer was on disk."""

    async def main():
        lost = 0
        for seed in range(25):
            async with actions_forge(one=SECRET) as forge:
                forge.enqueue(seed)
                in_window, done = await one_kill(tmp_path / str(seed), forge, seed)
                lost += in_window
                if not in_window:
                    job = forge.jobs[seed]
                    assert done == {seed: 1}
                    assert (job.rows, job.result, job.handed) == (["0", "1", "2", "3"], SUCCESS, ["one"])
        assert lost <= 5

    run(main)
