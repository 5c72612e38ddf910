"""The gateway is killed at random moments in the midst of jobs: each has one result. JOBMETER_KILLS says how often."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.components import jobmeter_environment
from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.scripted_runners import SUCCESS, ActionsWorker, GitlabWorker, at_work
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge

KILLS = int(os.environ.get("JOBMETER_KILLS", "20"))
SEED = 20261122
WAITING = 6
"""So many jobs wait at the forge at any time."""
QUIET_SECONDS = 2
"""When no job has ended for so long, none will."""
LONG: dict[str, Any] = {"reports": 6, "pause": 0.03}
"""A job goes on for as long as a gateway lives."""


async def killed_again_and_again(gateway: RunningGateway, forge: ActionsForge | GitlabForge) -> list[float]:
    """While the forge has always something to do; the moments of the kills."""
    command = (sys.executable, "-m", "tests.e2e.support.gateway_killer", str(KILLS), str(SEED))
    with gateway.opened_log() as log:
        killer = await asyncio.create_subprocess_exec(
            *command,
            *gateway.arguments,
            env=jobmeter_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    telling = asyncio.create_task(killer.communicate())
    number = 0
    while not telling.done():
        if len(forge.waiting) < WAITING:
            number += 1
            forge.enqueue(number)
        await asyncio.sleep(0.005)
    assert killer.returncode == 0, gateway.log
    return [float(line) for line in telling.result()[0].split()]


async def lost_by_kills(
    gateway: RunningGateway, forge: ActionsForge | GitlabForge, *workers: ActionsWorker | GitlabWorker
) -> set[int]:
    """Kill it, and start it a last time: the tasks that were handed out and never run when all others have ended."""

    def left() -> set[int]:
        return forge.jobs.keys() - {number for worker in workers for number in worker.ended}

    await gateway.kill()
    async with at_work(*workers):
        moments = await killed_again_and_again(gateway, forge)
        await gateway.start()
        before: set[int] = set()
        while forge.waiting or left() != before:
            before = left()
            await asyncio.sleep(QUIET_SECONDS)
    assert len(moments) == KILLS
    return left()


def known(gateway: RunningGateway) -> set[int]:
    """The tasks that the gateway knows of."""
    state = json.loads((gateway.state / "forge" / "state.json").read_text())
    return {int(task["id"]) for task in state["tasks"]}


def check(gateway: RunningGateway, lost: set[int], *workers: ActionsWorker | GitlabWorker) -> None:
    """A task that the gateway had on disk is not lost, and none is run twice."""
    print(
        f"{KILLS} kills, {sum(len(worker.ended) for worker in workers)} jobs, {len(lost)} lost in the window"
    )
    assert not lost & known(gateway)
    assert len(lost) <= KILLS * len(workers)
    for worker in workers:
        assert set(worker.begun.values()) == {1}
        assert set(worker.ended.values()) == {"done"}
        assert not lost & worker.begun.keys()


@pytest.mark.slow
@pytest.mark.parametrize("capacity,keyed", [(1, False), (3, True)])
def test_tasks_of_actions(tmp_path: Path, capacity: int, keyed: bool) -> None:
    """Whole logs and one result each, run once; what no runner has got was never on the gateway's disk."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN, two=f"{TOKEN}-2") as forge,
            running_gateway(tmp_path, forge.url, capacity=capacity) as gateway,
        ):
            workers = [
                ActionsWorker(gateway.port, *shown, capacity=capacity, keyed=keyed, **LONG)
                for shown in forge.tokens.items()
            ]
            lost = await lost_by_kills(gateway, forge, *workers)
            check(gateway, lost, *workers)
            for number, job in forge.jobs.items():
                assert len(job.handed) == 1
                ended = (0, 0) if number in lost else (LONG["reports"] + 1, SUCCESS)
                assert (len(job.rows), job.result) == ended

    asyncio.run(main())


@pytest.mark.slow
def test_jobs_of_gitlab(tmp_path: Path) -> None:
    """The same, with requests that are held."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.2) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", capacity=1) as gateway,
        ):
            worker = GitlabWorker(gateway.port, TOKEN, **LONG)
            lost = await lost_by_kills(gateway, forge, worker)
            check(gateway, lost, worker)
            for number, job in forge.jobs.items():
                ended = (0, "running") if number in lost else (LONG["reports"], "success")
                assert (job.trace.count(b"line"), job.state) == ended

    asyncio.run(main())
