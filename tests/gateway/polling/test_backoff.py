"""The wait between requests: the table, told once more in another way, and each of its rows by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.polling.backoff import INTERVAL_MAX_SECONDS, INTERVAL_SECONDS, Backoff, Pace, pace_of

Outcome = Literal["task", "empty", "timed_out", "failed", "unauthenticated"]

OUTCOMES: list[Outcome] = ["task", "empty", "timed_out", "failed", "unauthenticated"]
HISTORIES = st.lists(st.sampled_from(OUTCOMES), max_size=60)
PACES = st.tuples(st.integers(1, 10**10), st.integers(1, 10**11)).map(
    lambda ns: Pace(min(ns) / 1e9, max(ns) / 1e9)
)


def middle(span: int) -> int:
    """The chance that leaves the base as it is."""
    return span // 2


def told(history: Sequence[Outcome], pace: Pace) -> Backoff:
    """A back-off that was told this history."""
    backoff = Backoff(pace, middle)
    for outcome in history:
        if outcome != "unauthenticated":
            getattr(backoff, outcome)()
    return backoff


def slow_base_ns(history: Sequence[Outcome], pace: Pace) -> int:
    """The table as it is written: look back over the history for each of the two streaks, then double one by one."""
    back = list(reversed(history))
    since_task = list(takewhile(lambda one: one != "task", back))
    empty = sum(one in ("empty", "timed_out") for one in since_task)
    errors = sum(one == "failed" for one in takewhile(lambda one: one not in ("task", "empty"), back))
    longest = round(pace.interval_max_seconds * 1e9)
    base = round(pace.interval_seconds * 1e9)
    for _ in range(min(max(empty, errors, 1) - 1, 5)):
        base *= 2
    return min(base, longest)


@given(HISTORIES, PACES)
def test_the_base_is_that_of_the_table(history: list[Outcome], pace: Pace) -> None:
    """Whatever happened before, in any order."""
    base = told(history, pace).wait().base_seconds
    assert round(base * 1e9) == slow_base_ns(history, pace)


@given(HISTORIES, PACES, st.data())
def test_jitter_is_a_fifth_to_both_sides(history: list[Outcome], pace: Pace, data: st.DataObject) -> None:
    """Uniform over whole nanoseconds from 20 % below the base up to, and without, 20 % above it."""
    spans: list[int] = []

    def chance(span: int) -> int:
        spans.append(span)
        return data.draw(st.integers(0, span - 1))

    backoff = told(history, pace)
    backoff._chance = chance
    wait = backoff.wait()
    base_ns, ns = round(wait.base_seconds * 1e9), round(wait.seconds * 1e9)
    assert spans == ([base_ns * 2 // 5] if base_ns > 2 else [])
    if spans:
        assert -(base_ns // 5) - 1 <= ns - base_ns < base_ns / 5
    else:
        assert ns == base_ns


@given(st.lists(st.sampled_from([*OUTCOMES, "wait"]), max_size=60), PACES)
def test_a_wait_is_news_when_it_differs_from_the_one_told_before(script: list[str], pace: Pace) -> None:
    """A task makes the next one news whatever it is."""
    backoff = Backoff(pace, middle)
    history: list[Outcome] = []
    last: int | None = None
    for item in script:
        if item == "wait":
            base_ns = slow_base_ns(history, pace)
            assert backoff.wait().changed == (base_ns != last)
            last = base_ns
            continue
        outcome = next(one for one in OUTCOMES if one == item)
        history.append(outcome)
        if outcome == "task":
            last = None
        if outcome != "unauthenticated":
            getattr(backoff, outcome)()


SEQUENCES = [
    pytest.param(2, 60, ["empty"] * 8, [2, 4, 8, 16, 32, 60, 60, 60], id="up-to-a-minute"),
    pytest.param(2, 5, ["empty"] * 4, [2, 4, 5, 5], id="up-to-5-seconds"),
    pytest.param(2, 1000, ["empty"] * 8, [2, 4, 8, 16, 32, 64, 64, 64], id="at-most-32-times"),
    pytest.param(2, 2, ["failed"] * 3, [2, 2, 2], id="off"),
    pytest.param(2, 60, ["failed", "failed", "empty"], [2, 4, 2], id="an-empty-answer-ends-errors"),
    pytest.param(2, 60, ["empty", "empty", "failed", "empty"], [2, 4, 4, 8], id="an-error-keeps-empty"),
    pytest.param(2, 60, ["failed", "timed_out", "failed"], [2, 2, 4], id="silence-keeps-errors"),
    pytest.param(2, 60, ["timed_out"] * 3, [2, 4, 8], id="silence-is-empty"),
    pytest.param(2, 60, ["empty", "empty", "task", "empty"], [2, 4, 2, 2], id="a-task-ends-both"),
    pytest.param(2, 60, ["failed", "failed", "task", "failed"], [2, 4, 2, 2], id="a-task-ends-errors"),
    pytest.param(2, 60, ["empty", "empty", "failed", "failed", "failed"], [2, 4, 4, 4, 8], id="the-larger"),
]


@pytest.mark.parametrize("interval,longest,history,bases", SEQUENCES)
def test_sequences(interval: float, longest: float, history: list[Outcome], bases: list[float]) -> None:
    """The waits after each step of a short history."""
    pace = Pace(interval, longest)
    steps = range(1, len(history) + 1)
    assert [told(history[:step], pace).wait().base_seconds for step in steps] == bases


def test_before_any_answer_it_is_the_interval() -> None:
    """Something went wrong that counts as nothing."""
    assert Backoff(Pace(2, 60), middle).wait() == (2.0, 2.0, True)


def test_jitter_without_a_given_chance_stays_in_its_bounds() -> None:
    """The default is the standard library's random, which is not the same each time."""
    backoff = Backoff(Pace(10, 10))
    seconds = [backoff.wait().seconds for _ in range(1000)]
    assert 8 <= min(seconds) < 9
    assert 11 < max(seconds) < 12


SETTINGS = [
    (2, 60, Pace(2, 60), False),
    (0, 0, Pace(INTERVAL_SECONDS, INTERVAL_MAX_SECONDS), False),
    (3, 0, Pace(3, INTERVAL_MAX_SECONDS), False),
    (3, -1, Pace(3, INTERVAL_MAX_SECONDS), False),
    (-1, 60, Pace(INTERVAL_SECONDS, 60), False),
    (2, 2, Pace(2, 2), False),
    (30, 5, Pace(30, 30), True),
    (30, 0, Pace(30, 30), True),
]


@pytest.mark.parametrize("interval,longest,pace,warned", SETTINGS)
def test_settings_that_mean_no_pace(interval: float, longest: float, pace: Pace, warned: bool) -> None:
    """Nothing above 0 is the default, also where the example file of the runner says that 0 switches it off."""
    found, warning = pace_of(interval, longest)
    assert found == pace
    assert (warning is not None) == warned
    if warning is not None:
        assert warning == (
            "fetch_interval_max (5 s) is shorter than fetch_interval (30 s), which is taken for both"
        )
