"""Who gets which task, from a forge that hands each out once."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from functools import partial

import pytest

from jobmeter.gateway.figures.events import Declared, Fetched, TaskBegan
from tests.gateway.relay.rig import Clock, Rig, until
from tests.support.forges.actions import HANG, LOST, RESET, Runner, actions_forge, task_ids

SUCCESS, FAILURE, CANCELLED = 1, 2, 3
KEY = "x-runner-request-key"


def run(main):
    asyncio.run(main())


async def finish(runner: Runner, task_id: int, result: int = SUCCESS) -> None:
    await runner.log(task_id, 0, "a row", last=True)
    await runner.state(task_id, result)


def test_a_task_from_end_to_end():
    """Declared, fetched, reported, ended; each is told."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            await runner.call("Declare", version="v1", labels=["docker"])
            forge.enqueue(7)
            assert await runner.fetch() == [7]
            assert rig.held == ["7"]
            await finish(runner, 7)
            assert rig.held == []
            assert (forge.jobs[7].result, forge.jobs[7].rows) == (SUCCESS, ["a row"])
            assert rig.ended == [("7", "success")]
            assert rig.told.of(Declared)[0] == Declared("runner-one", "v1", ("docker",), 1)
            (began,) = rig.told.of(TaskBegan)
            assert began.job is not None
            assert (began.job.repository, began.job.runner) == ("org/repo", "runner-one")
            assert rig.log.warned == []

    run(main)


def test_a_full_runner_is_answered_empty_at_once():
    """The forge hears nothing of it; its version is said back."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=2).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(1, 2, 3)
            assert [await runner.fetch(), await runner.fetch()] == [[1], [2]]
            asked = forge.calls["FetchTask"]
            for _ in range(5):
                assert await runner.fetch(tasks_version=9) == []
            assert forge.calls["FetchTask"] == asked
            await finish(runner, 1)
            assert await runner.fetch() == [3]

    run(main)


def test_one_request_at_a_time_whoever_asks():
    """60 requests of one runner at once are one at the forge; of three runners they are three."""

    async def main():
        async with (
            actions_forge(a="1", b="2", c="3") as forge,
            Rig(forge, capacity=60, steady=30.0).running() as rig,
        ):
            forge.faults["FetchTask"] = deque([0.2, 0.2, 0.2])
            runners = [Runner(rig.port, uuid, token) for uuid, token in forge.tokens.items()]
            got = await asyncio.gather(*(runner.fetch() for runner in runners for _ in range(60)))
            assert got == [[]] * 180
            assert forge.calls["FetchTask"] == 3
            assert len({seen.connection for seen in forge.seen}) == 3

    run(main)


def test_several_tasks_in_one_answer():
    """A runner that takes many gets as many as it has slots."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=3).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(1, 2, 3, 4)
            assert await runner.fetch(task_capacity=8) == [1, 2, 3]
            assert sorted(rig.held) == ["1", "2", "3"]

    run(main)


def test_a_task_that_comes_late_is_parked():
    """The runner has gone; when it asks again it gets the task, and nobody else does."""

    async def main():
        async with actions_forge(one="secret", two="other") as forge, Rig(forge, capacity=1).running() as rig:
            runner, other = Runner(rig.port, "one", "secret"), Runner(rig.port, "two", "other")
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.2])
            async with runner.asking():
                await until(lambda: forge.calls["FetchTask"] == 1)
            await until(lambda: rig.held == ["7"])
            assert await other.fetch() == []
            impostor = Runner(rig.port, "one", "guessed")
            assert (await impostor.call("FetchTask")).status == 401
            assert await runner.fetch() == [7]
            assert forge.jobs[7].handed == ["one"]

    run(main)


