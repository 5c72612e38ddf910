"""A task that the forge hands out is done by a runner that was started for it, and has one end whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.gateway.launcher import launch, launcher, post
from jobmeter.model.errors import JobmeterError
from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper.end import Ended
from jobmeter.supervise.keeper.spec import Limits
from tests.gateway.launcher.keepers import EXITED, FakeKeepers, Kind
from tests.gateway.launcher.rig import KINDS, TOKEN, Forge, LaunchRig, forge_of, launching
from tests.gateway.relay.rig import until
from tests.support.forges.actions import ActionsForge, actions_forge
from tests.support.forges.gitlab import GitlabForge

DETAIL = "The runner was killed by SIGKILL after 2 s."


def run(main):
    asyncio.run(main())


async def ends(forge: Forge, number: int, ending: str) -> list[str]:
    """The lines of its log, when it has ended like this."""
    job = forge.jobs[number]
    await until(lambda: job.ending is not None)
    assert job.ending == ending
    return job.text.splitlines()


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


# --- restarts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_outlives_the_gateway(tmp_path: Path, kind: Kind) -> None:
    """The next one takes it up: its slot is held, its credentials are good, and its end is heard of."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as first:
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
                await runner.prints("before")
            second = LaunchRig(tmp_path, forge, kind, keepers)
            runner.actions.port = runner.gitlab.port = second.port
            async with second.running():
                assert first.ended == []
                assert second.launcher.standing()[0].tasks == ("7",)
                await runner.prints("after")
                await runner.reports("success")
                keepers.runner_ends(7)
                assert await ends(forge, 7, "success") == ["before", "after"]
                await second.nothing_left()
                assert second.ended == [("7", "success")]

    run(main)


@pytest.mark.parametrize("ended, moved", [(False, True), (False, False), (True, True)])
def test_a_gateway_that_has_another_address(tmp_path: Path, ended: bool, moved: bool) -> None:
    """The log names the jobs whose runners were given the former one, as long as they work."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            first = LaunchRig(tmp_path, forge, "forgejo", keepers)
            async with first.running():
                forge.enqueue(7)
                assert await (await keepers.runner(7, "forgejo")).takes()
            if ended:
                keepers.runner_ends(7)
            second = LaunchRig(tmp_path, forge, "forgejo", keepers, port=None if moved else first.port)
            async with second.running():
                await until(lambda: bool(second.launcher.standing()))
                await asyncio.sleep(0.2)
                told = [
                    (one["task"], one["former"], one["address"])
                    for one in second.log.warned
                    if "former" in one
                ]
                places = [f"http://127.0.0.1:{rig.port}/" for rig in (first, second)]
                assert told == [("7", *places)] * (moved and not ended)

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keeper_too", [False, True])
def test_a_runner_dies_while_there_is_no_gateway(tmp_path: Path, kind: Kind, keeper_too: bool) -> None:
    """The next one reports it, behind all of the log that the forge has."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                await runner.takes()
                for line in ("one", "two", "three"):
                    await runner.prints(line)
            if keeper_too:
                keepers.keeper_is_killed(7)
            else:
                keepers.runner_ends(7, replace(EXITED, reason="signal", detail=DETAIL))
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as second:
                lines = await ends(forge, 7, "failure")
                assert [line for line in lines if line][:3] == ["one", "two", "three"]
                assert lines[-1].startswith("jobmeter: ")
                await second.nothing_left()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_that_was_not_started_yet(tmp_path: Path, kind: Kind) -> None:
    """The next gateway starts one: the task is on disk."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            keepers.stuck = True
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as first:
                forge.enqueue(7)
                await until(lambda: first.launcher.standing()[0].tasks == ("7",))
                await until(lambda: bool(first.left))
            keepers.stuck = False
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as second:
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                await second.nothing_left()

    run(main)


def test_what_is_left_of_tasks_that_nobody_knows(tmp_path: Path) -> None:
    """Runners, cgroups and directories of them are ended and removed, and named in the log."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, "forgejo")
                await runner.takes()
            state = tmp_path / "state" / "forge" / "state.json"
            state.write_text('{"schema": "jobmeter.gateway/1", "tasks": [], "names": []}')
            cgroup = runner.spec.name.removesuffix("7") + "8"
            keepers.cgroups.add(cgroup)
            keepers.survivors = (Survivor(9, "sleep"),)
            (tmp_path / "work" / cgroup.replace("-8", "-9")).mkdir()
            (tmp_path / "work" / "of-somebody-else").mkdir()
            rig = LaunchRig(tmp_path, forge, "forgejo", keepers)
            runner.actions.port = rig.port
            async with rig.running():
                assert (await runner.actions.state(7)).status == 401
                await until(lambda: [Path(one).name for one in rig.left] == ["of-somebody-else"])
                assert keepers.stopped == [runner.spec.name]
                ended = [one for one in rig.log.warned if "processes" in one]
                assert {(one["task"], *one["processes"]) for one in ended} == {  # type: ignore[misc]
                    ("7", "sleep (9)"),
                    ("8", "sleep (9)"),
                }

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


def test_registering(tmp_path: Path) -> None:
    """Without a registration one is made with the token, once: the next gateway has it on disk."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with actions_forge() as forge:
            for number in (7, 8):
                rig = LaunchRig(
                    tmp_path, forge, "forgejo", keepers, registration_token="planted", labels=("here:host",)
                )
                async with rig.running():
                    forge.enqueue(number)
                    runner = await keepers.runner(number, "forgejo")
                    await runner.takes()
                    await runner.reports("success")
                    keepers.runner_ends(number)
                    await ends(forge, number, "success")
                    await rig.nothing_left()
            assert forge.calls["Register"] == 1

    run(main)


def test_a_forge_that_is_away_when_the_gateway_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is registered with, and asked for tasks, when it is there."""
    monkeypatch.setattr(launcher, "AGAIN_SECONDS", 0.05)

    async def main() -> None:
        async with actions_forge() as forge:
            port = forge.port
            await forge.go_away()
            keepers = FakeKeepers()
            rig = LaunchRig(
                tmp_path, forge, "forgejo", keepers, registration_token="planted", labels=("here:host",)
            )
            async with rig.running():
                assert rig.launcher.standing() == []
                await forge.listen(port)
                forge.enqueue(7)
                await keepers.runner(7, "forgejo")

    run(main)


def test_a_registration_that_is_refused(tmp_path: Path) -> None:
    """The gateway does not begin, and says whose it is."""

    async def main() -> None:
        async with actions_forge() as forge:
            forge.faults["Register"] = deque([403])
            rig = LaunchRig(
                tmp_path, forge, "forgejo", FakeKeepers(), registration_token="planted", labels=("a:host",)
            )
            with pytest.raises(JobmeterError, match=r"gateway\.toml: 'one': the forge does not register it"):
                async with rig.running():
                    pass

    run(main)
