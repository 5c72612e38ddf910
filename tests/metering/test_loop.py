"""One thread that ticks by the timetable and takes what else arrives."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from jobmeter.metering.loop import Loop
from jobmeter.metering.timetable import Timetable


class Clock:
    """Goes on only when it is told to, or by a step at each look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 100.0
        self._step = step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_ticks_come_by_the_clock_that_was_passed_in() -> None:
    """A clock stepped by an hour does not make a thousand ticks, but one late one."""
    clock = Clock()
    ticks: list[tuple[float, float]] = []
    table = Timetable(1.0)

    def on_tick(elapsed: float, due: float) -> None:
        ticks.append((elapsed, due))
        clock.now += 1.0 if len(ticks) != 2 else 3600.0
        if len(ticks) == 4:
            loop.stop()

    loop = Loop(table, on_tick, started=100.0, clock=clock)
    loop.run()
    assert ticks == [(0, 0), (1, 1), (3601, 3601), (3602, 3602)]
    assert table.late_ticks == 3599


def test_what_arrives_is_taken_between_ticks(pipe: tuple[int, int]) -> None:
    """A readable descriptor wakes the loop long before the next tick."""
    reading, writing = pipe
    heard: list[bytes] = []

    def on_data() -> None:
        heard.append(os.read(reading, 10))
        loop.stop()

    loop = Loop(Timetable(3600.0, first_seconds=3600.0), lambda elapsed, due: None, started=time.monotonic())
    loop.watch(reading, on_data)
    os.write(writing, b"mark")
    loop.run()
    assert heard == [b"mark"]


def test_a_callback_that_stops_the_loop_is_the_last(pipe: tuple[int, int]) -> None:
    """No tick comes after it, although one is due."""
    reading, writing = pipe
    os.write(writing, b"x")
    ticks: list[float] = []
    loop = Loop(Timetable(1.0), lambda elapsed, due: ticks.append(elapsed), started=0.0, clock=Clock())
    loop.watch(reading, loop.stop)
    loop.run()
    assert ticks == []


def test_a_forgotten_descriptor_is_not_heard(pipe: tuple[int, int]) -> None:
    """Forgetting it twice is safe."""
    reading, writing = pipe
    os.write(writing, b"x")
    ticks: list[float] = []

    def on_tick(elapsed: float, due: float) -> None:
        ticks.append(elapsed)
        loop.stop()

    loop = Loop(Timetable(1.0), on_tick, started=100.0, clock=Clock())
    loop.watch(reading, lambda: pytest.fail("it was forgotten"))
    loop.unwatch(reading)
    loop.unwatch(reading)
    loop.run()
    assert ticks == [0.0]


def test_it_stops_by_itself() -> None:
    """With a duration, as for a process that runs already; the clock goes on by a second at each look."""
    ticks: list[float] = []
    loop = Loop(Timetable(1.0), lambda elapsed, due: ticks.append(due), started=100.0, clock=Clock(1.0))
    loop.stop_at(20.0)
    loop.run()
    assert ticks == sorted(set(ticks))
    assert 0 < len(ticks) < 20
    assert ticks[-1] <= 20


def test_a_call_at_a_time() -> None:
    """Once, in place of what was asked for before."""
    called: list[float] = []
    clock = Clock(1.0)
    loop = Loop(
        Timetable(1000.0, first_seconds=1000.0), lambda elapsed, due: None, started=100.0, clock=clock
    )
    loop.call_at(0.5, lambda: called.append(-1))

    def call() -> None:
        called.append(clock.now)
        loop.stop_at(loop.elapsed)

    loop.call_at(0.7, call)
    clock.now += 0.8
    loop.run()
    assert called == [pytest.approx(103.8, abs=1.5)]
