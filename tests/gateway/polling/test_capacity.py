"""Three runners of 60 slots each: how often the forge is asked; and that capacity holds whatever comes."""

from __future__ import annotations

import asyncio
from collections import deque

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.forges.port import Empty, Failed, Outcome, Task, Tasks, TimedOut
from jobmeter.gateway.polling.shutdown import Shutdown
from tests.gateway.polling.rig import Forge, Messages, Rig, Work, task, tasks
from tests.gateway.polling.simulated import simulate, within

RUNNERS = 3
CAPACITY = 60
CYCLE_SECONDS = 2.0


def test_three_idle_runners_are_three_requests_a_cycle() -> None:
    """Not 180: the number of slots does not matter. No more than three requests are ever open."""

    async def main() -> None:
        forge = Forge(takes=0.1)
        for _ in range(RUNNERS):
            Rig(forge, Work(), capacity=CAPACITY).start()
        await asyncio.sleep(100 * (CYCLE_SECONDS + 0.1) - 0.05)
        assert len(forge.requests) == 100 * RUNNERS
        assert forge.most_under_way == RUNNERS

    simulate(main)


def test_three_full_runners_are_no_requests() -> None:
    """Not 180: 180 requests fill them, then none in an hour, and one for each slot that becomes free."""

    async def main() -> None:
        forge = Forge(tasks(number) for number in range(1000))
        work = Work()
        rigs = [Rig(forge, work, capacity=CAPACITY) for _ in range(RUNNERS)]
        for rig in rigs:
            rig.start()
        await asyncio.sleep(1)
        assert len(forge.requests) == work.concurrent == RUNNERS * CAPACITY
        await asyncio.sleep(3600)
        assert len(forge.requests) == RUNNERS * CAPACITY
        assert {rig.standing() for rig in rigs} == {"full"}
        rigs[0].book.end(next(iter(rigs[0].book.slots.held)), "final")
        await asyncio.sleep(3600)
        assert len(forge.requests) == RUNNERS * CAPACITY + 1

    simulate(main)


def test_six_tasks_with_capacity_three() -> None:
    """Never more than three at a time, two at least; requests one after another; all six done."""

    async def main() -> None:
        forge, work = Forge([tasks(number) for number in range(6)], takes=0.01), Work(takes=0.05)
        rig = Rig(forge, work, capacity=3)
        rig.start()
        await asyncio.sleep(1)
        assert 2 <= work.most_concurrent <= 3
        assert forge.most_under_way == 1
        assert sorted(work.done) == ["0", "1", "2", "3", "4", "5"]
        assert not rig.book.slots.held

    simulate(main)


def test_six_tasks_see_that_they_are_cancelled() -> None:
    """Those three that run; the others stay with the forge."""

    async def main() -> None:
        forge, work = Forge([tasks(number) for number in range(6)]), Work()
        rig = Rig(forge, work, capacity=3)
        rig.start()
        await asyncio.sleep(1)
        assert await within(31, Shutdown([rig.poller], Messages(), patience_seconds=30).run())
        assert work.cancelled == ["0", "1", "2"]
        assert len(forge.answers) == 3

    simulate(main)


def test_it_is_the_same_in_the_loop_of_the_daemons() -> None:
    """Which is not simulated; how long it takes is not looked at."""

    async def main() -> None:
        forge, work = Forge([tasks(number) for number in range(6)], takes=0.001), Work(takes=0.01)
        rig = Rig(forge, work, capacity=3)
        rig.start()
        while len(work.done) < 6:
            await asyncio.sleep(0.001)
        assert await Shutdown([rig.poller], Messages(), patience_seconds=60).run()
        assert work.most_concurrent <= 3
        assert forge.most_under_way == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class Queue:
    """A forge with tasks of any length: gives so many at a time as are asked for, and fails now and then."""

    def __init__(self, lengths: list[float], trouble: list[Outcome]) -> None:
        self.lengths = {str(number): length for number, length in enumerate(lengths)}
        self.waiting = deque(self.lengths)
        self.trouble = deque(trouble)
        self.under_way = 0
        self.wrong: list[str] = []

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        if slots == 0:
            self.wrong.append("asked without a slot")
        if self.under_way:
            self.wrong.append("asked twice at a time")
        self.under_way += 1
        await asyncio.sleep(0.1)
        self.under_way -= 1
        if self.trouble and len(self.trouble) >= len(self.waiting):
            return self.trouble.popleft()
        count = len(self.waiting) if slots is None else min(slots, len(self.waiting))
        given = tuple(task(self.waiting.popleft()) for _ in range(count))
        return Tasks(tasks=given) if given else Empty()


class Lengths(Work):
    """Does each task for its own time."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self.queue = queue

    async def run(self, task: Task) -> None:
        self.takes = self.queue.lengths[task.id]
        await super().run(task)


TROUBLE: list[Outcome] = [Empty(), TimedOut(), Failed(sentence="no", code="unavailable")]


@given(
    st.lists(st.sampled_from([0.0, 0.3, 5.0, 60.0]), max_size=30),
    st.lists(st.sampled_from(TROUBLE), max_size=5),
    st.sampled_from([None, 1, 2, 7]),
)
def test_any_work_is_done_within_capacity(
    lengths: list[float], trouble: list[Outcome], capacity: int | None
) -> None:
    """Each task once, never more at a time than there are slots, and never asked for when there is none."""

    async def main() -> None:
        queue = Queue(lengths, trouble)
        work = Lengths(queue)
        rig = Rig(queue, work, capacity=capacity)
        rig.start()
        await asyncio.sleep(sum(lengths) + 3 * (len(lengths) + len(trouble)) + 10)
        assert sorted(work.done, key=int) == list(queue.lengths)
        assert work.begun == sorted(work.begun, key=int)
        assert capacity is None or work.most_concurrent <= capacity
        assert queue.wrong == []
        assert not rig.book.slots.held

    simulate(main)
