"""What looks at threads mean."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.ops.pprof.accounts import Accounts, Look
from jobmeter.ops.pprof.record import Record, Timeline
from jobmeter.ops.pprof.stacks import Stack, Stacks
from jobmeter.ops.pprof.threads import Change, SampledThread

MS = 1_000_000
MAIN, OTHER = SampledThread("main", None), SampledThread("other", None)
A, B, SELECT = (1, 0), (2, 0), (3, 0)


class Nameless(Stacks):
    """Knows no stack."""

    def frames(self, stack: Stack) -> tuple[()]:
        return ()


class Given(NamedTuple):
    """What was added."""

    thread: str
    stack: Stack
    cpu_ms: float
    wall_ms: float


class Kept(Record):
    """Keeps what is added."""

    def __init__(self) -> None:
        self.all: list[Given] = []

    def add(
        self, thread: SampledThread, stack: Stack, at_ns: int, *, cpu_ns: int = 0, wall_ns: int = 0
    ) -> None:
        self.all.append(Given(thread.name, stack, cpu_ns / MS, wall_ns / MS))

    def samples(self, stacks: Stacks) -> list[object]:  # type: ignore[override]
        return []

    def total(self, thread: str, quantity: str) -> dict[Stack, float]:
        found: Counter[Stack] = Counter()
        for one in self.all:
            if one.thread == thread and getattr(one, quantity):
                found[one.stack] += getattr(one, quantity)
        return dict(found)


def accounted(*looks: Look, until: int, main: int = 0, other: int | None = None) -> Kept:
    """The looks of threads that have used nothing before, and so much by their clocks at the end."""
    record = Kept()
    clocks = {MAIN: 0} if other is None else {MAIN: 0, OTHER: 0}
    accounts = Accounts(record, MAIN, clocks, 0)
    for look in looks:
        accounts.add(look)
    accounts.close(until * MS, {MAIN: main * MS} | ({} if other is None else {OTHER: other * MS}))
    assert accounts.given_ns == sum(one.cpu_ms for one in record.all) * MS
    return record


def cpu(at: int, used: int, stack: Stack) -> Look:
    return Look(at * MS, used * MS, stack, False)


def wall(at: int, used: int, stack: Stack, *changes: Change, ended: tuple[SampledThread, ...] = ()) -> Look:
    return Look(at * MS, used * MS, stack, True, changes, ended)


def change(used: int | None, stack: Stack, runs: bool = False, thread: SampledThread = OTHER) -> Change:
    return Change(thread, None if used is None else used * MS, stack, runs)


def test_cpu_of_the_main_thread_is_given_where_its_own_clock_finds_it() -> None:
    """A look at the wall time, which finds it waiting, is no place for it."""
    found = accounted(cpu(20, 10, A), wall(50, 15, SELECT), cpu(60, 20, B), until=60, main=20)
    assert found.total("main", "cpu_ms") == {A: 10, B: 10}


def test_wall_time_is_half_of_where_it_was_and_half_of_where_it_is() -> None:
    """All of it is given, also that before the first look and after the last."""
    found = accounted(wall(10, 0, A), cpu(15, 10, B), wall(30, 10, SELECT), until=40, main=10)
    assert found.total("main", "wall_ms") == {A: 10 + 10, SELECT: 10 + 10}


def test_a_thread_that_does_nothing_is_where_it_was_found_first() -> None:
    """It is looked up once."""
    found = accounted(wall(10, 0, SELECT, change(0, A)), wall(60, 0, SELECT), until=100, other=0)
    assert found.total("other", "wall_ms") == {A: 100}
    assert found.total("other", "cpu_ms") == {}


@pytest.mark.parametrize(
    "looks, given",
    [
        ([change(9, A), change(9, A), change(18, B)], {A: 9, B: 9}),
        ([change(3, A), change(6, SELECT), change(14, B)], {B: 14}),
        ([change(3, A, runs=True), change(6, SELECT), change(14, B)], {A: 3, B: 11}),
        ([change(1, A), change(2, B), change(3, SELECT)], {SELECT: 3}),
        ([change(None, A), change(None, A), change(None, B)], {}),
    ],
    ids=["busy", "carried", "runs", "never", "no clock"],
)
def test_cpu_of_others_is_given_where_they_run(looks: list[Change], given: dict[Stack, float]) -> None:
    """Who runs while it is looked at, or has run for half of the time; the rest in the end."""
    found = accounted(
        *(wall(10 * number, 0, SELECT, look) for number, look in enumerate(looks, 1)), until=30, other=0
    )
    assert found.total("other", "cpu_ms") == given


def test_a_thread_that_has_ended_is_given_what_it_carried_and_no_time_any_more() -> None:
    """Another of its name is another."""
    late = SampledThread("late", None)
    found = accounted(
        wall(10, 0, SELECT, change(3, A, thread=late)),
        wall(20, 0, SELECT, ended=(late,)),
        wall(30, 0, SELECT, ended=(SampledThread("never seen", None),)),
        until=40,
    )
    assert (found.total("late", "cpu_ms"), found.total("late", "wall_ms")) == ({A: 3}, {A: 10})


def test_a_clock_that_falls_gives_nothing() -> None:
    """Not less than nothing."""
    found = accounted(cpu(10, 10, A), cpu(20, 5, B), cpu(30, 15, B), until=30, main=15)
    assert found.total("main", "cpu_ms") == {A: 10, B: 10}


TIMES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=40)


@given(TIMES)
def test_the_sums_are_those_of_the_clocks(steps: list[tuple[int, int, bool]]) -> None:
    """Of CPU and wall time, whatever the looks."""
    at = used = 0
    looks = []
    for number, (later, more, by_wall) in enumerate(steps):
        at, used = at + later, used + more
        looks.append((wall if by_wall else cpu)(at, used, (number % 3, 0)))
    found = accounted(*looks, until=at + 7, main=used + 3)
    assert sum(found.total("main", "cpu_ms").values()) == pytest.approx(used + 3)
    assert sum(found.total("main", "wall_ms").values()) == pytest.approx(at + 7)


@given(TIMES)
def test_in_a_timeline_beginnings_are_in_their_order(steps: list[tuple[int, int, bool]]) -> None:
    """Although a look tells of the time before it."""

    record, at = Timeline(), 0
    accounts = Accounts(record, MAIN, {MAIN: 0}, 0)
    for number, (later, _, by_wall) in enumerate(steps):
        at += later
        accounts.add((wall if by_wall else cpu)(at, at, (number % 3, 0)))
    accounts.close(at * MS, {MAIN: at * MS})

    starts = [one.labels[1].number for one in record.samples(Nameless())]
    assert starts == sorted(starts)
