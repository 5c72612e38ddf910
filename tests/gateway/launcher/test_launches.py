"""A task that the forge hands out is done by a runner that was started for it, and has one end whatever happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.gateway.launcher import launch, post
from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper.end import Ended
from tests.gateway.launcher.keepers import EXITED, Kind
from tests.gateway.launcher.rig import DETAIL, KINDS, TOKEN, ends, launching, run
from tests.gateway.relay.rig import until


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("result", ["success", "failure"])
def test_a_task_is_done(tmp_path: Path, kind: Kind, result: Any) -> None:
    """Log and result are the runner's, the forge sees the registered runner, and nothing is left."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            assert await runner.takes()
            await runner.prints("at work")
            assert not await runner.takes()
            await runner.reports(result)
            assert rig.launcher.standing()[0].tasks == ("7",)
            rig.keepers.runner_ends(7)
            assert await ends(forge, 7, result) == ["at work"]
            await rig.nothing_left()
            assert rig.ended == [("7", result)]
            assert not any(runner.actions.headers[2][1].encode() in str(seen).encode() for seen in forge.seen)
            assert rig.log.warned == []
            about = {"forge": "forge", "runner": "one", "task": "7"}
            about |= {"repository": "g/p", "job": "build"} if kind == "gitlab" else {"repository": "org/repo"}
            begun, over = [one for one in rig.log.informed if one.get("task") == "7"]
            seconds = over.pop("seconds")
            assert isinstance(seconds, float)
            assert begun == {"message": "a job is handed out"} | about
            assert over == {"message": "a job has ended", "result": result} | about

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ended,words",
    [
        (replace(EXITED, reason="signal", detail=DETAIL), DETAIL),
        (replace(EXITED, reason="oom", detail="Out of memory."), "Out of memory."),
        (replace(EXITED, reason="timeout", detail="It took too long."), "It took too long."),
        (EXITED, EXITED.detail),
        (replace(EXITED, oom_kills=2), "The kernel killed 2 processes of the job for want of memory"),
        (
            None,
            "The process of jobmeter that watched over this job was killed, by hand or for want of memory, and",
        ),
    ],
)
def test_a_runner_that_ends_without_a_result(
    tmp_path: Path, kind: Kind, ended: Ended | None, words: str
) -> None:
    """Its task has failed, and the last line of the log says why."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            assert await runner.takes()
            await runner.prints("at work")
            if ended is None:
                rig.keepers.survivors = (Survivor(9, "sleep"),)
                rig.keepers.keeper_is_killed(7)
            else:
                rig.keepers.runner_ends(7, ended)
            lines = await ends(forge, 7, "failure")
            assert (lines[0], len([line for line in lines if line])) == ("at work", 2)
            assert lines[-1].startswith(f"jobmeter: {words}")
            await rig.nothing_left()
            assert rig.ended == [("7", "failure")]
            if kind == "gitlab":
                said = json.loads([seen for seen in forge.seen if seen.method == "PUT"][-1].body)
                late = ended is not None and ended.reason == "timeout"
                assert said["failure_reason"] == (
                    "job_execution_timeout" if late else "runner_system_failure"
                )

    run(main)


def test_many_processes_that_a_job_left(tmp_path: Path) -> None:
    """Ten are named, the others counted."""

    async def main() -> None:
        async with launching(tmp_path, "forgejo") as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            survivors = tuple(Survivor(pid, "sleep") for pid in range(200))
            rig.keepers.runner_ends(7, replace(EXITED, survivors=survivors))
            await ends(forge, 7, "failure")
            await rig.nothing_left()
            (said,) = [one["processes"] for one in rig.log.warned if "processes" in one]
            assert said == [*(f"sleep ({pid})" for pid in range(10)), "and 190 more"]

    run(main)


@pytest.mark.parametrize("receiver, named", [("http://127.0.0.1:1", True), (None, False)])
def test_what_was_metered_when_a_keeper_was_killed(tmp_path: Path, receiver: str | None, named: bool) -> None:
    """Nobody sends it any more: where it should have gone somewhere the log names it."""

    async def main() -> None:
        async with launching(tmp_path, receiver=receiver) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            Path(runner.spec.journal).write_text("records")
            rig.keepers.keeper_is_killed(7)
            await ends(forge, 7, "failure")
            await rig.nothing_left()
            assert [one["file"] for one in rig.log.warned if "file" in one] == [runner.spec.journal] * named
            assert Path(runner.spec.journal).exists()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_that_ends_before_it_took_its_task(tmp_path: Path, kind: Kind) -> None:
    """Another one is started, with other credentials; those of the first are good no more."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            first = await rig.keepers.runner(7, kind)
            rig.keepers.runner_ends(7)
            second = await rig.keepers.runner(7, kind, 2)
            refused = first.gitlab.fetch() if kind == "gitlab" else first.asks("FetchTask")
            assert (await refused).status in (401, 403)
            assert await second.takes()
            await second.reports("success")
            rig.keepers.runner_ends(7)
            await ends(forge, 7, "success")
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("takes", [False, True])
def test_what_a_runner_wrote_last(
    tmp_path: Path, kind: Kind, takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that did not take its task it says why, in the job's log and ours; of another it may be the job's own."""
    monkeypatch.setattr(launch, "PAUSE_SECONDS", 0.01)

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            for attempt in (1, 2, 3):
                runner = await rig.keepers.runner(7, kind, attempt)
                if takes and attempt == 3:
                    assert await runner.takes()
                token = runner.spec.argv[-1]
                wrote = f"at {attempt}\n\x1b[31mno image\x1b[0m for {token} of {TOKEN}\n"
                (Path(runner.spec.folder) / runner.spec.output).write_text(wrote)
                rig.keepers.runner_ends(7)
            line = (await ends(forge, 7, "failure"))[-1]
            said = "It wrote last: at {} | no image for [hidden] of [hidden]"
            assert line == f"jobmeter: {EXITED.detail}" + ("" if takes else f" {said.format(3)}")
            whys = [one["why"] for one in rig.log.warned if "why" in one]
            assert whys[:2] == [f"{EXITED.detail} {said.format(number)}" for number in (1, 2)]
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize("refused", [False, True])
def test_runners_that_cannot_take_their_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """After three starts it has failed, and its log says why; the next task is left to others for a while."""
    monkeypatch.setattr(launch, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(post, "RECOVERY_SECONDS", 0.2)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            if refused:
                rig.keepers.refusals += [f"there is no account {number}" for number in (1, 2, 3)]
            forge.enqueue(7)
            for attempt in () if refused else (1, 2, 3):
                await rig.keepers.runner(7, "forgejo", attempt)
                rig.keepers.runner_ends(7)
            (line,) = await ends(forge, 7, "failure")
            could_not = "The gateway could not start a runner for this job: there is no account 3."
            assert line == f"jobmeter: {could_not if refused else EXITED.detail}"
            await rig.nothing_left()
            forge.enqueue(8)
            await asyncio.sleep(0.05)
            assert len(forge.waiting) == 1
            await rig.keepers.runner(8, "forgejo")

    run(main)


@pytest.mark.parametrize("keep_failed", [False, True])
@pytest.mark.parametrize("result", ["success", "failure"])
def test_a_work_dir_stays_if_it_is_wanted(tmp_path: Path, keep_failed: bool, result: Any) -> None:
    """Of failed tasks alone, under another name."""

    async def main() -> None:
        async with launching(tmp_path, keep_failed=keep_failed) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            (Path(runner.spec.work_dir) / "core").write_text("what failed")
            (Path(runner.spec.folder) / runner.spec.output).write_text("what it said")
            await runner.takes()
            await runner.reports(result)
            rig.keepers.runner_ends(7)
            await until(lambda: not (rig.state / "launches" / "forge" / "7").exists())
            kept = {path.name for path in rig.work.iterdir()}
            name = Path(runner.spec.work_dir).name
            both = {f"{name}-failed", f"{name}-failed.log"}
            assert kept == (both if keep_failed and result == "failure" else set())

    run(main)


def test_slots(tmp_path: Path) -> None:
    """So many runners are at work as there are slots; the next task is fetched when one has ended."""

    async def main() -> None:
        async with launching(tmp_path, capacity=2) as (forge, rig):
            forge.enqueue(1, 2, 3)
            for number in (1, 2):
                await (await rig.keepers.runner(number, "forgejo")).takes()
            await asyncio.sleep(0.05)
            assert len(forge.waiting) == 1
            assert rig.machines.states["used"] == 2
            rig.keepers.runner_ends(1)
            await (await rig.keepers.runner(3, "forgejo")).takes()
            for number in (2, 3):
                rig.keepers.runner_ends(number)
            await rig.nothing_left()
            await until(lambda: not any(rig.machines.states.values()))
            assert rig.machines.actions == {"created": 3, "used": 3, "removed": 3}

    run(main)


class Heard:
    """TaskHooks that keep what they are told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str | None]] = []

    def task_started(self, task):
        self.events.append((task.event, task.task_id, task.job.repository))

    async def task_ending(self, task):
        self.events.append((task.event, task.task_id, task.job.repository))
        return True


@pytest.mark.parametrize("dies", [False, True])
def test_hooks_hear_of_it(tmp_path: Path, dies: bool) -> None:
    """Of the end before the runner has its last answer, or when it has died; once."""

    async def main() -> None:
        hooks = Heard()
        async with launching(tmp_path, hooks=hooks) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            if not dies:
                await runner.reports("success")
                assert [word for word, _, _ in hooks.events] == ["on_task_started", "on_task_destroy"]
            rig.keepers.runner_ends(7)
            await rig.nothing_left()
        words = ["on_task_started", "on_task_destroy"]
        assert hooks.events == [(word, "7", "org/repo") for word in words]

    run(main)
