"""The gateway is killed in the middle of jobs and begins again from what is on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from jobmeter.gateway.figures.events import Declared, Draining, TaskBegan, WorkBegan
from jobmeter.gateway.keeping.keeping import Keeping
from tests.gateway.relay.rig import Messages, Rig, on_disk, until
from tests.support.forges.actions import ActionsForge, Runner, actions_forge

SUCCESS, FAILURE = 1, 2
KEY = "x-runner-request-key"


def run(main):
    asyncio.run(main())


def kept(folder: Path, forge: ActionsForge, **options: Any) -> Rig:
    return Rig(forge, keeping=Keeping(folder, "forge", Messages()), **options)


def killed(folder: Path, name: str) -> Path:
    """What is on disk at this moment, as a process finds it that begins after a kill."""
    return on_disk(folder, folder.parent / name)


def test_a_job_goes_on(tmp_path):
    """Its slot is held, its figures begin anew with what is known, and its end is heard of."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            kept(tmp_path / "a", forge, capacity=1).running() as first,
        ):
            runner = Runner(first.port, "one", "secret")
            await runner.call("Declare", version="v1", labels=["docker"])
            forge.enqueue(7, 8)
            await runner.fetch()
            await runner.log(7, 0, "a")
            async with kept(killed(tmp_path / "a", "b"), forge, capacity=1).running() as second:
                runner.port = second.port
                assert second.held == ["7"]
                assert second.told.of(Declared) == [Declared("runner-one", "v1", ("docker",), 1)]
                (began,) = second.told.of(TaskBegan)
                assert began.job is not None
                assert began.job.repository == "org/repo"
                await runner.log(7, 1, "b", last=True)
                await runner.state(7, SUCCESS)
                assert second.ended == [("7", "success")]
                assert await runner.fetch() == [8]
        assert forge.jobs[7].rows == ["a", "b"]

    run(main)


def test_what_was_told_of_a_job_is_not_told_again(tmp_path):
    """Its first step began once, and its work is over still when only its result is to come."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            kept(tmp_path / "a", forge).running() as first,
        ):
            runner = Runner(first.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            await runner.log(7, 0, "a")
            began = [{"id": 0, "started_at": {"seconds": 1_700_000_000}}]
            await runner.state(7, steps=began)
            assert len(first.told.of(WorkBegan)) == 1
            async with kept(killed(tmp_path / "a", "b"), forge).running() as second:
                runner.port = second.port
                await runner.state(7, steps=began)
                assert second.told.of(WorkBegan) == []
                assert [one.closing for one in second.told.of(TaskBegan)] == [False]
                await runner.log(7, 1, "b", last=True)
                async with kept(killed(tmp_path / "b", "c"), forge).running() as third:
                    assert [one.closing for one in third.told.of(TaskBegan)] == [True]

    run(main)


def drains_of(rig: Rig) -> list[object]:
    """Whom the log names as drained since before the start."""
    return [one["runners"] for one in rig.log.informed if "are drained since" in str(one["message"])]


def test_a_drained_runner_stays_drained(tmp_path):
    """It is told and shown from the start, also when the runner does not come, and ends when that is said."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path, forge).running() as first:
                runner = Runner(first.port, "one", "secret")
                await runner.call("Declare")
                first.relay.drain("runner-one", True)
            async with kept(tmp_path, forge).running() as second:
                assert drains_of(second) == [["runner-one"]]
                assert second.told.of(Draining) == [Draining(True)]
                runner.port = second.port
                forge.enqueue(7)
                assert await runner.fetch() == []
                assert [one.draining for one in second.relay.standing()] == [True]
                second.relay.drain("runner-one", False)
                assert await runner.fetch() == [7]
            async with kept(tmp_path, forge).running() as third:
                assert drains_of(third) == []

    run(main)


def test_a_task_that_did_not_reach_its_runner(tmp_path):
    """Killed between the forge's answer and the runner's: the task is handed out by who comes after."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            kept(tmp_path / "a", forge, capacity=1).running() as first,
        ):
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.2])
            async with Runner(first.port, "one", "secret").asking():
                await until(lambda: forge.calls["FetchTask"] == 1)
            await until(lambda: first.held == ["7"])
            async with kept(killed(tmp_path / "a", "b"), forge, capacity=1).running() as second:
                assert await Runner(second.port, "one", "wrong").fetch_status() == 401
                assert await Runner(second.port, "one", "secret").fetch() == [7]
        assert forge.jobs[7].handed == ["one"]

    run(main)


def test_a_task_that_waits_for_its_runner_waits_anew(tmp_path):
    """However long nobody was there to be asked; and without the runner's credentials nothing can be reported."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            kept(tmp_path / "a", forge, park_seconds=0.4).running() as first,
        ):
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.2])
            async with Runner(first.port, "one", "secret").asking():
                await until(lambda: forge.calls["FetchTask"] == 1)
            await until(lambda: first.held == ["7"])
            folders = [killed(tmp_path / "a", "b"), killed(tmp_path / "a", "c")]
            await until(lambda: forge.jobs[7].result == FAILURE)
            async with kept(folders[0], forge, park_seconds=0.4).running() as second:
                assert await Runner(second.port, "one", "secret").fetch() == [7]
            reported = forge.calls["UpdateTask"]
            async with kept(folders[1], forge, park_seconds=0.1).running() as third:
                await until(lambda: third.ended == [("7", "failure")])
                await until(lambda: any("could not be reported" in str(text) for text in third.log.texts))
            assert forge.calls["UpdateTask"] == reported

    run(main)


