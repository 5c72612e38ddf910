"""The forge is told the end of tasks that their runner does not end: cancelled when the gateway stops, if it shall."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobmeter.gateway.keeping.keeping import Keeping
from tests.gateway.relay.rig import Messages, Rig, on_disk, until
from tests.support.forges import gitlab
from tests.support.forges.actions import Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge

SUCCESS, CANCELLED = 1, 3


def run(main):
    asyncio.run(main())


def kept(folder: Any, forge: Any, **options: Any) -> Rig:
    return Rig(forge, keeping=Keeping(folder, "forge", Messages()), **options)


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
def test_tasks_are_cancelled_at_the_forge(kind):
    """One that is reported, one without a sign; their runner hears so with its next report; what is over stays so."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, kind=kind, capacity=3).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(6, 7, 8)
            for task_id in (6, 7, 8):
                await rig.ready()
                assert await runner.fetch() == [task_id]
            await runner.log(7, 0, "a")
            await runner.state(6, SUCCESS)
            await rig.relay.cancel_tasks()
            assert [forge.jobs[task_id].result for task_id in (6, 7, 8)] == [SUCCESS, CANCELLED, CANCELLED]
            assert sorted(rig.ended) == [("6", "success"), ("7", "cancelled"), ("8", "cancelled")]
            assert rig.held == []
            assert (await runner.state(7)).status == 200
            assert rig.held == []

    run(main)


def test_a_job_of_gitlab_fails_by_its_runner():
    """It knows no other end that a runner can tell; by the token that the job's reports have shown."""

    async def main():
        async with (
            gitlab_forge("glrt-secret") as forge,
            Rig(forge, kind="gitlab", capacity=2).running() as rig,
        ):
            runner = gitlab.Runner(rig.port, "glrt-secret")
            forge.enqueue(7)
            assert (await runner.fetch()).status == 201
            await runner.trace(7, 0, b"a")
            await rig.relay.cancel_tasks()
            assert forge.jobs[7].state == "failed"
            assert rig.ended == [("7", "cancelled")]

    run(main)


def test_what_a_restart_has_found_is_cancelled_too(tmp_path):
    """By the credentials of the first report; of what nobody has shown any of, that is told, and it is kept."""

    async def main():
        async with actions_forge(one="secret", two="other") as forge:
            async with kept(tmp_path / "a", forge, capacity=1).running() as first:
                forge.enqueue(7, 8)
                runners = Runner(first.port, "one", "secret"), Runner(first.port, "two", "other")
                for runner, task_id in zip(runners, (7, 8), strict=True):
                    assert await runner.fetch() == [task_id]
                    await runner.log(task_id, 0, "a")
            async with kept(tmp_path / "a", forge, capacity=1).running() as second:
                await Runner(second.port, "one", "secret").log(7, 1, "b")
                await second.relay.cancel_tasks()
                assert [forge.jobs[task_id].result for task_id in (7, 8)] == [CANCELLED, 0]
                assert second.held == ["8"]
                (words,) = [text for text in second.log.texts if "could not be reported" in str(text)]
                assert "has shown nothing" in str(words)
                folder = on_disk(tmp_path / "a", tmp_path / "b")
            assert b"secret" not in (folder / "forge" / "state.json").read_bytes()

    run(main)


def test_what_has_ended_and_is_not_told_yet_is_not_cancelled(tmp_path):
    """The forge is away: the true result is kept for it."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            kept(tmp_path, forge, capacity=1, quiet_seconds=0.2).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            await forge.go_away()
            assert (await runner.state(7, SUCCESS)).status == 503
            await forge.listen()
            await rig.relay.cancel_tasks()
            assert forge.jobs[7].result == 0
            await until(lambda: forge.jobs[7].result == SUCCESS)

    run(main)
