"""Whatever fails of one launch, its job has one result, the log says why, and other jobs go on."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.gateway.forges import actions
from jobmeter.gateway.launcher import beginning, kept_runner, launch, templates, work_dir
from jobmeter.gateway.launcher.deaths import Deaths
from jobmeter.gateway.launcher.site import Site
from jobmeter.gateway.relay.exchanges import Exchanges
from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.spec import Limits, Spec
from tests.gateway.launcher.keepers import EXITED, FakeKeepers, Kind
from tests.gateway.launcher.rig import DETAIL, KINDS, LaunchRig, ends, forge_of, launching, run
from tests.gateway.relay.rig import until
from tests.support.forges.actions import HANG, ActionsForge

SECRET = "what the forge has said in confidence"
EMFILE = OSError(24, "Too many open files")


async def fails_beside_another(rig: LaunchRig, forge: Any, kind: Kind) -> list[str]:
    """Lines of the log of task 7, which has failed by a fault; task 8 is done all the same."""
    forge.enqueue(8)
    lines = await ends(forge, 7, "failure")
    other = await rig.keepers.runner(8, kind)
    assert await other.takes()
    await other.reports("success")
    rig.keepers.runner_ends(8)
    await ends(forge, 8, "success")
    await rig.nothing_left()
    await until(lambda: not any(rig.machines.states.values()))
    assert rig.ended == [("7", "failure"), ("8", "success")]
    return lines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault,reason",
    [
        (RuntimeError(SECRET), "RuntimeError"),
        (LaunchError("the cgroup is busy."), "the cgroup is busy"),
        (RecursionError(), "RecursionError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_a_fault_at_work(tmp_path: Path, kind: Kind, fault: BaseException, reason: str) -> None:
    """The job has failed with its reason, and the log has once where it was, without the error's own text."""

    async def main() -> None:
        async with launching(tmp_path, kind, capacity=2) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            await runner.prints("at work")
            rig.keepers.fails("ended", fault)
            lines = await fails_beside_another(rig, forge, kind)
            said = f"The gateway gave this job up by a fault of its own: {reason}."
            assert [line for line in lines if line] == ["at work", f"jobmeter: {said}"]
            (told,) = [one for one in rig.log.warned if "trace" in one]
            assert (told["task"], told["fault"]) == ("7", reason)
            assert "ended" in str(told["trace"])
            assert SECRET not in str(rig.log.warned) + forge.jobs[7].text
            assert runner.spec.name in rig.keepers.stopped

    run(main)


