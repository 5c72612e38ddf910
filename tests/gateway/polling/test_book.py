"""Waiting for slots: who waits is woken by what ends one, and lost tasks are found without being asked for."""

from __future__ import annotations

import asyncio

from jobmeter.gateway.polling.book import SlotBook
from jobmeter.gateway.polling.slots import Ended, Holder, Slots
from tests.gateway.polling.simulated import now, settled, simulate, within


def book_of(slots: Slots) -> tuple[SlotBook, list[Ended]]:
    """A book in simulated time, and what it tells."""
    ended: list[Ended] = []
    return SlotBook(slots, ended.append, now), ended


def test_a_free_slot_is_waited_for() -> None:
    """Not at all when there is one; else until the end of a task."""

    async def main() -> None:
        book, ended = book_of(Slots(1))
        await within(0.001, book.free())
        book.take("7")
        waiting = asyncio.create_task(book.free())
        await asyncio.sleep(5)
        assert not waiting.done()
        assert book.end("7", "final")
        await within(0.001, waiting)
        assert [(one.why, round(one.seconds, 3)) for one in ended] == [("final", 5.0)]
        assert not book.end("7", "final")
        assert len(ended) == 1

    simulate(main)


def test_without_a_capacity_there_is_always_a_slot() -> None:
    """They are counted all the same."""

    async def main() -> None:
        book, _ = book_of(Slots(None))
        for task_id in range(1000):
            book.take(str(task_id))
        await within(0.001, book.free())
        assert len(book.slots.held) == 1000

    simulate(main)


def test_the_end_of_one_task_is_waited_for() -> None:
    """Of that one only; one that holds nothing is over."""

    async def main() -> None:
        book, _ = book_of(Slots(None))
        book.take("7")
        book.take("8")
        waiting = asyncio.create_task(book.over("7"))
        book.end("8", "final")
        await settled()
        assert not waiting.done()
        book.end("7", "over")
        await within(0.001, waiting)
        await within(0.001, book.over("9"))
        await within(0.001, book.empty())

    simulate(main)


def test_a_task_that_comes_again_does_not_prolong_the_wait_for_its_first_end() -> None:
    """The slot that it takes anew is another one."""

    async def main() -> None:
        book, _ = book_of(Slots(1))
        first = book.take("7")
        assert first is not None
        waiting = asyncio.create_task(book.over("7"))
        await settled()
        book.end("7", "over")
        assert book.take("7") is not None
        await within(0.001, waiting)
        book.give_back(first)
        assert book.slots.full

    simulate(main)


def test_one_who_no_longer_waits_takes_nobody_along() -> None:
    """A wait that is cancelled leaves the others alone."""

    async def main() -> None:
        book, _ = book_of(Slots(1))
        book.take("7")
        leaving, staying = asyncio.create_task(book.free()), asyncio.create_task(book.free())
        await settled()
        leaving.cancel()
        await settled()
        assert not staying.done()
        book.end("7", "final")
        await within(0.001, staying)

    simulate(main)


def test_lost_tasks_are_found_at_their_time() -> None:
    """Each a quarter of an hour after its own last sign."""

    async def main() -> None:
        book, ended = book_of(Slots(3))
        book.take("7")
        await asyncio.sleep(100)
        book.take("8")
        book.sign("7")
        book.sign("9")
        await asyncio.sleep(200)
        book.sign("7")
        await asyncio.sleep(2000)
        assert [(one.holder.task_id, one.why, round(one.at, 3)) for one in ended] == [
            ("8", "lost", 1000.0),
            ("9", "lost", 1000.0),
            ("7", "lost", 1200.0),
        ]

    simulate(main)


def test_tasks_of_a_former_process_are_lost_in_time() -> None:
    """Its last sign counts on."""

    async def main() -> None:
        book, ended = book_of(Slots(1, held=[Holder("7", -1000.0, last_sign=-890.0)]))
        await within(10.001, book.free())
        assert [(one.holder.task_id, one.why) for one in ended] == [("7", "lost")]

    simulate(main)


def test_a_runner_that_asks_again_is_free() -> None:
    """Where it does one task at a time, and has reported nothing for a while."""

    async def main() -> None:
        book, ended = book_of(Slots(1, done_after_seconds=10.0))
        assert book.sign("7") is not None
        book.asked()
        assert ended == []
        await asyncio.sleep(10.001)
        book.asked()
        assert [one.why for one in ended] == ["asked"]
        await within(0.001, book.free())

    simulate(main)


def test_a_closed_book_looks_no_more() -> None:
    """Nothing is left in the event loop."""

    async def main() -> None:
        book, ended = book_of(Slots(1))
        book.take("7")
        book.close()
        book.close()
        await asyncio.sleep(2000)
        assert ended == []

    simulate(main)
