"""One loop per runner: when it asks, what comes of each answer, and that nothing stops it but its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jobmeter.gateway.figures.events import Fetched, Waiting
from jobmeter.gateway.forges.port import Empty, Failed, Outcome, Task, Tasks, TimedOut, Unauthenticated
from jobmeter.gateway.polling.backoff import Pace
from tests.gateway.polling.rig import Forge, Rig, Work, tasks
from tests.gateway.polling.simulated import simulate, within

FAILED = Failed(sentence="the forge answered 502", code="unavailable")
UNKNOWN = Unauthenticated(sentence="unregistered runner")


def test_an_idle_runner_asks_once_per_interval() -> None:
    """Whatever its capacity is; each request is told, and a wait once."""

    async def main() -> None:
        forge = Forge(takes=0.5)
        rig = Rig(forge, Work(), capacity=60)
        rig.start()
        await asyncio.sleep(9.9)
        assert forge.times == [0.0, 2.5, 5.0, 7.5]
        assert [request.slots for request in forge.requests] == [60] * 4
        assert rig.told == [Fetched("empty", 0.5), Waiting(2.0), *[Fetched("empty", 0.5)] * 3]

    simulate(main)


OUTCOMES = [
    pytest.param(Empty(), Fetched("empty", 0.25), 2.0, id="empty"),
    pytest.param(Tasks(tasks=()), Fetched("empty", 0.25), 2.0, id="tasks-but-none"),
    pytest.param(TimedOut(), Fetched("empty", None), 2.0, id="timed-out"),
    pytest.param(FAILED, Fetched("error", 0.25), 2.0, id="failed"),
    pytest.param(ValueError("secret"), Fetched("error", 0.25), 2.0, id="our-own-fault"),
    pytest.param(asyncio.CancelledError(), Fetched("error", 0.25), 2.0, id="broken-off-within"),
    pytest.param(tasks(7), Fetched("task", 0.25), 0.0, id="task"),
]


@pytest.mark.parametrize("answer,event,wait", OUTCOMES)
def test_each_outcome_is_told_and_waited_for(
    answer: Outcome | BaseException, event: Fetched, wait: float
) -> None:
    """Only after a task the next request follows at once."""

    async def main() -> None:
        forge = Forge([answer], takes=0.25)
        rig = Rig(forge, Work(), capacity=2)
        rig.start()
        await asyncio.sleep(2.4)
        assert forge.times == [0.0, 0.25 + wait]
        assert rig.told[0] == event
        assert "secret" not in repr(rig.log.warned)

    simulate(main)


def test_back_off_is_that_of_the_table() -> None:
    """Empty answers, errors, silence and a task after one another; a wait is told when it differs from the last one."""

    async def main() -> None:
        answers: list[Outcome] = [
            Empty(),
            Empty(),
            Empty(),
            FAILED,
            TimedOut(),
            tasks(7),
            FAILED,
            FAILED,
            Empty(),
        ]
        forge = Forge(answers)
        rig = Rig(forge, Work(), capacity=2, pace=Pace(2.0, 10.0))
        rig.start()
        await asyncio.sleep(55.1)
        waits = [after - before for before, after in zip(forge.times, forge.times[1:], strict=False)]
        assert waits == [2, 4, 8, 8, 10, 0, 2, 4, 2, 4, 8]
        bases = [event.base_seconds for event in rig.told if isinstance(event, Waiting)]
        assert bases == [2, 4, 8, 10, 2, 4, 2, 4, 8, 10]

    simulate(main)


VERSIONS = [
    pytest.param([Empty(tasks_version=5)], [0, 5, 5], id="what-the-forge-said"),
    pytest.param([Empty(tasks_version=5), Empty(tasks_version=4)], [0, 5, 5], id="never-back"),
    pytest.param([Empty(tasks_version=5), FAILED, TimedOut()], [0, 5, 5, 5], id="no-answer"),
    pytest.param([Empty(tasks_version=5), tasks(7, version=6)], [0, 5, 0], id="look-again-after-a-task"),
    pytest.param([Empty(tasks_version=5), tasks(7, version=5)], [0, 5, 0], id="also-at-the-same-version"),
    pytest.param([Empty(tasks_version=5), tasks(7, version=4)], [0, 5, 5], id="not-after-an-old-answer"),
]


@pytest.mark.parametrize("answers,versions", VERSIONS)
def test_tasks_version(answers: list[Outcome], versions: list[int]) -> None:
    """The newest that was heard of, and 0 after a task so that the forge really looks."""

    async def main() -> None:
        forge = Forge(answers)
        Rig(forge, Work(), capacity=None).start()
        await asyncio.sleep(100)
        assert [request.tasks_version for request in forge.requests][: len(versions)] == versions

    simulate(main)


def test_a_full_runner_does_not_ask() -> None:
    """Until the end of a task, and then at once."""

    async def main() -> None:
        forge = Forge([tasks(7), tasks(8)])
        rig = Rig(forge, Work(takes=3600), capacity=1)
        rig.start()
        await asyncio.sleep(3599)
        assert len(forge.requests) == 1
        assert rig.standing() == "full"
        await asyncio.sleep(2)
        assert forge.times == [0.0, 3600.0]
        assert rig.why == [("7", "returned")]

    simulate(main)


def test_a_report_frees_the_slot_before_the_run_has_returned() -> None:
    """The first of the two counts, and the other changes nothing."""

    async def main() -> None:
        forge = Forge([tasks(7), tasks(8)])
        rig = Rig(forge, Work(takes=600), capacity=1)
        rig.start()
        await asyncio.sleep(60)
        rig.book.end("7", "terminal")
        await asyncio.sleep(1000)
        assert forge.times[:2] == [0.0, 60.0]
        assert rig.why == [("7", "terminal"), ("8", "returned")]

    simulate(main)


def test_a_task_without_a_sign_is_lost_and_its_slot_free() -> None:
    """A quarter of an hour after the last sign."""

    async def main() -> None:
        forge = Forge([tasks(7)])
        rig = Rig(forge, Work(), capacity=1, lost_after=900)
        rig.start()
        await asyncio.sleep(100)
        rig.book.sign("7")
        await asyncio.sleep(1000)
        assert forge.times[:2] == [0.0, 1000.0]
        assert rig.why == [("7", "lost")]

    simulate(main)


def test_several_tasks_of_one_answer_take_a_slot_each() -> None:
    """The next request is for what is left, and none is sent when more came than were asked for."""

    async def main() -> None:
        forge = Forge([tasks(1, 2), tasks(3, 4, 5)])
        work = Work()
        rig = Rig(forge, work, capacity=4)
        rig.start()
        await asyncio.sleep(100)
        assert [request.slots for request in forge.requests] == [4, 2]
        assert work.concurrent == 5
        for task_id in ("1", "2"):
            rig.book.end(task_id, "final")
        await asyncio.sleep(1)
        assert [request.slots for request in forge.requests][2:] == [1]

    simulate(main)


def test_without_a_capacity_nothing_is_gated() -> None:
    """Requests go out with no limit, and tasks are counted."""

    async def main() -> None:
        forge = Forge([tasks(n) for n in range(100)])
        work = Work()
        rig = Rig(forge, work, capacity=None)
        rig.start()
        await asyncio.sleep(1)
        assert work.concurrent == len(rig.book.slots.held) == 100
        assert {request.slots for request in forge.requests} == {None}

    simulate(main)


def test_a_task_that_runs_already_is_not_begun_again() -> None:
    """And does not make the loop ask on and on without a pause."""

    async def main() -> None:
        forge = Forge([tasks(7)] * 4)
        work = Work()
        rig = Rig(forge, work, capacity=2)
        rig.start()
        await asyncio.sleep(3.9)
        assert forge.times == [0.0, 0.0, 2.0]
        assert work.begun == ["7"]
        assert rig.log.warned[0] == {
            "message": "the forge handed out a job that is running already",
            "task": "7",
        }

    simulate(main)


def fails_at_once(_: Task) -> None:
    raise ValueError("secret")


def is_broken_off(_: Task) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("failing,logged", [(fails_at_once, 1), (is_broken_off, 0)])
def test_a_task_that_fails_frees_its_slot(failing: Callable[[Task], None], logged: int) -> None:
    """What went wrong is said with its place, not in its own words; the others go on."""

    class Failing(Work):
        async def run(self, task: Task) -> None:
            await asyncio.sleep(1)
            failing(task)

    async def main() -> None:
        forge = Forge([tasks(7)])
        rig = Rig(forge, Failing(), capacity=1)
        rig.start()
        await asyncio.sleep(1.5)
        assert forge.times == [0.0, 1.0]
        assert rig.why == [("7", "returned")]
        assert len(rig.log.warned) == logged
        for message in rig.log.warned:
            assert message["task"] == "7"
            assert str(message["fault"]).startswith("ValueError at ")
            assert "secret" not in repr(message)

    simulate(main)


def test_an_unregistered_runner_asks_no_more() -> None:
    """Its running tasks go on to their end."""

    async def main() -> None:
        forge = Forge([tasks(7), UNKNOWN], takes=0.5)
        work = Work(takes=100)
        rig = Rig(forge, work, capacity=2)
        rig.start()
        await within(101, rig.poller.finished())
        assert len(forge.requests) == 2
        assert rig.told == [Fetched("task", 0.5), Fetched("unauthenticated", 0.5)]
        assert rig.poller.unregistered == "unregistered runner"
        assert rig.standing() == "ended"
        assert work.done == ["7"]

    simulate(main)


def test_once_ends_after_one_task() -> None:
    """Asked for with the same back-off; the others stay with the forge."""

    async def main() -> None:
        forge = Forge([Empty(), FAILED, tasks(7), tasks(8)])
        work = Work(takes=10)
        rig = Rig(forge, work, capacity=5, once=True)
        rig.start()
        await within(15, rig.poller.finished())
        assert forge.times == [0.0, 2.0, 4.0]
        assert {request.slots for request in forge.requests} == {1}
        assert work.done == ["7"]

    simulate(main)


def test_once_ends_also_after_a_task_that_fails() -> None:
    """Its result is nothing to the loop."""

    class Failing(Work):
        async def run(self, task: Task) -> None:
            raise ValueError

    async def main() -> None:
        forge = Forge([tasks(7), tasks(8)])
        rig = Rig(forge, Failing(), once=True)
        rig.start()
        await within(1, rig.poller.finished())
        assert len(forge.requests) == 1

    simulate(main)


def test_trouble_lasts_from_a_failure_to_the_next_answer() -> None:
    """It is said once; silence neither begins nor ends it, and is said once itself."""

    async def main() -> None:
        answers: list[Outcome] = [
            Empty(),
            FAILED,
            FAILED,
            TimedOut(),
            TimedOut(),
            FAILED,
            Empty(),
            TimedOut(),
        ]
        rig = Rig(Forge(answers), Work())
        rig.start()
        troubles: list[str | None] = []
        for _ in answers:
            await asyncio.sleep(1)
            troubles.append(rig.poller.trouble)
            await asyncio.sleep(1)
        assert troubles == [None, *["the forge answered 502"] * 5, None, None]
        assert rig.log.warned == [
            {"message": "the forge cannot be asked for jobs", "error": "the forge answered 502"},
            {"message": "the forge did not answer a request for a job in time"},
            {"message": "the forge did not answer a request for a job in time"},
        ]

    simulate(main)


def test_a_task_in_hand_survives_that_the_loop_stops() -> None:
    """It is waited for; a poller that was never started has nothing to wait for."""

    async def main() -> None:
        work = Work(takes=50)
        rig = Rig(Forge([tasks(7)]), work)
        await within(0.001, rig.poller.finished())
        rig.start()
        await asyncio.sleep(1)
        rig.poller.stop_asking()
        assert rig.poller.left == ["7"]
        await within(50, rig.poller.finished())
        assert work.done == ["7"]
        assert rig.poller.left == []

    simulate(main)
