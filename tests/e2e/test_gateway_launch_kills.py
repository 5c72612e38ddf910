"""Runners and the gateway that starts them are killed at random moments: each task has one result, nothing is left.

JOBMETER_LAUNCH_TASKS says how many tasks there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobmeter.gateway.launcher.templates import Kind
from tests.e2e.support.components import require_root
from tests.e2e.support.gateway_killer import tasks_on_disk
from tests.e2e.support.gateways import TOKEN
from tests.e2e.support.launching import LaunchingGateway, launching_gateway, open_folder, stand_in
from tests.e2e.support.runners import UUID
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge, gitlab_forge

TASKS = int(os.environ.get("JOBMETER_LAUNCH_TASKS", "12"))
CAPACITY = 8
SEED = 20261122
EACH_SECONDS = 1.0
GATEWAYS_SHARE = 0.5
"""So many of the kills are the gateway's; the others are runners'."""
PATIENCE_SECONDS = 60 + 3 * TASKS
QUIET_SECONDS = 3.0
Forge = ActionsForge | GitlabForge


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that is reached by all."""
    with open_folder() as made:
        yield made


class Kills:
    """So many of either kind; ``kept`` are the tasks that were on the gateway's disk at any of its kills."""

    def __init__(self, gateway: LaunchingGateway) -> None:
        self._gateway = gateway
        self._chance = random.Random(SEED)
        self.gateways = self.runners = 0
        self.kept: set[int] = set()

    @property
    def on_disk(self) -> set[int]:
        """What the next gateway knows of."""
        return set(tasks_on_disk(self._gateway.state / self._gateway.name / "state.json"))

    async def one(self) -> None:
        """Kill somebody."""
        runners = self._gateway.runners()
        if self._chance.random() < GATEWAYS_SHARE or not runners:
            await self._gateway.kill()
            self.gateways += 1
            self.kept |= self.on_disk
            await self._gateway.start()
        else:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(runners), signal.SIGKILL)
                self.runners += 1


def left(forge: Forge) -> set[int]:
    """Without a result."""
    return {number for number, job in forge.jobs.items() if job.ending is None}


async def killed_until_the_end(forge: Forge, kills: Kills) -> set[int]:
    """While there are tasks that can end: those that did not, and never will."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while forge.waiting:
            await asyncio.sleep(EACH_SECONDS)
            await kills.one()
        before: set[int] = set()
        while left(forge) != before or kills.on_disk:
            before = left(forge)
            await asyncio.sleep(QUIET_SECONDS)
    return left(forge)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forgejo", "gitlab"])
def test_each_task_has_one_result(kind: Kind, folder: Path) -> None:
    """Its own with all of its log, or a failure with the cause; what is lost was never on disk."""
    require_root("cgroups of launched runners")

    async def main() -> None:
        made = gitlab_forge(TOKEN, hold_seconds=0.5) if kind == "gitlab" else actions_forge(**{UUID: TOKEN})
        keys = {**stand_in(kind), "capacity": str(CAPACITY)}
        async with made as forge, launching_gateway(folder, forge.url, kind, keys) as gateway:
            chance = random.Random(SEED)
            for number in range(1, TASKS + 1):
                seconds = chance.uniform(0, 3)
                forge.enqueue(number, script=f"echo it begins; sleep {seconds:.2f}; echo it ends")
            kills = Kills(gateway)
            lost = await killed_until_the_end(forge, kills)
            print(
                f"{TASKS} tasks of {kind}, killed: {kills.runners} runners, {kills.gateways} gateways; "
                f"{len(lost)} tasks lost in the window"
            )
            assert not lost & kills.kept
            assert len(lost) <= kills.gateways
            for number in forge.jobs.keys() - lost:
                check(forge, number)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while gateway.left():
                    await asyncio.sleep(EACH_SECONDS)

    asyncio.run(main())


def check(forge: Forge, number: int) -> None:
    """Its log goes with its result."""
    job = forge.jobs[number]
    lines = [line for line in job.text.splitlines() if line]
    why = [line for line in lines if line.startswith("jobmeter: ")]
    own = [line for line in lines if line not in why]
    if job.ending == "success":
        assert (own, why) == (["it begins", "it ends"], [])
    else:
        assert job.ending == "failure"
        assert own == ["it begins", "it ends"][: len(own)]
        assert why
