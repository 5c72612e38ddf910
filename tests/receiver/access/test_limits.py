"""Buckets fill with time, each by itself, and there are not too many of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.receiver.access.limits import Buckets


class Clock:
    """Time as it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_the_rate():
    """Whoever is too fast learns how long to wait; waiting so long is enough."""
    clock = Clock()
    buckets = Buckets(2, burst_seconds=5, clock=clock)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") == 0.5
    assert buckets.take("b") == 0.0
    clock.now += 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0.0, 0.5)
    clock.now += 1000
    assert [buckets.take("a") > 0 for _ in range(11)] == [False] * 10 + [True]


def test_zero_is_no_limit():
    """And nothing is remembered."""
    buckets = Buckets(0)
    assert {buckets.take("a") for _ in range(10_000)} == {0.0}
    assert not buckets._left


def test_there_are_never_too_many():
    """Who has not come for longest is forgotten."""
    buckets = Buckets(1, burst_seconds=1, most=3, clock=Clock())
    for key in "abcabcd":
        buckets.take(key)
    assert list(buckets._left) == ["b", "c", "d"]


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 5))
def test_never_more_than_the_burst_and_the_rate(pauses, rate):
    """Whatever the pauses."""
    clock = Clock()
    buckets = Buckets(rate, burst_seconds=2, clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.take("a") == 0
    assert taken <= 2 * rate + rate * sum(pauses) + 1e-6
