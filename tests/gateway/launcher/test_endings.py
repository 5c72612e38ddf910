"""How a launched job ends: cancelled, with a result that is on its way, with a runner that does not end."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.gateway.launcher import launch
from jobmeter.supervise.keeper.spec import Limits
from tests.gateway.launcher.keepers import EXITED, Kind
from tests.gateway.launcher.rig import DETAIL, KINDS, ends, launching, run
from tests.gateway.relay.rig import until
from tests.support.forges.actions import ActionsForge
from tests.support.forges.gitlab import GitlabForge


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_is_cancelled(tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runner hears so with its next report; if it does not end, it is ended."""
    monkeypatch.setattr(launch, "CANCELLED_SECONDS", 0.05)

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            forge.jobs[7].cancel()
            if kind == "gitlab":
                assert (await runner.prints("at work")).values("job-status") == ["canceled"]
            else:
                await runner.actions.state(7)
            await until(lambda: bool(rig.keepers.stopped))
            await rig.nothing_left()
            assert rig.ended == [("7", "cancelled")]
            lines = forge.jobs[7].text.splitlines()
            assert lines == (["at work"] if kind == "gitlab" else [])

    run(main)


@pytest.mark.parametrize("ends_itself", [False, True])
def test_a_job_that_gitlab_asks_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_itself: bool
) -> None:
    """Its runner has as long as GitLab waits; what has not ended by then is ended, and GitLab hears why."""
    monkeypatch.setattr(launch, "CANCELING_SECONDS", 60.0 if ends_itself else 0.05)

    async def main() -> None:
        async with launching(tmp_path, "gitlab") as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "gitlab")
            await runner.takes()
            assert isinstance(forge, GitlabForge)
            forge.jobs[7].status = "canceling"
            assert (await runner.prints("at work")).values("job-status") == ["canceling"]
            if ends_itself:
                await runner.prints("after_script")
                await runner.reports("failure")
                rig.keepers.runner_ends(7)
                assert await ends(forge, 7, "failure") == ["at work", "after_script"]
            else:
                lines = await ends(forge, 7, "failure")
                said = "The job was cancelled, and its runner was ended 50 ms later."
                assert lines == ["at work", "", f"jobmeter: {said}"]
                assert rig.log.texts[0] == "a job was cancelled and its runner has not ended: it is ended now"
            await rig.nothing_left()
            assert bool(rig.keepers.stopped) != ends_itself
            assert rig.ended == [("7", "failure" if ends_itself else "cancelled")]

    run(main)


def test_a_runner_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its final report it has a while, then it is ended: the result stays."""
    monkeypatch.setattr(launch, "ENDING_SECONDS", 0.05)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await runner.reports("success")
            await rig.nothing_left()
            assert rig.ended == [("7", "success")]
            assert rig.log.texts == ["a job is over and its runner has not ended: it is ended now"]

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forge_that_is_away_at_a_death(tmp_path: Path, kind: Kind) -> None:
    """It hears of it when it is back; the slot is free meanwhile."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            port = forge.port
            await forge.go_away()
            rig.keepers.runner_ends(7, replace(EXITED, reason="signal", detail=DETAIL))
            await rig.nothing_left()
            assert forge.jobs[7].ending is None
            await forge.listen(port)
            lines = await ends(forge, 7, "failure")
            assert lines[-1] == f"jobmeter: {DETAIL}"

    run(main)


def test_what_a_runner_said_last_counts(tmp_path: Path) -> None:
    """A result that the forge could not take is kept, and its runner's end adds nothing to it."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await runner.prints("at work")
            port = forge.port
            await forge.go_away()
            await runner.reports("success")
            rig.keepers.runner_ends(7)
            await rig.nothing_left()
            await forge.listen(port)
            assert await ends(forge, 7, "success") == ["at work"]

    run(main)


def test_a_last_log_without_a_result(tmp_path: Path) -> None:
    """It is kept for a forge that is away, and the failure is told behind it."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await runner.prints("at work")
            port = forge.port
            await forge.go_away()
            await runner.actions.log(7, 1, "the last row", last=True)
            rig.keepers.runner_ends(7, replace(EXITED, reason="signal", detail=DETAIL))
            await rig.nothing_left()
            await forge.listen(port)
            assert await ends(forge, 7, "failure") == ["at work", "the last row"]

    run(main)


def test_a_result_that_is_on_its_way(tmp_path: Path) -> None:
    """A runner that has ended meanwhile has not died."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            before = forge.calls["UpdateTask"]
            assert isinstance(forge, ActionsForge)
            forge.faults["UpdateTask"] = deque([0.3])
            reporting = asyncio.create_task(runner.reports("success"))
            await until(lambda: forge.calls["UpdateTask"] > before)
            rig.keepers.runner_ends(7)
            await rig.nothing_left()
            assert (await reporting).status == 200
            assert rig.ended == [("7", "success")]
            assert forge.jobs[7].text == ""
            assert rig.log.warned == []

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("says", ["success", "failure"])
def test_what_a_runner_says_while_it_is_ended(tmp_path: Path, kind: Kind, says: Any) -> None:
    """Of one that took too long no result counts: some say then that all went well. No clock is asked."""

    async def main() -> None:
        async with launching(tmp_path, kind, limits=Limits(timeout_seconds=1e9)) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            await runner.prints("at work")
            rig.keepers.runner_is_overdue(7)
            assert (await runner.reports(says)).status == 503
            rig.keepers.runner_ends(7, replace(EXITED, reason="timeout", detail="It took too long."))
            lines = [line for line in await ends(forge, 7, "failure") if line]
            assert lines == ["at work", "jobmeter: It took too long."]

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_before_the_time_limit_is_noticed(tmp_path: Path, kind: Kind) -> None:
    """It counts until the keeper has the runner end, whatever the clock says."""

    async def main() -> None:
        async with launching(tmp_path, kind, limits=Limits(timeout_seconds=1.0)) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            assert (await runner.reports("success")).status == 200
            rig.keepers.runner_is_overdue(7)
            rig.keepers.runner_ends(7, replace(EXITED, reason="timeout", detail="It took too long."))
            assert await ends(forge, 7, "success") == []

    run(main)


def test_cancelling_at_the_end(tmp_path: Path) -> None:
    """The forge is told, and the runner is ended."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await rig.launcher.cancel_tasks()
            assert forge.jobs[7].ending == "cancelled"
            assert rig.keepers.stopped == [runner.spec.name]
            assert rig.ended == [("7", "cancelled")]

    run(main)