@pytest.mark.parametrize("where", ["start", "prepare", "task_token", "name"])
def test_a_fault_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The same for what is done before there is a runner."""
    faults = deque([RuntimeError(SECRET)] * (2 if where == "task_token" else 1))

    def failing(real: Any) -> Any:
        def call(*args: Any, **keys: Any) -> Any:
            if faults:
                raise faults.popleft()
            return real(*args, **keys)

        return call

    async def main() -> None:
        async with launching(tmp_path, capacity=2) as (forge, rig):
            if where == "start":
                rig.keepers.fails("start", faults.pop())
            elif where == "prepare":
                monkeypatch.setattr(beginning, "prepare", failing(templates.prepare))
            elif where == "name":
                monkeypatch.setattr(Site, "name", failing(Site.name))
            elif where == "task_token":
                monkeypatch.setattr(actions, "task_token", failing(actions.task_token))
            forge.enqueue(7)
            await fails_beside_another(rig, forge, "forgejo")
            assert not faults

    run(main)


def test_a_start_that_leaves_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended and removed before the next start."""
    monkeypatch.setattr(launch, "PAUSE_SECONDS", 0.01)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            real, refusals = rig.keepers.start, deque([LaunchError("it was not started within 30 s")])

            async def start(spec: Spec) -> Any:
                if refusals:
                    rig.keepers.cgroups.add(spec.name)
                    raise refusals.popleft()
                return await real(spec)

            monkeypatch.setattr(rig.keepers, "start", start)
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await runner.reports("success")
            rig.keepers.runner_ends(7)
            await ends(forge, 7, "success")
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize("for_long", [False, True])
def test_a_runner_that_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_long: bool
) -> None:
    """For a moment without descriptors it works on; if that lasts its job has failed."""
    monkeypatch.setattr(kept_runner, "AGAIN_SECONDS", 0.01)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            rig.keepers.fails("ended", *[EMFILE] * (40 if for_long else 3))
            if not for_long:
                await until(lambda: not rig.keepers.faults["ended"])
                await runner.reports("success")
                rig.keepers.runner_ends(7)
            lines = await ends(forge, 7, "failure" if for_long else "success")
            assert ("Too many open files." in "".join(lines)) == for_long
            assert rig.log.texts.count("a job's runner cannot be watched now") == 1
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cgroup_that_does_not_end(tmp_path: Path, kind: Kind) -> None:
    """Its job has failed no less, and what is left may say nothing any more."""

    async def main() -> None:
        async with launching(tmp_path, kind) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, kind)
            await runner.takes()
            rig.keepers.fails("clear", LaunchError("processes of it do not end: dd (7)"))
            rig.keepers.keeper_is_killed(7)
            lines = await ends(forge, 7, "failure")
            assert lines[-1].startswith(
                "jobmeter: The process of jobmeter that watched over this job was killed"
            )
            assert (await runner.reports("success")).status in (401, 403)
            assert {"message": "what is left of a job cannot be ended", "runner": "one", "task": "7",
                    "error": "processes of it do not end: dd (7)"}.items() <= rig.log.warned[0].items()  # fmt: skip

    run(main)


class Deaf:
    """TaskHooks that fail."""

    def task_started(self, task: object) -> None:
        raise RuntimeError

    async def task_ending(self, task: object) -> bool:
        raise RuntimeError


@pytest.mark.parametrize("started", [False, True])
def test_hooks_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool) -> None:
    """The job does not hear of it."""
    if started:
        monkeypatch.setattr(Deaf, "task_started", lambda *_: None)

    async def main() -> None:
        async with launching(tmp_path, hooks=Deaf()) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            rig.keepers.runner_ends(7, replace(EXITED, reason="signal", detail=DETAIL))
            assert await ends(forge, 7, "failure") == [f"jobmeter: {DETAIL}"]
            await rig.nothing_left()
            assert sum("trace" in one for one in rig.log.warned) == 1

    run(main)


def test_a_result_that_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours keeps it for a moment, and it is told then."""
    real, faults = Exchanges.deliver, deque([RuntimeError(), RuntimeError()])

    async def deliver(self: Any, task_id: str, call: Any) -> Any:
        if faults:
            raise faults.popleft()
        return await real(self, task_id, call)

    monkeypatch.setattr(Exchanges, "deliver", deliver)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            await (await rig.keepers.runner(7, "forgejo")).takes()
            rig.keepers.runner_ends(7)
            await ends(forge, 7, "failure")
            await rig.nothing_left()

    run(main)


@pytest.mark.parametrize("error", [RecursionError(), LaunchError("it is mounted"), OSError(16, "it is busy")])
def test_a_work_dir_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The log names its job, whose slot is free and whose figures are those of one that is gone."""
    real, faults = work_dir.remove, deque([error])

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            await runner.reports("success")

            def remove(*args: Any, **keys: Any) -> Any:
                if faults:
                    raise faults.popleft()
                return real(*args, **keys)

            monkeypatch.setattr(work_dir, "remove", remove)
            rig.keepers.runner_ends(7)
            await until(lambda: rig.machines.actions.get("removed") == 1)
            assert not any(rig.machines.states.values())
            (told,) = rig.log.warned
            assert str(told["message"]).startswith("what is left of a job cannot be removed")
            assert told["task"] == "7"

    run(main)