@pytest.mark.parametrize("reported", [True, False])
def test_a_task_that_may_have_reached_its_runner(tmp_path, reported):
    """Whatever the slots: a runner that shows no sign of it for long gets it, one that reports it does not again."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path / "a", forge, capacity=2).running() as first:
                forge.enqueue(7)
                assert await Runner(first.port, "one", "secret").fetch() == [7]
            async with kept(tmp_path / "a", forge, capacity=2, park_seconds=1.0).running() as second:
                runner = Runner(second.port, "one", "secret")
                assert await runner.fetch() == []
                if reported:
                    await runner.log(7, 0, "a")
                    await asyncio.sleep(1.2)
                    assert await runner.fetch() == []
                else:
                    while not (got := await runner.fetch()):
                        await asyncio.sleep(0.05)
                    assert got == [7]
                await runner.state(7, SUCCESS)
                assert second.ended == [("7", "success")]

    run(main)


def test_a_task_that_was_handed_out_a_moment_ago(tmp_path):
    """A runner with more slots than it has here asks on at once, and has it: only after a while it is lost."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path / "a", forge, capacity=1, sign_seconds=2.0).running() as first:
                forge.enqueue(7)
                assert await Runner(first.port, "one", "secret").fetch() == [7]
            async with kept(tmp_path / "a", forge, capacity=1, sign_seconds=2.0).running() as second:
                runner = Runner(second.port, "one", "secret")
                assert await runner.fetch() == []
                await asyncio.sleep(2.0)
                assert await runner.fetch() == [7]

    run(main)


def test_a_task_of_a_request_key_is_not_given_up_at_once(tmp_path):
    """Its runner may be about to report it; it is, when the runner asks with other keys for long."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path / "a", forge, capacity=1).running() as first:
                forge.enqueue(7)
                assert await Runner(first.port, "one", "secret").fetch((KEY, "a")) == [7]
            async with kept(tmp_path / "a", forge, capacity=1, park_seconds=0.4).running() as second:
                runner = Runner(second.port, "one", "secret")
                assert await runner.fetch((KEY, "b")) == []
                assert second.held == ["7"]
                await asyncio.sleep(0.4)
                await runner.fetch((KEY, "b"))
                await until(lambda: forge.jobs[7].result == FAILURE)

    run(main)


def test_it_is_on_disk_before_the_runner_has_it(tmp_path):
    """Whenever a task is handed out a kill at that moment loses nothing."""

    async def main():
        async with actions_forge(one="secret") as forge, kept(tmp_path / "a", forge).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            for number in range(1, 11):
                forge.enqueue(number)
                await rig.ready()
                assert await runner.fetch() == [number]
                after = kept(killed(tmp_path / "a", f"b{number}"), forge)
                async with after.running():
                    assert after.held == [str(one) for one in range(1, number + 1)]

    run(main)


def test_what_is_over_is_forgotten(tmp_path):
    """No secret of a job stays on disk when its runner has it."""

    async def main():
        async with actions_forge(one="secret") as forge, kept(tmp_path, forge).running() as rig:
            file = tmp_path / "forge" / "state.json"
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            assert '"7"' in file.read_text()
            await runner.log(7, 0, "a")
            assert '"body"' not in file.read_text()
            await runner.state(7, SUCCESS)
            assert '"7"' not in file.read_text()

    run(main)


def test_the_result_arrives_after_the_runner_has_given_up(tmp_path):
    """The forge is away at the end of a job, and the gateway is killed too: both reports arrive, in order, once."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path / "a", forge, capacity=1).running() as first:
                runner = Runner(first.port, "one", "secret")
                forge.enqueue(7)
                await runner.fetch()
                await runner.log(7, 0, "a")
                await forge.go_away()
                assert (await runner.log(7, 1, "b", last=True)).status == 503
                assert (await runner.state(7, SUCCESS)).status == 503
                spooled = tmp_path / "a" / "forge" / "finals" / "7.json"
                await until(lambda: spooled.exists() and b"UpdateTask" in spooled.read_bytes())
                folder = killed(tmp_path / "a", "b")
            async with kept(folder, forge, capacity=1, quiet_seconds=0.05).running() as second:
                await asyncio.sleep(0.2)
                await forge.listen()
                await until(lambda: forge.jobs[7].result == SUCCESS)
                await until(lambda: second.ended == [("7", "success")])
                assert forge.jobs[7].rows == ["a", "b"]
                assert (forge.calls["UpdateLog"], forge.calls["UpdateTask"]) == (2, 1)
                await until(lambda: not list((folder / "forge" / "finals").iterdir()))

    run(main)
