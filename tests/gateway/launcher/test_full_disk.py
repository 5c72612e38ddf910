"""While nothing can be written to state_dir jobs that run go on, none is fetched, and no false cause is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobmeter.gateway.figures.events import TaskBegan
from jobmeter.gateway.launcher import post
from jobmeter.supervise.keeper.spec import Limits
from tests.gateway.launcher.keepers import Kind
from tests.gateway.launcher.rig import KINDS, Forge, LaunchRig, ends, launching, run
from tests.gateway.relay.rig import until
from tests.support.disks import SmallDisk, small_disk

WHY = "nothing can be written to state_dir: No space left on device"
PAUSED = "nothing is fetched for now; what runs goes on"


@asynccontextmanager
async def on_a_small_disk(
    folder: Path, kind: Kind = "forgejo", **keys: Any
) -> AsyncIterator[tuple[SmallDisk, Forge, LaunchRig]]:
    """A forge, and a gateway whose state_dir is a disk of its own."""
    with small_disk(folder / "state") as disk:
        async with launching(folder, kind, **keys) as (forge, rig):
            yield disk, forge, rig


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """The forge keeps the job for others, a job at work has its result; once there is room the job is fetched."""
    monkeypatch.setattr(post, "AGAIN_SECONDS", 0.01)

    async def main() -> None:
        async with on_a_small_disk(tmp_path, kind, capacity=2) as (disk, forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            assert await runner.takes()
            disk.fill()
            await until(lambda: PAUSED in rig.log.texts)
            forge.enqueue(8)
            (standing,) = rig.launcher.standing()
            assert standing.trouble == WHY
            await runner.reports("success")
            rig.keepers.runner_ends(7)
            await ends(forge, 7, "success")
            assert [event.task_id for event in rig.told.of(TaskBegan)] == ["7"]
            disk.free()
            other = await rig.keepers.runner(8, kind)
            await until(lambda: rig.launcher.standing()[0].trouble is None)
            await other.takes()
            await other.reports("success")
            rig.keepers.runner_ends(8)
            await ends(forge, 8, "success")
            await rig.nothing_left()
            assert [one["why"] for one in rig.log.warned if one["message"] == PAUSED] == [WHY]

    run(main)


def test_a_drained_runner_has_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would ask for nothing with room either."""
    monkeypatch.setattr(post, "AGAIN_SECONDS", 0.01)

    async def main() -> None:
        async with on_a_small_disk(tmp_path) as (disk, _, rig):
            disk.fill()
            await until(lambda: rig.launcher.standing()[0].trouble == WHY)
            rig.launcher.drain("one", True)
            await until(lambda: rig.launcher.standing()[0].trouble is None)

    run(main)


@pytest.mark.parametrize(
    "full,overdue,said",
    [
        (True, False, "How this job's runner ended is not known, as nothing can be written to the gateway's"),
        (True, True, "The job was ended, as it took longer than its time limit of 1 m 00 s."),
        (False, False, "The process of jobmeter that watched over this job was killed"),
    ],
)
def test_a_keeper_that_has_told_nothing(tmp_path: Path, full: bool, overdue: bool, said: str) -> None:
    """It was killed, unless there was no room for what it had to tell."""

    async def main() -> None:
        async with on_a_small_disk(tmp_path, limits=Limits(timeout_seconds=60.0)) as (disk, forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            if full:
                disk.fill()
            if overdue:
                rig.keepers.runner_is_overdue(7)
            rig.keepers.keeper_is_killed(7)
            (line,) = await ends(forge, 7, "failure")
            assert line.startswith(f"jobmeter: {said}")
            assert line.endswith("state_dir: No space left on device.") == (full and not overdue)

    run(main)