@pytest.mark.parametrize("waits", [True, False])
def test_a_task_of_a_slow_forge_is_not_lost(waits):
    """The runner has had its answer; what it asks meanwhile, or next, gets the task, and the forge is asked no more."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=2, fetch_timeout=0.3).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await rig.ready()
            forge.enqueue(7, 8)
            forge.faults["FetchTask"] = deque([0.5])
            assert await runner.fetch((KEY, "a"), tasks_version=1) == []
            await (rig.ready() if waits else until(lambda: rig.held == ["7"]))
            assert await runner.fetch((KEY, "b"), tasks_version=1) == [7]
            assert forge.calls["FetchTask"] == 2
            await rig.ready()
            assert await runner.fetch((KEY, "c"), tasks_version=forge.version) == [8]
            assert {job.id: job.handed for job in forge.jobs.values()} == {7: ["one"], 8: ["one"]}
            assert [event.outcome for event in rig.told.of(Fetched)] == ["empty", "empty", "task"]

    run(main)


def test_a_runner_with_more_slots_than_it_is_given_does_not_get_a_task_twice():
    """It asks on at once: it has the task, though it has not said so."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1, steady=0.3).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            assert [await runner.fetch() for _ in range(3)] == [[7], [], []]
            await asyncio.sleep(0.3)
            assert await runner.fetch() == [7]

    run(main)


def test_a_parked_task_that_nobody_wants_is_reported():
    """The forge does not wait for a job that nobody runs."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=1, park_seconds=0.1).running() as rig,
        ):
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.2])
            async with Runner(rig.port, "one", "secret").asking():
                await until(lambda: forge.calls["FetchTask"] == 1)
            await until(lambda: forge.jobs[7].result == 2)
            assert rig.ended == [("7", "failure")]
            assert rig.held == []

    run(main)


def test_an_answer_that_was_lost_is_given_again():
    """A runner with one slot that asks again has not got its task."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7, 8)
            assert await runner.fetch() == [7]
            await asyncio.sleep(0.01)
            assert await runner.fetch() == [7]
            await runner.log(7, 0, "a row")
            assert await runner.fetch() == []
            await runner.state(7, SUCCESS)
            assert await runner.fetch() == [8]

    run(main)


def test_a_request_key_says_which_answer_was_lost():
    """The same key gets the same task, another one the next; whatever the capacity."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=3).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7, 8)
            assert await runner.fetch((KEY, "a")) == [7]
            assert await runner.fetch((KEY, "a")) == [7]
            assert await runner.fetch((KEY, "b")) == [8]
            assert Counter(job.handed[0] for job in forge.jobs.values()) == {"one": 2}

    run(main)


def test_a_runner_that_has_forgotten_its_request_key():
    """It began anew and lost the answer: its job is reported as failed after a while, and it gets the next one."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=1, park_seconds=0.3).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7, 8)
            assert await runner.fetch((KEY, "a")) == [7]
            assert await runner.fetch((KEY, "b")) == []
            await asyncio.sleep(0.3)
            assert await runner.fetch((KEY, "c")) == [8]
            await until(lambda: forge.jobs[7].result == FAILURE)
            assert rig.ended == [("7", "failure")]

    run(main)


def test_the_runner_that_asks_later_joins():
    """While a request is under way another one waits for its answer too, and no second one is asked."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=2).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.3])
            async with runner.asking():
                await until(lambda: forge.calls["FetchTask"] == 1)
                async with runner.asking() as second:
                    await asyncio.sleep(0.05)
                    assert forge.calls["FetchTask"] == 1
                    assert task_ids(await second.answer()) == []
            assert forge.most_fetching == 1

    run(main)


def test_a_runner_is_not_held_longer_than_it_waits():
    """It has an answer before its own limit is over; the task that comes then waits for it."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            forge.faults["FetchTask"] = deque([0.6])
            assert await runner.fetch(("Connect-Timeout-Ms", "200")) == []
            await until(lambda: rig.held == ["7"])
            assert await runner.fetch() == [7]

    run(main)


@pytest.mark.parametrize("fault,status", [(502, 502), (RESET, 503), (LOST, 503)])
def test_a_failure_is_passed_on(fault, status):
    """The runner hears of it; nothing is made up, and the next request is asked anew."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await rig.ready()
            forge.faults["FetchTask"] = deque([fault])
            assert (await runner.call("FetchTask")).status == status
            await rig.ready()
            assert await runner.fetch() == []
            assert [event.outcome for event in rig.told.of(Fetched)] == ["empty", "error", "empty"]

    run(main)


def test_a_forge_that_hangs():
    """The runner gets an empty answer in time, and it is no error."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=1, fetch_timeout=0.3).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            await runner.fetch()
            await rig.ready()
            forge.faults["FetchTask"] = deque([HANG])
            assert await runner.fetch() == []
            await rig.ready()
            assert rig.told.of(Fetched)[-1] == Fetched("empty", None)

    run(main)


