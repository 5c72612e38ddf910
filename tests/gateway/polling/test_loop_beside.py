"""What stands beside the loop: uses in asking, work between requests; what it waits for, and that no fault stops it."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.figures.events import Fetched, Waiting
from jobmeter.gateway.forges.port import Empty, Failed
from jobmeter.gateway.polling.backoff import Pace
from jobmeter.gateway.polling.loop import Standing
from tests.gateway.polling.rig import Forge, Rig, Work, tasks
from tests.gateway.polling.simulated import now, simulate

FAILED = Failed(sentence="the forge answered 502", code="unavailable")


class Door:
    """A use in asking while it is open; each time it is asked is kept."""

    def __init__(self, *, open_: bool) -> None:
        self._open = asyncio.Event()
        self.asked: list[float] = []
        self.set(open_=open_)

    def set(self, *, open_: bool) -> None:
        self._open.set() if open_ else self._open.clear()

    async def available(self) -> None:
        self.asked.append(now())
        await self._open.wait()


class Sweep:
    """Something to do between requests, which may fail."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.times: list[float] = []
        self.error = error

    async def idle(self) -> None:
        self.times.append(now())
        if self.error is not None:
            raise self.error


def test_nobody_is_asked_while_there_is_no_use_in_it() -> None:
    """Then at once."""

    async def main() -> None:
        forge, door = Forge(), Door(open_=False)
        rig = Rig(forge, Work(), availability=door)
        rig.start()
        await asyncio.sleep(100)
        assert forge.requests == []
        assert rig.standing() == "ready"
        door.set(open_=True)
        await asyncio.sleep(1)
        assert forge.times == [100.0]
        assert rig.standing() == "resting"

    simulate(main)


def test_a_full_runner_looks_for_no_use_in_asking() -> None:
    """A slot comes first; one that was lost while there was no use is waited for again."""

    async def main() -> None:
        forge, door = Forge([tasks(8)]), Door(open_=False)
        rig = Rig(forge, Work(), capacity=1, availability=door)
        rig.start()
        await asyncio.sleep(10)
        rig.book.sign("7")
        await asyncio.sleep(10)
        door.set(open_=True)
        await asyncio.sleep(10)
        assert rig.standing() == "full"
        assert forge.requests == []
        rig.book.end("7", "final")
        await asyncio.sleep(10)
        assert forge.times == [30.0]
        assert door.asked == [0.0, 30.0]

    simulate(main)


def test_between_requests_without_a_task_there_is_time_for_other_work() -> None:
    """Not after a task."""

    async def main() -> None:
        sweep = Sweep()
        rig = Rig(Forge([Empty(), tasks(7), FAILED]), Work(), capacity=2, idle=sweep)
        rig.start()
        await asyncio.sleep(5)
        assert sweep.times == [0.0, 2.0, 4.0]

    simulate(main)


class Broken(Door):
    """Open, but it fails the first times that it is asked."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        super().__init__(open_=True)
        self.times = times
        self.error = error or ValueError("secret")

    async def available(self) -> None:
        await super().available()
        if len(self.asked) <= self.times:
            raise self.error


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()])
def test_a_fault_of_ours_is_backed_off_from_like_an_error(error: BaseException) -> None:
    """It is likely to be there again; that something else was cancelled is a fault too."""

    async def main() -> None:
        forge = Forge()
        Rig(forge, Work(), availability=Broken(2, error), pace=Pace(2.0, 60.0)).start()
        await asyncio.sleep(9)
        assert forge.times == [6.0, 8.0]

    simulate(main)


@pytest.mark.parametrize("error", [ValueError("secret"), asyncio.CancelledError("secret")])
def test_nothing_that_fails_beside_it_stops_the_loop_or_makes_it_race(error: BaseException) -> None:
    """Work between requests, the look for a use in asking, and whoever is told."""

    def tell(_: Fetched | Waiting) -> None:
        raise ValueError("secret")

    async def main() -> None:
        forge = Forge()
        rig = Rig(forge, Work(), availability=Broken(1), idle=Sweep(error), tell=tell)
        rig.start()
        await asyncio.sleep(9)
        assert forge.times == [2.0, 4.0, 6.0, 8.0]
        assert "secret" not in repr(rig.log.warned)
        assert set(rig.log.texts) == {
            "asking for a job failed by a fault of ours",
            "what is done between requests failed by a fault of ours",
        }

    simulate(main)


def test_standing_says_what_the_loop_waits_for() -> None:
    """A relay answers by it: only a runner that asks while it is ready is waited for."""

    async def main() -> None:
        door = Door(open_=False)
        rig = Rig(Forge([Empty(), tasks(7)], takes=2), Work(takes=2), availability=door)
        seen: list[Standing] = [rig.standing()]
        rig.start()
        seen.append(rig.standing())
        await asyncio.sleep(1)
        seen.append(rig.standing())
        door.set(open_=True)
        for _ in range(5):
            await asyncio.sleep(1.9)
            seen.append(rig.standing())
        rig.poller.stop_asking()
        seen.append(rig.standing())
        assert seen == [
            "ready", "ready", "ready", "fetching", "resting", "fetching", "full", "fetching", "ended"
        ]  # fmt: skip

    simulate(main)
