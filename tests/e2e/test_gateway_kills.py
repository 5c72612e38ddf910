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
from tests.e2e.support.gateway_killer import tasks_on_disk
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
"""Such a job goes on for as long as a gateway lives,"""
SHORT: dict[str, Any] = {"reports": 1, "pause": 0.01}
"""and after such ones its runner asks again, so that kills hit the handing over too."""


def state_of(gateway: RunningGateway) -> Path:
    """The file with what a gateway knows of its tasks."""
    return gateway.state / "forge" / "state.json"


async def killed_again_and_again(gateway: RunningGateway, forge: ActionsForge | GitlabForge) -> set[int]:
    """While the forge has always something to do: the tasks that were on disk at any of the kills."""
    told = (str(KILLS), str(SEED), str(state_of(gateway)))
    command = (sys.executable, "-m", "tests.e2e.support.gateway_killer", *told)
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
    lines = telling.result()[0].splitlines()
    assert len(lines) == KILLS
    return {number for line in lines for number in json.loads(line)}


async def lost_by_kills(
    gateway: RunningGateway, forge: ActionsForge | GitlabForge, *workers: ActionsWorker | GitlabWorker
) -> set[int]:
    """Kill it, and start it a last time: the tasks that were handed out and never run when all others have ended.

    None of them was on disk when a gateway was killed, and none is run twice.
    """

    def left() -> set[int]:
        return forge.jobs.keys() - {number for worker in workers for number in worker.ended}

    await gateway.kill()
    async with at_work(*workers), asyncio.timeout(KILLS + 150):
        kept = await killed_again_and_again(gateway, forge)
        await gateway.start()
        before: set[int] = set()
        while forge.waiting or left() != before or left() & set(tasks_on_disk(state_of(gateway))):
            before = left()
            await asyncio.sleep(QUIET_SECONDS)
    lost = left()
    print(f"{KILLS} kills, {len(forge.jobs)} jobs, {len(lost)} lost in the window")
    assert kept
    assert not lost & kept
    assert len(lost) <= KILLS * len(workers)
    for worker in workers:
        assert set(worker.begun.values()) == {1}
        assert set(worker.ended.values()) == {"done"}
    return lost


CASES = [(1, False), (3, True)]
if KILLS >= 100:  # What has not reached its runner is given again after a minute: too long for a few kills.
    CASES.append((3, False))


@pytest.mark.slow
@pytest.mark.parametrize("capacity,keyed", CASES)
def test_tasks_of_actions(tmp_path: Path, capacity: int, keyed: bool) -> None:
    """Whole logs and one result each, run once; what no runner has got was never on the gateway's disk."""

    async def main() -> None:
        async with (
            actions_forge(one=TOKEN, two=f"{TOKEN}-2") as forge,
            running_gateway(tmp_path, forge.url, capacity=capacity) as gateway,
        ):
            slots: dict[str, Any] = {"capacity": capacity, "keyed": keyed, "last_pause": 0.1}
            workers = [
                ActionsWorker(gateway.port, "one", TOKEN, **LONG | slots),
                ActionsWorker(gateway.port, "two", f"{TOKEN}-2", **SHORT | slots),
            ]
            lost = await lost_by_kills(gateway, forge, *workers)
            rows = {worker.uuid: worker.reports + 1 for worker in workers}
            for number, job in forge.jobs.items():
                assert len(job.handed) == 1
                ended = (0, 0) if number in lost else (rows[job.handed[0]], SUCCESS)
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
            for number, job in forge.jobs.items():
                ended = (0, "running") if number in lost else (LONG["reports"], "success")
                assert (job.trace.count(b"line"), job.state) == ended

    asyncio.run(main())
