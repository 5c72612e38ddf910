"""A gateway that ends: who waits hears so, and jobs that are left stay known."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.figures.events import TaskBegan, TaskEnded
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.polling.shutdown import Shutdown
from tests.gateway.relay.rig import Messages, Rig, until
from tests.support.forges import gitlab
from tests.support.forges.actions import Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge

SUCCESS = 1
TOKEN = "glrt-0123456789abcdefghij"


def run(main):
    asyncio.run(main())


def shutdown_of(rig: Rig, patience: float = 600.0) -> Shutdown:
    """Its end, from the first signal on."""
    rig.relay.pause(True)
    rig.relay.stop()
    return Shutdown(rig.relay.pollers, rig.log, patience_seconds=patience)


def test_a_job_that_is_left_stays_known(tmp_path):
    """What its runner reports after the wait is over is of the job that it was; so it is at the next start."""

    async def main():
        async with actions_forge(one="secret") as forge:
            async with Rig(forge, keeping=Keeping(tmp_path, "forge", Messages())).running() as first:
                runner = Runner(first.port, "one", "secret")
                forge.enqueue(7)
                assert await runner.fetch() == [7]
                await runner.log(7, 0, "a")
                assert await shutdown_of(first, 0.0).run()
                assert first.held == []
                await runner.log(7, 1, "b")
                assert (first.held, first.ended) == (["7"], [])
                assert len(first.told.of(TaskBegan)) == 1
                assert not any("nobody saw" in str(text) for text in first.log.texts)
            async with Rig(forge, keeping=Keeping(tmp_path, "forge", Messages())).running() as second:
                runner.port = second.port
                assert second.log.informed[0] == {
                    "message": "jobs of a former process are taken over",
                    "forge": "forge", "count": 1, "jobs": ["7 org/repo"],
                }  # fmt: skip
                (began,) = second.told.of(TaskBegan)
                assert began.job is not None
                assert began.job.repository == "org/repo"
                await runner.state(7, SUCCESS)
                (ended,) = second.told.of(TaskEnded)
                assert (ended.result, ended.seconds is None) == ("success", False)

    run(main)


def test_the_time_of_a_job_that_is_left_is_counted_from_its_hand_out(tmp_path):
    """Also when it ends in the last seconds."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            await asyncio.sleep(0.2)
            assert await shutdown_of(rig, 0.0).run()
            await runner.log(7, 0, "a")
            await runner.state(7, SUCCESS)
            (ended,) = rig.told.of(TaskEnded)
            assert ended.seconds is not None
            assert ended.seconds >= 0.2

    run(main)


@pytest.mark.parametrize("why", ["full", "drained", "paused"])
def test_a_request_that_is_held_here_is_answered_at_the_stop(why):
    """There is nothing for it, and nothing goes wrong; so is one that comes later, of a new runner too."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab", capacity=1).running() as rig:
            runner = gitlab.Runner(rig.port, TOKEN)
            forge.enqueue(7)
            assert (await runner.fetch()).status == 201
            await runner.trace(7, 0, b"a")
            if why != "full":
                await runner.update(7, "success")
            rig.relay.pause(why == "paused")
            if why == "drained":
                rig.relay.drain(rig.relay.standing()[0].key, True)
            asking = asyncio.create_task(runner.fetch())
            await asyncio.sleep(0.1)
            assert not asking.done()
            shutdown_of(rig)
            assert (await asyncio.wait_for(asking, 2)).status == 204
            assert (await asyncio.wait_for(runner.fetch(), 2)).status == 204
            new = gitlab.Runner(rig.port, TOKEN, "s_2")
            assert (await asyncio.wait_for(new.fetch(), 2)).status == 204
            assert forge.calls["request"] == 1

    run(main)


def test_a_request_that_the_forge_holds_is_waited_for_unless_the_end_is_hurried():
    """It may bring a job; a second signal breaks it off, and the runner is answered all the same."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            asking = asyncio.create_task(gitlab.Runner(rig.port, TOKEN).fetch())
            await until(lambda: forge.holding == 1)
            shutdown = shutdown_of(rig)
            ending = asyncio.create_task(shutdown.run())
            await asyncio.sleep(0.1)
            assert (asking.done(), ending.done(), forge.holding) == (False, False, 1)
            shutdown.hurry()
            assert (await asyncio.wait_for(asking, 2)).status == 204
            assert await asyncio.wait_for(ending, 2)

    run(main)


def test_a_request_that_the_forge_holds_may_bring_a_job_at_the_stop():
    """The runner gets it, and it is waited for."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            runner = gitlab.Runner(rig.port, TOKEN)
            asking = asyncio.create_task(runner.fetch())
            await until(lambda: forge.holding == 1)
            ending = asyncio.create_task(shutdown_of(rig).run())
            await asyncio.sleep(0.05)
            forge.enqueue(7)
            assert (await asyncio.wait_for(asking, 2)).status == 201
            assert (ending.done(), rig.held) == (False, ["7"])
            await runner.update(7, "success")
            assert await asyncio.wait_for(ending, 2)

    run(main)