def test_who_is_not_registered_is_told_so():
    """Each time; and nothing is shown of it."""

    async def main():
        async with actions_forge() as forge, Rig(forge).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            for _ in range(3):
                got = await runner.call("FetchTask")
                assert (got.status, b"unregistered" in got.body) == (401, True)
            assert rig.told.events == []
            assert forge.calls["FetchTask"] == 3

    run(main)


def test_a_drained_runner_gets_no_task():
    """What it has goes on; afterwards it is asked for again."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=2).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            await runner.call("Declare")
            forge.enqueue(7, 8)
            assert await runner.fetch() == [7]
            assert rig.relay.drain("runner-one", True) == 1
            assert await runner.fetch() == []
            await finish(runner, 7)
            rig.relay.drain("runner-one", False)
            assert await runner.fetch() == [8]

    run(main)


def test_how_long_a_runner_is_silent():
    """Since its last request or report; what asking waits for says nothing of that."""

    async def main():
        clock = Clock()
        async with actions_forge(one="secret") as forge, Rig(forge, clock=clock).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            await runner.fetch()
            for ask in (partial(runner.log, 7, 0, "a"), partial(runner.fetch)):
                clock.ahead += 75.0
                (state,) = rig.relay.standing()
                assert state.silent_seconds is not None
                assert state.silent_seconds >= 75.0
                await ask()
                (state,) = rig.relay.standing()
                assert state.silent_seconds is not None
                assert state.silent_seconds < 75.0

    run(main)


def test_a_paused_relay_asks_for_nothing():
    """Whoever waits."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            rig.relay.pause(True)
            assert await runner.fetch() == []
            assert forge.calls["FetchTask"] == 0
            rig.relay.pause(False)
            assert await runner.fetch() == [7]

    run(main)


CANCELS = [pytest.param(True, id="silent"), pytest.param(False, id="reports-a-failure")]


@pytest.mark.parametrize("silent", CANCELS)
def test_a_cancel_is_seen_in_the_answer(silent):
    """Its slot is free at once, also if the runner says nothing more."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7, 8)
            assert await runner.fetch() == [7]
            await runner.state(7)
            forge.jobs[7].cancelled = True
            await runner.state(7)
            assert rig.ended == [("7", "cancelled")]
            if not silent:
                await finish(runner, 7, result=2)
            assert await runner.fetch() == [8]
            assert rig.ended == [("7", "cancelled")]

    run(main)


def test_a_task_that_nobody_saw_handed_out_is_adopted():
    """It takes a slot by its first report that the forge accepts, and frees it by its last."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=1).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            forge.enqueue(7)
            forge.waiting.clear()
            await Runner(rig.port, "one", "wrong").log(7, 0, "a row")
            assert rig.held == []
            await runner.log(7, 0, "a row")
            assert rig.held == ["7"]
            assert await runner.fetch(tasks_version=1) == []
            await runner.log(7, 1, "another")
            await runner.state(7, SUCCESS)
            assert rig.ended[-1][0] == "7"
            assert rig.held == []

    run(main)


def test_a_lost_task_frees_its_slot():
    """After so long without a sign."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=2, lost_after=0.2).running() as rig,
        ):
            forge.enqueue(7)
            assert await Runner(rig.port, "one", "secret").fetch() == [7]
            await until(lambda: rig.ended == [("7", "unknown")])

    run(main)


def test_a_runner_for_one_job_asks_for_that_one():
    """Whatever others get, and also while the loop rests: its answer is the forge's own."""

    async def main():
        async with actions_forge(one="secret") as forge, Rig(forge, capacity=3, steady=30.0).running() as rig:
            runner = Runner(rig.port, "one", "secret")
            assert await runner.fetch() == []
            forge.enqueue(7, 8)
            assert await runner.fetch() == []
            assert task_ids(await runner.call("FetchSingleTask", handle="8")) == [8]
            assert task_ids(await runner.call("FetchSingleTask", handle="9")) == []
            assert rig.held == ["8"]
            await finish(runner, 8)
            assert rig.ended == [("8", "success")]
            assert [event.outcome for event in rig.told.of(Fetched)] == ["empty", "task", "empty"]
            assert len(rig.told.of(TaskBegan)) == 1

    run(main)