def test_a_runner_that_cannot_be_ended_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again."""
    monkeypatch.setattr(kept_runner, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(launch, "ENDING_SECONDS", 0.05)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            rig.keepers.fails("stop", EMFILE, EMFILE)
            await runner.reports("success")
            await rig.nothing_left()
            assert rig.keepers.stopped == [runner.spec.name]

    run(main)


def test_a_task_that_cannot_be_given_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runner gets it when it asks again."""

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            with monkeypatch.context() as patch:

                def write(*_: Any) -> None:
                    raise EMFILE

                patch.setattr(Site, "write", write)
                assert (await runner.asks("FetchTask")).status == 503
            assert await runner.takes()

    run(main)


@pytest.mark.parametrize("cancelling", [False, True])
def test_a_gateway_that_ends_while_it_tells_a_result(tmp_path: Path, cancelling: bool) -> None:
    """The next one tells it."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as first:
                forge.enqueue(7)
                runner = await keepers.runner(7, "forgejo")
                await runner.takes()
                await runner.prints("at work")
                assert isinstance(forge, ActionsForge)
                before = forge.calls["UpdateTask"]
                forge.faults["UpdateTask"] = deque([HANG])
                if cancelling:
                    telling = asyncio.create_task(first.launcher.cancel_tasks())
                else:
                    keepers.runner_ends(7)
                await until(lambda: forge.calls["UpdateTask"] > before)
                if cancelling:
                    telling.cancel()
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as second:
                await ends(forge, 7, "cancelled" if cancelling else "failure")
                if not cancelling:
                    await second.nothing_left()

    run(main)


def test_a_job_that_is_cancelled_before_its_runner_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other one is started for it, and none is given it."""
    monkeypatch.setattr(launch, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(kept_runner, "AGAIN_SECONDS", 0.2)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            await rig.keepers.runner(7, "forgejo")
            rig.keepers.runner_ends(7)
            await until(lambda: bool(rig.log.warned))
            await rig.launcher.cancel_tasks()
            await ends(forge, 7, "cancelled")
            assert len(rig.keepers.specs["7"]) == 1
            forge.enqueue(8)
            runner = await rig.keepers.runner(8, "forgejo")
            rig.keepers.fails("stop", EMFILE)
            await forge.go_away()
            cancelling = asyncio.create_task(rig.launcher.cancel_tasks())
            await until(lambda: not rig.keepers.faults["stop"])
            assert not await runner.takes()
            await cancelling

    run(main)


def test_a_keeper_that_is_killed_after_the_time_limit(tmp_path: Path) -> None:
    """The job has taken too long all the same, and that is said."""

    async def main() -> None:
        async with launching(tmp_path, limits=Limits(timeout_seconds=60.0)) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            await runner.takes()
            rig.keepers.runner_is_overdue(7)
            assert (await runner.reports("success")).status == 503
            rig.keepers.keeper_is_killed(7)
            (line,) = await ends(forge, 7, "failure")
            assert line == "jobmeter: The job was ended, as it took longer than its time limit of 1 m 00 s."

    run(main)


def test_a_word_of_the_forge_after_its_runner_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report was on its way, and its answer asks to end the job: there is nothing to be ended any more."""
    monkeypatch.setattr(launch, "CANCELING_SECONDS", 0.01)
    heard, real = asyncio.Event(), Deaths.report

    async def report(*args: Any) -> None:
        await heard.wait()
        await real(*args)

    monkeypatch.setattr(Deaths, "report", report)

    async def main() -> None:
        async with launching(tmp_path) as (forge, rig):
            forge.enqueue(7)
            runner = await rig.keepers.runner(7, "forgejo")
            assert await runner.takes()
            found = rig.launcher._posts.launch_of("7")
            assert found is not None
            rig.keepers.runner_ends(7)
            await until(lambda: found.over)
            found.asked_to_end()
            await asyncio.sleep(0.1)
            assert not [text for text in rig.log.texts if "has not ended" in str(text)]
            heard.set()
            await ends(forge, 7, "failure")

    run(main)
