"""The forge has handed a task out, and the answer is lost behind the gateway: the job runs all the same, once."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.support.cut_lines import Loses, network
from tests.e2e.support.gateways import TOKEN, running_gateway
from tests.e2e.support.scripted_runners import SUCCESS, ActionsWorker, GitlabWorker, at_work, until
from tests.support.forges.actions import actions_forge
from tests.support.forges.gitlab import gitlab_forge


def first(count: int, holding: bytes) -> Loses:
    """The first answers that hold this are lost."""
    left = iter([True] * count)
    return lambda answer: holding in answer and next(left, False)


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
@pytest.mark.parametrize("capacity,keyed", [(1, False), (1, True), (3, True)])
def test_a_job_whose_task_was_lost_runs_once(tmp_path, kind, capacity, keyed):
    """With one slot whoever asks again has not got it; with a request key whatever the slots."""

    async def main():
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, kind, capacity=capacity) as gateway,
            network(gateway.port) as between,
        ):
            between.loses = first(2, b"task-secret")
            worker = ActionsWorker(between.port, "one", TOKEN, capacity=capacity, keyed=keyed)
            forge.enqueue(1, 2, 3, 4)
            async with at_work(worker):
                await until(lambda: len(worker.ended) == 4)
            assert between.lost == 2
            assert gateway.said("a job that never reached its runner is handed out again")
            for job in forge.jobs.values():
                assert (job.handed, job.result, len(job.rows)) == (["one"], SUCCESS, 4)
            assert worker.begun == dict.fromkeys(forge.jobs, 1)

    asyncio.run(main())


def test_what_cannot_be_told_from_a_job_that_runs_is_not_run_twice(tmp_path):
    """Several slots and no key: its slot is free after `lost_after`, and the forge ends what it hears nothing of."""

    async def main():
        async with (
            actions_forge(one=TOKEN) as forge,
            running_gateway(tmp_path, forge.url, capacity=2, lost_after="1s") as gateway,
            network(gateway.port) as between,
        ):
            between.loses = first(1, b"task-secret")
            worker = ActionsWorker(between.port, "one", TOKEN, capacity=2, reports=1)
            forge.enqueue(*range(1, 9))
            async with at_work(worker):
                await until(lambda: len(worker.ended) == 7)
                await until(
                    lambda: len(gateway.said("a job is given up: its runner shows no sign of it")) == 1
                )
            assert between.lost == 1
            assert set(worker.begun.values()) == {1}
            assert [job.handed for job in forge.jobs.values()] == [["one"]] * 8

    asyncio.run(main())


def test_a_job_of_gitlab_whose_answer_was_lost_runs_once(tmp_path):
    """A runner with one slot that asks again gets it after ten seconds without a report, as GitLab sent it."""

    async def main():
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.2) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", capacity=1) as gateway,
            network(gateway.port) as between,
        ):
            between.loses = first(1, b"job-secret")
            worker = GitlabWorker(between.port, TOKEN, pause=0.2)
            forge.enqueue(1, 2)
            async with at_work(worker):
                await until(lambda: len(worker.ended) == 2)
            assert between.lost == 1
            assert worker.begun == {1: 1, 2: 1}
            assert [(job.state, job.text.count("line")) for job in forge.jobs.values()] == [
                ("success", 3)
            ] * 2

    asyncio.run(main())
