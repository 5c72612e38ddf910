"""Jobs that are cancelled in every phase, and runners that are killed, before a real gateway."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.scripted_runners import (
    CANCELLED,
    SUCCESS,
    ActionsWorker,
    Ending,
    GitlabWorker,
    at_work,
    until,
)
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import gitlab_forge

Phase = Callable[[ActionsForge], Awaitable[None]]


async def before_the_answer(forge: ActionsForge) -> None:
    """The forge has handed it out, and its answer is on its way."""
    forge.faults["FetchTask"] = deque([0.5])
    forge.enqueue(1)
    await until(lambda: bool(forge.jobs[1].handed))
    forge.jobs[1].cancelled = True


async def running(forge: ActionsForge) -> None:
    """Its runner reports."""
    forge.enqueue(1)
    await until(lambda: len(forge.jobs[1].rows) == 1)
    forge.jobs[1].cancelled = True


async def at_the_last_report(forge: ActionsForge) -> None:
    """Its log is whole, and its result comes."""
    forge.enqueue(1)
    await until(lambda: len(forge.jobs[1].rows) == 3)
    forge.faults["UpdateLog"] = deque([0.5])
    await until(lambda: forge.jobs[1].closed)
    forge.jobs[1].cancelled = True


async def endings(gateway: RunningGateway) -> dict[str, float]:
    """How many jobs have ended how."""
    values = await gateway.place.values()
    head = 'jobmeter_runner_jobs_total{runner="runner-one",status="'
    return {
        name.removeprefix(head).removesuffix('"}'): value
        for name, value in values.items()
        if name.startswith(head) and value
    }


@pytest.mark.parametrize("ending", ["act_runner", "forgejo-runner"])
@pytest.mark.parametrize("phase", [before_the_answer, running, at_the_last_report])
def test_a_cancel_in_every_phase(tmp_path: Path, phase: Phase, ending: Ending) -> None:
    """The forge keeps it, the runner hears of it while there is time, the next job runs; counted once."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=1) as gateway,
        ):
            worker = ActionsWorker(gateway.port, "one", TOKEN, ending=ending, pause=0.1)
            await worker.call("Declare", version="v1")
            async with at_work(worker):
                await phase(forge)
                forge.enqueue(2)
                await until(lambda: 2 in worker.ended)
            late = phase is at_the_last_report
            assert worker.ended == {1: "done" if late else "cancelled", 2: "done"}
            assert [job.result for job in forge.jobs.values()] == [CANCELLED, SUCCESS]
            assert await endings(gateway) == {"cancelled": 1, "success": 1}

    asyncio.run(main())


def test_a_cancel_at_gitlab(tmp_path: Path) -> None:
    """By the answer to a part of the trace."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.2) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", capacity=1) as gateway,
        ):
            worker = GitlabWorker(gateway.port, TOKEN, reports=5, pause=0.1)
            forge.enqueue(1, 2)
            async with at_work(worker):
                await until(lambda: bool(forge.jobs[1].trace))
                forge.jobs[1].status = "canceled"
                await until(lambda: 2 in worker.ended)
            assert worker.ended == {1: "cancelled", 2: "done"}
            assert forge.jobs[2].state == "success"

    asyncio.run(main())


@pytest.mark.parametrize("again", [True, False], ids=["started-again", "gone"])
def test_a_runner_that_is_killed(tmp_path: Path, again: bool) -> None:
    """Its slot is free when one with its credentials asks, at the latest after `lost_after`; its task ran once."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=1, lost_after="2s") as gateway,
        ):
            killed = ActionsWorker(gateway.port, "one", TOKEN, reports=1000)
            await killed.call("Declare", version="v1")
            forge.enqueue(1)
            async with at_work(killed):
                await until(lambda: bool(forge.jobs[1].rows))
            assert "task_id=1" in await gateway.place.get("/debug/jobs/list")
            if again:
                forge.enqueue(2)
                worker = ActionsWorker(gateway.port, "one", TOKEN)
                async with at_work(worker):
                    await until(lambda: 2 in worker.ended)
                assert worker.begun == {2: 1}
            else:
                await until(lambda: bool(gateway.said("a job is given up: its runner shows no sign of it")))
            assert "task_id=1" not in await gateway.place.get("/debug/jobs/list")
            assert forge.jobs[1].handed == ["one"]
            assert (await endings(gateway))["unknown"] == 1

    asyncio.run(main())
