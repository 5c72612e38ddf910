"""The end in stages: nothing is lost that can be finished, and nothing holds it up for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.figures.events import Fetched
from jobmeter.gateway.forges.port import Empty, Outcome
from jobmeter.gateway.polling.backoff import Pace
from jobmeter.gateway.polling.shutdown import CANCEL_SECONDS, Shutdown
from tests.gateway.polling.rig import NEVER, Forge, Messages, Rig, Work, tasks
from tests.gateway.polling.simulated import now, simulate, within

CANCELLED = "waited for no more"
LEFT = "the end does not wait for what cannot be cancelled"


@dataclass
class End:
    """How a shutdown went: whether all came to an end, and how many seconds it took."""

    complete: bool
    seconds: float
    log: Messages = field(default_factory=Messages)


async def shut_down(*rigs: Rig, patience: float, signals: tuple[float, ...] = ()) -> End:
    """A first signal now, further ones so many seconds later."""
    log, begun = Messages(), now()
    pollers = [rig.poller for rig in rigs]
    shutdown = Shutdown(pollers, log, patience_seconds=patience, left=lambda: log.warn(CANCELLED))
    for signal in signals:
        asyncio.get_running_loop().call_later(signal, shutdown.hurry)
    complete = await within(patience + CANCEL_SECONDS + 1, shutdown.run())
    return End(complete, round(now() - begun, 3), log)


async def started(rig: Rig, seconds: float = 1.0) -> Rig:
    """A poller that has been asking for some seconds."""
    rig.start()
    await asyncio.sleep(seconds)
    return rig


@pytest.mark.parametrize("patience", [0.0, 600.0])
def test_nothing_to_do_is_the_end_at_once(patience: float) -> None:
    """Whether the loop waits for a slot or for time; nobody is asked any more, and nothing is said."""

    async def main() -> None:
        forge = Forge()
        rig = await started(Rig(forge, Work()))
        end = await shut_down(rig, Rig(forge, Work()), patience=patience)
        assert (end.complete, end.seconds, end.log.warned) == (True, 0, [])
        await asyncio.sleep(100)
        assert forge.times == [0.0]

    simulate(main)


def test_no_pollers_are_no_work() -> None:
    """A gateway that no runner ever asked."""

    async def main() -> None:
        end = await shut_down(patience=600)
        assert (end.complete, end.seconds) == (True, 0)

    simulate(main)


def test_running_tasks_are_waited_for() -> None:
    """Those of all runners, and no new one begins."""

    async def main() -> None:
        forge = Forge([tasks(7), tasks(8), tasks(9)])
        rigs = [await started(Rig(forge, Work(takes=300))) for _ in range(2)]
        end = await shut_down(*rigs, patience=600)
        assert (end.complete, end.seconds, end.log.warned) == (True, 299, [])
        assert len(forge.answers) == 1

    simulate(main)


def test_a_request_under_way_is_finished_and_its_task_run() -> None:
    """A task in an answer that nobody reads would be lost for a quarter of an hour."""

    async def main() -> None:
        forge, work = Forge([tasks(7)], takes=5), Work(takes=10)
        end = await shut_down(await started(Rig(forge, work)), patience=600)
        assert (end.complete, end.seconds) == (True, 14)
        assert work.done == ["7"]
        assert len(forge.requests) == 1

    simulate(main)


@pytest.mark.parametrize("patience", [0.0, 30.0])
def test_when_patience_is_over_tasks_are_cancelled_and_may_report_it(patience: float) -> None:
    """The end comes as soon as they have."""

    async def main() -> None:
        work = Work(reports=4)
        rig = await started(Rig(Forge([tasks(7), tasks(8)]), work, capacity=2))
        end = await shut_down(rig, patience=patience)
        assert (end.complete, end.seconds) == (True, patience + 4)
        assert work.cancelled == ["7", "8"]
        assert end.log.warned == [{"message": CANCELLED}]
        assert rig.why == [("7", "returned"), ("8", "returned")]

    simulate(main)


def test_a_task_that_has_just_begun_can_report_its_cancellation() -> None:
    """One that is cancelled before its first step would never know of itself."""

    async def main() -> None:
        work = Work(reports=1)
        rig = Rig(Forge([tasks(7)]), work)
        rig.start()
        while not rig.poller.left:
            await asyncio.sleep(0)
        assert work.begun == []
        rig.poller.cancel()
        await within(2, rig.poller.finished())
        assert work.cancelled == ["7"]

    simulate(main)


@pytest.mark.parametrize(
    "patience,takes,signals,seconds,told",
    [
        pytest.param(30.0, 5.0, (), 35, True, id="in-time"),
        pytest.param(30.0, 5.0, (10.0,), 15, True, id="second-signal"),
        pytest.param(30.0, 5.0, (10.0, 12.0), 12, False, id="third-signal"),
        pytest.param(30.0, NEVER, (), 30 + CANCEL_SECONDS, False, id="never"),
    ],
)
def test_the_forge_is_told_what_is_cancelled(
    patience: float, takes: float, signals: tuple[float, ...], seconds: float, told: bool
) -> None:
    """Between the end of patience and that of those who wait for tasks; for a bounded time."""

    async def main() -> None:
        done = list[str]()

        async def cancel() -> None:
            await asyncio.sleep(takes)
            done.append("told")

        log, begun = Messages(), now()
        rig = await started(Rig(Forge([tasks(7)]), Work()), 0.0)
        while not rig.poller.left:
            await asyncio.sleep(0)
        shutdown = Shutdown([rig.poller], log, patience_seconds=patience, cancel=cancel)
        for signal in signals:
            asyncio.get_running_loop().call_later(signal, shutdown.hurry)
        assert await within(1000, shutdown.run())
        assert (round(now() - begun, 3), bool(done)) == (seconds, told)

    simulate(main)


SIGNALS = [
    pytest.param((20.0,), 24, True, id="second-signal-cancels"),
    pytest.param((20.0, 22.0), 22, False, id="third-signal-leaves"),
    pytest.param((20.0, 23.0, 23.5), 23, False, id="more-of-them"),
    pytest.param((20.0, 30.0), 24, True, id="third-signal-too-late"),
]


@pytest.mark.parametrize("signals,seconds,complete", SIGNALS)
def test_further_signals_hurry(signals: tuple[float, ...], seconds: float, complete: bool) -> None:
    """Each ends the stage that it finds."""

    async def main() -> None:
        rig = await started(Rig(Forge([tasks(7)]), Work(reports=4)))
        end = await shut_down(rig, patience=600, signals=signals)
        assert (end.complete, end.seconds) == (complete, seconds)

    simulate(main)


def test_a_task_that_ignores_its_cancellation_does_not_hold_up_the_end() -> None:
    """It is named, and left."""

    async def main() -> None:
        deaf, hearing = Work(takes=10_000, deaf=True), Work()
        rigs = [await started(Rig(Forge([tasks(n)]), work)) for n, work in enumerate([deaf, hearing])]
        end = await shut_down(*rigs, patience=30)
        assert (end.complete, end.seconds) == (False, 30 + CANCEL_SECONDS)
        assert hearing.cancelled == ["1"]
        assert end.log.warned[1:] == [{"message": LEFT, "tasks": ["0"]}]

    simulate(main)


def test_a_request_that_never_returns_is_broken_off_in_the_end() -> None:
    """It counts as an error, and nothing is said: it is no trouble of the forge."""

    async def main() -> None:
        forge = Forge(takes=NEVER)
        rig = await started(Rig(forge, Work()))
        end = await shut_down(rig, patience=30)
        assert (end.complete, end.seconds) == (True, 30)
        assert forge.broken_off == 1
        assert rig.told == [Fetched("error", 31.0)]
        assert end.log.warned == rig.log.warned == []

    simulate(main)


class Deaf(Forge):
    """Answers with a task in its own time, whoever cancels the request."""

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        until = now() + self.takes
        while now() < until:
            try:
                await asyncio.sleep(until - now())
            except asyncio.CancelledError:
                self.broken_off += 1
        return tasks(7)


def test_a_task_that_comes_while_all_is_cancelled_is_reported_as_cancelled() -> None:
    """The forge has given it out: somebody must say that nobody does it."""

    async def main() -> None:
        forge, work = Deaf(takes=40), Work(reports=2)
        end = await shut_down(await started(Rig(forge, work)), patience=30)
        assert (end.complete, end.seconds) == (True, 41)
        assert forge.broken_off == 1
        assert work.cancelled == ["7"]

    simulate(main)


def test_a_second_cancellation_does_not_break_off_the_report_of_the_first() -> None:
    """Whoever asks for it twice."""

    async def main() -> None:
        work = Work(reports=5)
        rig = await started(Rig(Forge([tasks(7)]), work))
        rig.poller.cancel()
        await asyncio.sleep(1)
        rig.poller.cancel()
        await within(5, rig.poller.finished())
        assert work.cancelled == ["7"]

    simulate(main)


@pytest.mark.parametrize(
    "reported,signals,seconds,said",
    [(300.0, (), 300, []), (NEVER, (), 600, [CANCELLED]), (NEVER, (20.0,), 20, [CANCELLED])],
)
def test_adopted_tasks_are_waited_for_but_cannot_be_cancelled(
    reported: float, signals: tuple[float, ...], seconds: float, said: list[str]
) -> None:
    """A job of which only the reports pass by is worth the patience, and no more; then that is said."""

    async def main() -> None:
        rig = await started(Rig(Forge(), Work()))
        rig.book.sign("7")
        asyncio.get_running_loop().call_later(reported, rig.book.end, "7", "final")
        end = await shut_down(rig, patience=600, signals=signals)
        assert (end.complete, end.seconds, end.log.texts) == (True, seconds, said)

    simulate(main)


TIMES = st.sampled_from([0.0, 1.0, 7.0, 50.0, 100.0, 10_000.0])


@given(
    answers=st.lists(st.sampled_from([Empty(), "task", "tasks", ValueError()]), max_size=6),
    takes=TIMES,
    work=st.tuples(TIMES, TIMES, st.booleans()),
    begin=TIMES,
    patience=TIMES,
    signals=st.lists(TIMES, max_size=3),
)
def test_it_never_hangs(
    answers: list[object],
    takes: float,
    work: tuple[float, float, bool],
    begin: float,
    patience: float,
    signals: list[float],
) -> None:
    """Whatever the forge and the tasks do: over within the two bounds, and complete only if nothing is left."""

    async def main() -> None:
        given: list[Outcome | BaseException] = []
        for number, answer in enumerate(answers):
            if answer == "task":
                given.append(tasks(number))
            elif answer == "tasks":
                given.append(tasks(f"{number}a", f"{number}b"))
            elif isinstance(answer, Empty | ValueError):
                given.append(answer)
        forge, doing = Forge(given, takes), Work(work[0], work[1], deaf=work[2])
        rig = await started(Rig(forge, doing, capacity=2, pace=Pace(50.0, 50.0)), begin)
        end = await shut_down(rig, patience=patience, signals=tuple(signals))
        asked = len(forge.requests)
        assert end.complete == rig.poller.over
        assert end.complete or signals or doing.deaf or doing.reports > CANCEL_SECONDS
        if end.complete:
            assert rig.poller.left == []
            assert forge.under_way == 0
            assert doing.concurrent == 0
            assert len(doing.begun) == len(doing.done) + len(doing.cancelled)
            assert not rig.book.slots.held
        await asyncio.sleep(30_000)
        assert len(forge.requests) == asked

    simulate(main)
