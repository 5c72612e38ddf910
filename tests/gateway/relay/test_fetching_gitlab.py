"""GitLab's held requests, its jobs, and how they end, through the relay."""

from __future__ import annotations

import asyncio
import json

from jobmeter.gateway.figures.events import StageChanged, TaskBegan, TaskEnded, WorkBegan
from tests.gateway.relay.rig import Clock, Rig, until
from tests.support.forges.gitlab import Runner, gitlab_forge
from tests.support.forges.serving import wire

TOKEN = "glrt-0123456789abcdefghij"
MARKER = b"section_start:1700000000:step_script\r\x1b[0K"


def run(main):
    asyncio.run(main())


def test_a_job_from_end_to_end():
    """Held, handed out, traced, ended."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", capacity=1).running() as rig:
            runner = Runner(rig.port, TOKEN)
            asking = asyncio.create_task(runner.fetch())
            await until(lambda: forge.holding == 1)
            forge.enqueue(7)
            got = await asking
            assert (got.status, got.values("x-gitlab-last-update")) == (201, ["abc"])
            assert rig.held == ["7"]
            assert (await runner.trace(7, 0, MARKER)).status == 202
            (stage,) = rig.told.of(StageChanged)
            assert (stage.stage, stage.state, stage.executor_stage) == ("step_script", "running", "prepare")
            assert (await runner.trace(7, 0, b"again")).status == 416
            assert (await runner.update(7, "failed", "script_failure")).status == 200
            assert forge.jobs[7].state == "failed"
            (ended,) = rig.told.of(TaskEnded)
            assert (ended.result, ended.failure_reason) == ("failure", "script_failure")
            assert rig.held == []

    run(main)


def test_a_runner_that_goes_is_gone_at_gitlab_too():
    """What GitLab holds for it is let go of."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            async with wire(rig.port) as line:
                await line.send(Runner(rig.port, TOKEN).written())
                await until(lambda: forge.holding == 1)
            await until(lambda: forge.left == 1)

    run(main)


def test_a_full_runner_is_held_here():
    """GitLab is not asked before a slot is free."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", capacity=2).running() as rig:
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(1, 4)
            assert (await runner.fetch()).status == 201
            assert (await runner.fetch()).status == 201
            forge.enqueue(2, 3)
            other = asyncio.create_task(runner.fetch())
            await asyncio.sleep(0.1)
            assert forge.calls["request"] == 2
            await runner.update(1, "success")
            assert (await other).status == 201
            assert forge.calls["request"] == 3

    run(main)


def test_machines_with_one_token_do_not_wait_for_each_other():
    """Each has a request of its own."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            first = asyncio.create_task(Runner(rig.port, TOKEN, "s_1").fetch())
            second = asyncio.create_task(Runner(rig.port, TOKEN, "s_2").fetch())
            await until(lambda: forge.holding == 2)
            forge.enqueue(1, 2)
            assert [(await first).status, (await second).status] == [201, 201]

    run(main)


def test_a_script_began_when_its_marker_says():
    """Which is in whole seconds: not when its part of the trace comes, ten seconds later."""

    async def main():
        clock = Clock()
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", clock=clock).running() as rig:
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(7)
            await runner.fetch()
            (handed,) = (began.at for began in rig.told.of(TaskBegan))
            assert handed is not None
            clock.ahead = 10.0
            await runner.trace(7, 0, b"section_start:%d:step_script\r\x1b[0K" % (handed + 4))
            (began,) = rig.told.of(WorkBegan)
            assert began.seconds == int(handed + 4) - handed

    run(main)


def test_a_job_that_was_canceled_frees_its_slot():
    """By the answer to its trace; what the runner says afterwards passes, and counts no second job."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", capacity=1).running() as rig:
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(7)
            await runner.fetch()
            forge.jobs[7].status = "canceled"
            await runner.trace(7, 0, b"x")
            assert rig.ended == [("7", "cancelled")]
            assert (await runner.update(7, "failed")).status == 200
            assert rig.ended == [("7", "cancelled")]

    run(main)


def test_a_token_that_gitlab_does_not_know():
    """It says so; nothing of it is shown."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            assert (await Runner(rig.port, "glrt-unknownunknown").fetch()).status == 403
            assert rig.told.events == []

    run(main)


def test_a_job_that_nobody_wants_is_reported():
    """With the job's own token alone: it came when its runner had gone."""

    async def main():
        async with (
            gitlab_forge(TOKEN) as forge,
            Rig(forge, kind="gitlab", capacity=1, park_seconds=0.1).running() as rig,
        ):
            forge.enqueue(7)
            lane_has_it = asyncio.create_task(Runner(rig.port, TOKEN).fetch())
            assert (await lane_has_it).status == 201
            (lane,) = rig.relay._lanes.all()
            lane.workload.handing._park(rig.relay._footing.memory.tasks["7"])
            await until(lambda: forge.jobs[7].state == "failed")
            assert rig.ended == [("7", "failure")]
            assert "private-token" not in forge.seen[-1].by_name

    run(main)


def test_nobody_is_held_at_the_end():
    """A runner that asks while the gateway stops is told that there is nothing."""

    async def main():
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.05) as forge,
            Rig(forge, kind="gitlab").running() as rig,
        ):
            runner = Runner(rig.port, TOKEN)
            assert (await runner.fetch()).status == 204
            for poller in rig.relay.pollers:
                poller.stop_asking()
            assert (await runner.fetch()).status == 204
            assert forge.calls["request"] == 1

    run(main)


def test_a_stranger_frees_no_slot():
    """Whoever names a job without its token hears what GitLab says, and changes nothing."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", capacity=1).running() as rig:
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(7)
            await runner.fetch()
            assert (await runner.update(7, "failed", token="guessed")).status == 403
            assert rig.held == ["7"]
            await forge.go_away()
            assert (await runner.update(7, "failed", token="guessed")).status == 503
            assert rig.relay._exchanges.finals.waiting == []
            await forge.listen()
            assert (await runner.update(7, "success")).status == 200
            assert rig.ended == [("7", "success")]

    run(main)


def test_a_job_whose_answer_was_lost_is_handed_out_while_its_runner_waits():
    """Not before the runner would have reported it, and not first when its request has been held for long."""

    async def main():
        async with (
            gitlab_forge(TOKEN) as forge,
            Rig(forge, kind="gitlab", capacity=1, sign_seconds=0.3).running() as rig,
        ):
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(7)
            assert (await runner.fetch()).status == 201
            asking = asyncio.create_task(runner.fetch())
            await asyncio.sleep(0.1)
            assert not asking.done()
            got = await asyncio.wait_for(asking, 5)
            assert (got.status, json.loads(got.body)["id"]) == (201, 7)
            assert rig.held == ["7"]

    run(main)


def test_a_runner_that_asks_for_more_at_once_gets_no_job_twice():
    """It reports the one that it has meanwhile."""

    async def main():
        async with (
            gitlab_forge(TOKEN) as forge,
            Rig(forge, kind="gitlab", capacity=1, sign_seconds=0.2).running() as rig,
        ):
            runner = Runner(rig.port, TOKEN)
            forge.enqueue(7)
            await runner.fetch()
            asking = asyncio.create_task(runner.fetch())
            await runner.trace(7, 0, b"a")
            await asyncio.sleep(0.4)
            assert not asking.done()
            forge.enqueue(8)
            await runner.update(7, "success")
            assert json.loads((await asyncio.wait_for(asking, 5)).body)["id"] == 8

    run(main)
