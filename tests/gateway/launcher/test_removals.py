"""What launches leave goes beside the work of others, and what a passing want keeps goes later."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from jobmeter.gateway.launcher import removals, work_dir
from jobmeter.gateway.launcher.site import Site
from tests.gateway.launcher.keepers import EXITED, FakeKeepers, Kind
from tests.gateway.launcher.rig import Forge, LaunchRig, ends, forge_of, launching, run
from tests.gateway.relay.rig import until

EMFILE = OSError(24, "Too many open files")
NOW, GIVEN_UP = "what is left of a job cannot be removed now", "what is left of a job cannot be removed"


async def done(
    forge: Forge, rig: LaunchRig, number: int, kind: Kind = "forgejo", result: Any = "success"
) -> None:
    """A job, up to the end of its runner."""
    forge.enqueue(number)
    runner = await rig.keepers.runner(number, kind)
    assert await runner.takes()
    await runner.reports(result)
    rig.keepers.runner_ends(number, EXITED)
    await ends(forge, number, result)


def failing(real: Any, times: int) -> Any:
    """A call that has no descriptor so often."""
    faults = deque([EMFILE] * times)

    def call(*args: Any) -> Any:
        if faults:
            raise faults.popleft()
        return real(*args)

    return call


def test_large_trees_hold_up_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are being removed."""
    released, real = threading.Event(), work_dir.remove
    many = min(32, (os.cpu_count() or 1) + 4)

    def remove(path: Path) -> None:
        released.wait(30)
        real(path)

    monkeypatch.setattr(work_dir, "remove", remove)

    async def main() -> None:
        async with launching(tmp_path, capacity=many) as (forge, rig):
            try:
                for number in range(1, many + 1):
                    await done(forge, rig, number)
                await until(lambda: rig.machines.states.get("removing") == many)
                await done(forge, rig, 99)
            finally:
                released.set()
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize(
    "step,result", [("remove", "success"), ("keep", "failure"), ("folder", "success"), ("gone", "success")]
)
def test_a_passing_want(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, result: str) -> None:
    """It is said once, and all goes, or is kept, a while later."""
    monkeypatch.setattr(removals, "AGAIN_SECONDS", 0.01)

    async def main() -> None:
        async with launching(tmp_path, keep_failed=True) as (forge, rig):
            where, name = {"folder": (Site, "remove"), "gone": (rig.keepers, "gone")}.get(
                step, (work_dir, step)
            )
            monkeypatch.setattr(where, name, failing(getattr(where, name), 2))
            await done(forge, rig, 7, result=result)
            await until(lambda: rig.machines.actions.get("removed") == 1)
            assert [path.endswith("-failed") for path in rig.left] == ([True] if step == "keep" else [])
            assert [one["error"] for one in rig.log.warned if one["message"] == NOW] == [
                "Too many open files"
            ]
            assert GIVEN_UP not in rig.log.texts

    run(main)


def test_a_want_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is given up in the end, until the next start."""
    monkeypatch.setattr(removals, "AGAIN_SECONDS", 0.01)
    real = work_dir.remove
    monkeypatch.setattr(work_dir, "remove", failing(real, removals.MOST_TRIES))

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                await done(forge, rig, 7)
                await until(lambda: rig.machines.actions.get("removed") == 1)
                assert rig.log.texts.count(NOW) == rig.log.texts.count(GIVEN_UP) == 1
                assert rig.left
            monkeypatch.setattr(work_dir, "remove", failing(real, 2))
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                await rig.nothing_left()
                assert rig.log.texts.count(NOW) == 1

    run(main)
