"""Tasks that ended where nobody heard it are over after a while, and are not counted twice if they were not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobmeter.gateway.figures.events import TaskBegan
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.totals import Totals
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.polling.shutdown import Shutdown
from jobmeter.gateway.polling.slots import LONG_SILENT_SECONDS
from jobmeter.gateway.relay.options import ACTIONS_DONE_SECONDS, GITLAB_DONE_SECONDS
from tests.gateway.relay.rig import Clock, Messages, Rig
from tests.support.forges import gitlab
from tests.support.forges.actions import Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge

SUCCESS = 1
STEP = {"id": 0, "result": SUCCESS, "started_at": {"seconds": 100}, "stopped_at": {"seconds": 107}}
TOKEN = "glrt-0123456789abcdefghij"


def run(main):
    asyncio.run(main())


def figures_of(rig: Rig) -> RunnerFigures:
    """What the series of its one runner show."""
    figures = RunnerFigures("one", 0.0, Totals())
    for _, event in rig.told.events:
        figures.apply(event)
    return figures


def kept(folder: Path, forge: Any, clock: Clock) -> Rig:
    keeping = Keeping(folder, "forge", Messages())
    return Rig(forge, keeping=keeping, clock=clock, capacity=3, answer_seconds=0.0)


def test_a_job_has_a_line_at_its_hand_out_and_one_at_its_end():
    """Whose it is, who has it, how it ended, and no secret of either."""

    async def main():
        async with gitlab_forge(TOKEN) as forge, Rig(forge, kind="gitlab").running() as rig:
            runner = gitlab.Runner(rig.port, TOKEN)
            forge.enqueue(7)
            await runner.fetch()
            await runner.update(7, "success")
            whose = {"runner": "01234567", "task": "7", "repository": "g/p", "job": "build"}
            begun, ended = rig.log.informed
            assert begun == {"message": "a job is handed out", "forge": "forge", **whose}
            assert isinstance(ended.pop("seconds"), float)
            assert ended == {"message": "a job has ended", "forge": "forge", **whose, "result": "success"}

    run(main)


def test_a_job_that_ended_while_the_gateway_was_passed_by(tmp_path):
    """Below capacity too: after some minutes of silence of a runner that asks; the end does not wait for it."""

    async def main():
        clock = Clock()
        async with actions_forge(one="secret") as forge:
            async with kept(tmp_path, forge, clock).running() as first:
                runner = Runner(first.port, "one", "secret")
                forge.enqueue(7, 8)
                assert [await runner.fetch(), await runner.fetch()] == [[7], [8]]
                await runner.log(7, 0, "a")
                await runner.log(8, 0, "a")
            await Runner(forge.port, "one", "secret").state(7, SUCCESS)
            async with kept(tmp_path, forge, clock).running() as second:
                runner.port = second.port
                clock.ahead = LONG_SILENT_SECONDS - 10
                await runner.log(8, 1, "b")
                await runner.fetch()
                assert second.held == ["7", "8"]
                clock.ahead = LONG_SILENT_SECONDS
                await runner.fetch()
                assert (second.held, second.ended) == (["8"], [("7", "unknown")])
                assert second.log.warned[-1] == {
                    "message": "a job is taken to be over: its runner asks for another one",
                    "forge": "forge", "runner": "one", "task": "7",
                }  # fmt: skip
                await runner.state(8, SUCCESS)
                shutdown = Shutdown(second.relay.pollers, second.log, patience_seconds=600.0)
                assert await asyncio.wait_for(shutdown.run(), 5)

    run(main)


def test_a_runner_with_one_slot_that_asks_again_after_a_silence():
    """Its job is over, unseen; before that its runner may have more slots of its own."""

    async def main():
        clock = Clock()
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, clock=clock, capacity=1).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7, 8)
            assert await runner.fetch() == [7]
            await runner.log(7, 0, "a")
            clock.ahead = ACTIONS_DONE_SECONDS - 5
            assert await runner.fetch() == []
            clock.ahead = ACTIONS_DONE_SECONDS
            assert await runner.fetch() == [8]
            assert rig.ended == [("7", "unknown")]

    run(main)


def test_a_runner_of_gitlab_with_one_slot_that_asks_again_after_a_silence():
    """Later, as its reports are: what asks before that waits."""

    async def main():
        clock = Clock()
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.05) as forge,
            Rig(forge, kind="gitlab", clock=clock, capacity=1).running() as rig,
        ):
            runner = gitlab.Runner(rig.port, TOKEN)
            forge.enqueue(7, 8)
            await runner.fetch()
            await runner.trace(7, 0, b"a")
            clock.ahead = GITLAB_DONE_SECONDS - 10
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(runner.fetch(), 0.2)
            clock.ahead = GITLAB_DONE_SECONDS
            assert (await runner.fetch()).status == 201
            assert (rig.held, rig.ended) == (["8"], [("7", "unknown")])

    run(main)


def test_a_late_report_takes_the_slot_again():
    """The job is the one that it was, and neither it nor its steps are counted a second time."""

    async def main():
        clock = Clock()
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, clock=clock, capacity=3).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            await runner.state(7, steps=[STEP])
            clock.ahead = LONG_SILENT_SECONDS
            await runner.fetch()
            assert (rig.held, figures_of(rig).jobs_running) == ([], 0)
            await runner.state(7, steps=[STEP])
            assert (rig.held, figures_of(rig).jobs_running) == (["7"], 1)
            first, again = rig.told.of(TaskBegan)
            assert first == again
            assert again.job is not None
            await runner.state(7, SUCCESS, steps=[STEP])
            figures = figures_of(rig)
            assert (rig.held, figures.jobs_running) == ([], 0)
            assert (figures.jobs, figures.step_seconds.count) == ({"unknown": 1}, 1)

    run(main)


def test_a_late_report_of_one_of_several_gitlab_runners():
    """Its job's token tells whose it is."""

    async def main():
        clock = Clock()
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.05) as forge,
            Rig(forge, kind="gitlab", clock=clock, capacity=2).running() as rig,
        ):
            one, other = gitlab.Runner(rig.port, TOKEN, "s_1"), gitlab.Runner(rig.port, TOKEN, "s_2")
            forge.enqueue(7)
            await one.fetch()
            await other.fetch()
            await one.trace(7, 0, b"a")
            clock.ahead = LONG_SILENT_SECONDS
            await one.fetch()
            assert rig.held == []
            assert (await other.update(7, "success", token="guessed")).status == 403
            assert rig.held == []
            await one.trace(7, 1, b"b")
            assert rig.held == ["7"]

    run(main)
