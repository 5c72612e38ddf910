"""When the referee is asked for a task, what it is told, and how long the last report waits for that."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
from msgspec.structs import replace

from jobmeter.gateway.evidence import Ended, Evidences
from jobmeter.model.job import Job
from tests.gateway.asked import Asked
from tests.gateway.relay.rig import Messages, Rig, until
from tests.support.forges.actions import Runner, actions_forge
from tests.support.forges.gitlab import Runner as GitlabRunner
from tests.support.forges.gitlab import gitlab_forge

SUCCESS = 1
FAULT = "a fault"


def run(main):
    asyncio.run(main())


def test_the_last_report_waits_for_the_referee_once():
    """A report of the running task asks nothing; the last one does, and one that is sent again does not."""

    async def main():
        asked = Asked(seconds=0.05)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await runner.state(7)
            assert asked.ends == []
            await runner.state(7, SUCCESS)
            assert asked.done == ["7"]
            (ended,) = asked.ends
            assert (ended.forge, ended.task_id, ended.job.repository) == ("forge", "7", "org/repo")
            assert (ended.runner, ended.token, ended.run_uid) == ("one", None, None)
            assert ended.began is not None
            assert ended.began <= ended.ended <= time.time()
            await runner.state(7, SUCCESS)
            assert len(asked.ends) == 1
            assert asked.gone == []

    run(main)


def test_the_forge_hears_of_the_end_after_the_referee():
    """Until then the job's token is good."""

    async def main():
        asked = Asked(seconds=0.2)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            report = asyncio.create_task(runner.state(7, SUCCESS))
            await until(lambda: bool(asked.ends))
            assert forge.jobs[7].ending is None
            await report
            assert forge.jobs[7].ending == "success"

    run(main)


@pytest.mark.parametrize(
    "asked, late",
    [(Asked(seconds=30.0, budget=0.1), ["7"]), (Asked(fault=FAULT), [])],
    ids=["slow", "broken"],
)
def test_a_job_ends_whatever_the_referee_does(asked, late):
    """Its report passes after the budget at the latest, with its result."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            began = time.monotonic()
            await runner.state(7, SUCCESS)
            assert time.monotonic() - began < 5.0
            await until(lambda: rig.ended == [("7", "success")])
            assert len(asked.ends) == 1
            assert asked.gone == late

    run(main)


def test_a_report_that_need_not_wait():
    """Where nothing is done by the job's token, it is asked for all the same."""

    async def main():
        asked = Asked(seconds=0.5, budget=0.0)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await runner.state(7, SUCCESS)
            assert (len(asked.ends), asked.done, asked.gone) == (1, [], [])
            await until(lambda: asked.done == ["7"])

    run(main)


def test_a_token_for_artifacts_is_dropped_with_its_job():
    """Also of one that nobody asks for."""

    async def main():
        asked = Asked(artifacts=True)
        evidences = Evidences(asked, Messages())
        for task_id in ("7", "8"):
            evidences.remember(task_id, lambda: "task-token")
        evidences.forget("7")
        job = Ended(forge="f", task_id="7", job=Job(), runner=None, run_uid=None, began=1.0, ended=2.0)
        evidences.begin(job)
        evidences.begin(replace(job, task_id="8"))
        await until(lambda: len(asked.done) == 2)
        assert [ended.runtime_token for ended in asked.ends] == [None, "task-token"]

    run(main)


def test_a_token_for_artifacts_is_nowhere_when_its_job_is_over():
    """Nobody could take it from the memory of the gateway."""

    class Token(str):
        """One that can be watched."""

    async def main():
        asked, token = Asked(artifacts=True), Token("task-token")
        known = weakref.ref(token)
        evidences = Evidences(asked, Messages())
        evidences.remember("7", iter([token]).__next__)
        del token
        ended = Ended(forge="f", task_id="7", job=Job(), runner=None, run_uid=None, began=1.0, ended=2.0)
        evidences.begin(ended)
        await until(lambda: asked.done == ["7"])
        asked.ends.clear()
        await until(lambda: gc.collect() >= 0 and known() is None)

    run(main)


def test_a_report_that_is_sent_again_meanwhile():
    """It waits for the rest of the budget too, so that the forge hears of the end no earlier."""

    async def main():
        asked = Asked(seconds=0.5)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            first = asyncio.create_task(runner.state(7, SUCCESS))
            await until(lambda: bool(asked.ends))
            await runner.state(7, SUCCESS)
            assert asked.done == ["7"]
            await first
            assert len(asked.ends) == 1

    run(main)


def test_a_job_that_the_forge_cancels_is_asked_for():
    """The answer that says so is not held, and the last report asks no second time."""

    async def main():
        asked = Asked(seconds=0.5)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            forge.jobs[7].cancel()
            await runner.state(7)
            assert asked.done == []
            await until(lambda: asked.done == ["7"])
            await runner.state(7, 3)
            assert len(asked.ends) == 1

    run(main)


def test_nobody_else_ends_a_task():
    """A stranger's report of its end asks nothing."""

    async def main():
        asked = Asked()
        keys = {"one": "secret", "two": "other"}
        async with actions_forge(**keys) as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7)
            await Runner(rig.port, "one", "secret").fetch()
            await Runner(rig.port, "two", "other").state(7, SUCCESS)
            assert asked.ends == []

    run(main)


def test_a_job_whose_begin_was_not_seen():
    """Nobody knows from when on to ask."""

    async def main():
        asked = Asked()
        async with actions_forge(one="secret") as forge:
            forge.enqueue(7)
            async with Rig(forge).running() as rig:
                await Runner(rig.port, "one", "secret").fetch()
            async with Rig(forge, referee=asked).running() as rig:
                await Runner(rig.port, "one", "secret").state(7)
                await Runner(rig.port, "one", "secret").state(7, SUCCESS)
                assert asked.ends == []

    run(main)


@pytest.mark.parametrize("artifacts, token", [(True, "task-token"), (False, None)])
def test_the_token_for_artifacts_is_kept_where_they_are_wanted(artifacts, token):
    """Of Forgejo and Gitea, whose reports show none; and it is in no text."""

    async def main():
        asked = Asked(artifacts=artifacts)
        async with actions_forge(one="secret") as forge, Rig(forge, referee=asked).running() as rig:
            forge.enqueue(7, script="true")
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await runner.state(7, SUCCESS)
            (ended,) = asked.ends
            assert ended.runtime_token == token
            assert "task-token" not in repr(ended)

    run(main)


def test_the_token_of_a_job_of_gitlab():
    """Its last report shows it."""

    async def main():
        asked = Asked()
        async with (
            gitlab_forge("secret", hold_seconds=0.1) as forge,
            Rig(forge, kind="gitlab", referee=asked).running() as rig,
        ):
            forge.enqueue(7)
            runner = GitlabRunner(rig.port, "secret")
            await runner.fetch()
            await runner.update(7, "success")
            (ended,) = asked.ends
            assert (ended.token, ended.runtime_token) == ("job-secret-7", None)
            assert "job-secret" not in repr(ended)

    run(main)
