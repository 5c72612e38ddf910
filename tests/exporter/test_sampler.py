"""What is shown is read by the timetable, and anew when someone asks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from jobmeter.exporter.figures import Figures
from jobmeter.exporter.sampler import FRESH_SECONDS, Sampler


class Counting:
    """A host on which nothing happens: it counts how often it is read."""

    def __init__(self) -> None:
        self.ticks = 0
        self.fails: Exception | None = None
        self._awake = threading.Event()

    def tick(self) -> None:
        self.ticks += 1
        if self.fails is not None:
            raise self.fails

    def wait(self, seconds: float) -> None:
        self._awake.wait(seconds)
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()


class Notes:
    """A log that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str, **fields: object) -> None:
        self.said.append(f"{message} {fields}")


class Sampled:
    """A sampler at work, with all that surrounds it."""

    def __init__(self, interval_seconds: float) -> None:
        self.host, self.notes, self.registry = Counting(), Notes(), CollectorRegistry()
        self.sampler = Sampler(self.host, interval_seconds, Figures(self.registry, "1"), self.notes)

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"jobmeter_exporter_{name}")


@contextmanager
def sampling(interval_seconds: float) -> Iterator[Sampled]:
    sampled = Sampled(interval_seconds)
    sampled.sampler.start()
    try:
        yield sampled
    finally:
        sampled.sampler.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never comes true"
        time.sleep(0.005)


def test_it_reads_at_once_and_then_by_the_timetable() -> None:
    """Each sample is counted with its time."""
    with sampling(0.05) as sampled:
        until(lambda: sampled.host.ticks >= 3)
        assert sampled.sampler.trouble() is None
    assert sampled.value("sample_duration_seconds_count") == sampled.host.ticks


def test_who_asks_for_fresh_values_gets_them_before_the_next_tick_is_due() -> None:
    """Those that are not older than a second are fresh."""
    with sampling(3600.0) as sampled:
        until(lambda: sampled.sampler.trouble() is None)
        asyncio.run(sampled.sampler.fresh())
        assert sampled.host.ticks == 1
        sampled.sampler._read_at = time.monotonic() - FRESH_SECONDS - 0.1
        asyncio.run(sampled.sampler.fresh())
        assert sampled.host.ticks == 2


def test_a_thread_says_how_fresh_it_wants_values() -> None:
    """It is told when there are none so fresh."""
    with sampling(3600.0) as sampled:
        until(lambda: sampled.sampler.trouble() is None)
        assert sampled.sampler.wait_fresh(60.0)
        assert sampled.host.ticks == 1
        sampled.sampler._read_at = time.monotonic() - 0.5
        assert sampled.sampler.wait_fresh(0.4)
        assert sampled.host.ticks == 2
        sampled.host.fails, sampled.sampler._read_at = OSError("gone"), None
        assert not sampled.sampler.wait_fresh(60.0)


def test_several_who_ask_at_once_share_one_reading() -> None:
    """Two servers that scrape in one moment cost as much as one."""

    async def ask(sampler: Sampler) -> None:
        await asyncio.gather(*(sampler.fresh() for _ in range(10)))

    with sampling(3600.0) as sampled:
        until(lambda: sampled.sampler.trouble() is None)
        sampled.sampler._read_at = None
        asyncio.run(ask(sampled.sampler))
        assert sampled.host.ticks <= 3


def test_a_sample_that_fails_is_counted_and_said_once() -> None:
    """The next one may succeed."""
    with sampling(0.02) as sampled:
        sampled.host.fails = OSError(5, "the disk is gone")
        until(lambda: (sampled.value("samples_dropped_total") or 0) >= 3)
        assert "the last sample failed: OSError" in (sampled.sampler.trouble() or "")
        assert len(sampled.notes.said) == 1
        sampled.host.fails = None
        until(lambda: sampled.sampler.trouble() is None)


def test_before_the_first_sample_and_after_the_thread_there_is_nothing_to_trust() -> None:
    """Each says what it is."""
    with sampling(3600.0) as sampled:
        sampled.sampler._read_at = None
        assert sampled.sampler.trouble() == "nothing has been read yet"
        sampled.sampler._read_at = time.monotonic() - 10_000
        assert sampled.sampler.trouble() == "nothing was read for 10000 s"
    assert "has ended" in (sampled.sampler.trouble() or "")


def test_ticks_that_were_missed_are_counted() -> None:
    """Their time has passed; they are not made up for."""
    with sampling(0.02) as sampled:
        tick, slow = sampled.host.tick, threading.Event()
        sampled.host.tick = lambda: (slow.wait(0.3), tick())[1]  # type: ignore[method-assign]
        until(lambda: (sampled.value("samples_dropped_total") or 0) >= 10)
        assert (sampled.value("sample_lag_seconds") or 0) > 0.02
        slow.set()


def test_a_reading_that_hangs_does_not_keep_the_daemon_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes is told that it is still under way."""
    monkeypatch.setattr("jobmeter.exporter.sampler._CLOSE_SECONDS", 0.05)
    sampled, let = Sampled(3600.0), threading.Event()
    sampled.host.tick = let.wait  # type: ignore[assignment, method-assign]
    sampled.sampler.start()
    assert sampled.sampler.close() is False
    let.set()
    assert sampled.sampler.close() is True


def test_one_more_sample_begins_when_it_is_asked_for() -> None:
    """However fresh the last one is; one that fails is none."""
    with sampling(3600.0) as sampled:
        until(lambda: sampled.sampler.trouble() is None)
        assert asyncio.run(sampled.sampler.sample())
        assert sampled.host.ticks == 2
        sampled.host.fails = OSError(5, "the disk is gone")
        assert not asyncio.run(sampled.sampler.sample())
