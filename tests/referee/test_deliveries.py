"""Evidence on its way to a receiver."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.model.errors import SendError
from jobmeter.model.evidence.document import Evidence, Source, decode
from jobmeter.model.job import Job
from jobmeter.referee import deliveries as module
from jobmeter.referee.deliveries import PAUSES_SECONDS, Deliveries, Told
from jobmeter.referee.referee import Occasion

START = 1_577_836_800.0
JOB = Occasion(START, START + 60, 'instance="runner-1"', Job(job="build"), "uid", "4711")
DOCUMENT = Evidence(
    made_by="1.2", job=Job(job="build"), run_uid="uid", task="4711", start_time="2020-01-01T00:00:00.000Z",
    end_time="2020-01-01T00:01:00.000Z", asked_time="2020-01-01T00:01:00.100Z", source=Source(address="http://p"),
    selector="", interval_seconds=10.0, step_seconds=10.0, tail_open=False, tail_seconds=15.0, queries=(),
    problems=(),
)  # fmt: skip
AGAIN = replace(DOCUMENT, asked_time="2020-01-01T00:01:16.100Z")
NOT_YET = SendError("the receiver answered 404: Not Found", retryable=False, status=404)


class World:
    """A receiver that answers with these errors in turn, then keeps all; time passes only where it is waited for."""

    def __init__(self, *errors: SendError) -> None:
        self.errors = list(errors)
        self.now = START + 60
        self.waits: list[float] = []
        self.kept: list[tuple[str | None, Evidence]] = []
        self.told: list[Told] = []
        self.asked_at: list[float] = []

    async def keep(self, packed: bytes, run_uid: str | None) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.kept.append((run_uid, decode(gzip.decompress(packed))))

    async def ask(self, occasion: Occasion, budget_seconds: float | None = None) -> Evidence:
        self.asked_at.append(self.now)
        return AGAIN

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def deliveries(self, **more: Any) -> Deliveries:
        told: dict[str, Any] = {"clock": lambda: self.now, "pause": self.pause}
        return Deliveries(self, self, self.told.append, **{**told, **more})


def within(world: World, work: Callable[[Deliveries], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        await work(world.deliveries(**more))

    asyncio.run(main())


async def all_done(deliveries: Deliveries) -> None:
    """Wait until nothing is left to be done."""
    async with asyncio.timeout(10):
        while deliveries.waiting:
            await asyncio.sleep(0.001)


def bringing(world: World, document: Evidence = DOCUMENT) -> None:
    """One document, until nothing is left to be done."""

    async def work(deliveries: Deliveries) -> None:
        deliveries.begin(JOB, document)
        assert deliveries.waiting == 1
        assert await deliveries.close(10.0) == 0
        assert deliveries.waiting == 0

    within(world, work)


def test_it_is_kept_with_its_run() -> None:
    """And told once."""
    world = World()
    bringing(world)
    assert world.kept == [("uid", DOCUMENT)]
    assert world.told == [Told("4711", "kept")]
    assert world.waits == []


@pytest.mark.parametrize(
    "error",
    [
        NOT_YET,
        SendError("the receiver answered 409: Conflict", retryable=False, status=409),
        SendError("it cannot be reached", retryable=True, answered=False),
        SendError("503", retryable=True, status=503),
        SendError("429", retryable=True, status=429),
    ],
    ids=["run unknown", "run not clear", "away", "503", "429"],
)
def test_a_receiver_that_will_take_it_later(error: SendError) -> None:
    """Is asked again after longer and longer times."""
    world = World(error, error, error)
    bringing(world)
    assert world.waits == list(PAUSES_SECONDS[:3])
    assert world.told == [Told("4711", "kept")]


def test_a_run_that_never_comes() -> None:
    """Is given up after some minutes."""
    world = World(*[NOT_YET] * 100)
    bringing(world)
    assert world.waits == list(PAUSES_SECONDS)
    assert world.told == [Told("4711", "refused", str(NOT_YET))]


@pytest.mark.parametrize("status", [400, 401, 403, 413, 415])
def test_a_refusal(status: int) -> None:
    """Is final."""
    world = World(SendError("no", retryable=False, status=status))
    bringing(world)
    assert (world.waits, world.told) == ([], [Told("4711", "refused", "no")])


def test_the_tail_is_asked_for_when_it_was_scraped() -> None:
    """And the receiver has both, the later one last."""
    world = World()
    bringing(world, replace(DOCUMENT, tail_open=True))
    assert [one.asked_time for _, one in world.kept] == [DOCUMENT.asked_time, AGAIN.asked_time]
    (asked_at,) = world.asked_at
    assert asked_at >= JOB.end + DOCUMENT.tail_seconds
    assert [one.outcome for one in world.told] == ["kept", "kept"]


@pytest.mark.parametrize("bound, most", [("MOST_JOBS", 1), ("MOST_BYTES", 2100)])
def test_what_waits_is_bounded(bound: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is dropped, and told; what is not packed yet counts for what it is in memory."""
    monkeypatch.setattr(module, bound, most)
    world, stuck = World(NOT_YET), asyncio.Event()

    async def pause(_: float) -> None:
        await stuck.wait()

    async def work(deliveries: Deliveries) -> None:
        deliveries.begin(JOB, DOCUMENT)
        async with asyncio.timeout(10):
            while world.errors:
                await asyncio.sleep(0.001)
        deliveries.begin(JOB._replace(task="4712"), DOCUMENT)
        assert world.told == [Told("4712", "dropped", "too much evidence waits for the receiver")]
        stuck.set()
        await all_done(deliveries)
        deliveries.begin(JOB, DOCUMENT)
        await all_done(deliveries)
        assert [one.outcome for one in world.told] == ["dropped", "kept", "kept"]

    within(world, work, pause=pause)


def test_only_what_is_packed_waits() -> None:
    """The document itself may be many times as large."""
    world, stuck = World(NOT_YET), asyncio.Event()
    document = replace(DOCUMENT)
    known_by = sys.getrefcount(document)

    async def pause(_: float) -> None:
        await stuck.wait()

    async def work(deliveries: Deliveries) -> None:
        deliveries.begin(JOB, document)
        async with asyncio.timeout(10):
            while world.errors or sys.getrefcount(document) > known_by:
                await asyncio.sleep(0.001)
        stuck.set()
        await all_done(deliveries)

    within(world, work, pause=pause)


def test_the_end_leaves_what_waits() -> None:
    """At once, as it would wait for minutes; and says of how many jobs."""
    world = World(NOT_YET)

    async def work(deliveries: Deliveries) -> None:
        deliveries.begin(JOB, DOCUMENT)
        async with asyncio.timeout(10):
            while world.errors:
                await asyncio.sleep(0.001)
            assert await deliveries.close(60.0) == 1
        assert deliveries.waiting == 0

    within(world, work, pause=asyncio.sleep)
    assert world.kept == []


@pytest.mark.parametrize("seconds, left", [(0.05, 1), (10.0, 0)])
def test_the_end_waits_for_what_is_being_sent(seconds: float, left: int) -> None:
    """Within its patience."""

    class Slow(World):
        async def keep(self, packed: bytes, run_uid: str | None) -> None:
            await asyncio.sleep(0.3)
            await super().keep(packed, run_uid)

    world = Slow()

    async def work(deliveries: Deliveries) -> None:
        deliveries.begin(JOB, DOCUMENT)
        assert await deliveries.close(seconds) == left

    within(world, work)
    assert len(world.kept) == 1 - left
