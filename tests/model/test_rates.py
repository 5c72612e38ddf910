"""Counters into growth and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.rates import MIN_SPAN_SECONDS, RateWindow, delta, usual_span

READINGS = st.lists(st.tuples(st.floats(0.001, 3), st.floats(0, 8)), min_size=1, max_size=50)


@pytest.mark.parametrize(
    "before, after, growth",
    [
        (3, 5, 2),
        (5, 5, 0),
        (0.5, 0.75, 0.25),
        (5, 3, None),
        (None, 5, None),
        (5, None, None),
        (None, None, None),
    ],
)
def test_a_counter_that_falls_or_is_missing_gives_no_growth(before, after, growth) -> None:
    """One rule for all counters: never a negative value, never the whole counter as growth."""
    assert delta(before, after) == growth


@pytest.mark.parametrize(
    "span, readings, rates",
    [
        pytest.param(0.2, [(0, 0), (1, 2), (2, 3)], [None, 2, 1], id="each reading is old enough"),
        pytest.param(0.2, [(0, 0), (0.1, 0.1), (0.2, 0.3)], [None, None, 1.5], id="waits for the span"),
        pytest.param(
            0.2,
            [(0, 0), (0.1, 0), (0.2, 0), (0.3, 0.2)],
            [None, None, 0, 1],
            id="the newest old enough is taken",
        ),
        pytest.param(0.2, [(0, 5), (1, 6), (2, 1), (3, 4)], [None, 1, None, 3], id="a fall starts anew"),
        pytest.param(0.2, [(0, 0), (0, 1)], [None, None], id="no time went by"),
        pytest.param(0.04, [(0, 0), (0.05, 0.05)], [None, 1], id="a finer account"),
        pytest.param(0.2, [(0, 0), (0.1 + 0.1, 0.2)], [None, 1], id="200 ms in binary"),
        pytest.param(0.2, [(0.4, 0), (0.6, 0.2), (0.8, 0.4)], [None, 1, 1], id="0.6 - 0.4 is less than 0.2"),
    ],
)
def test_a_rate_spans_enough_ticks(span, readings, rates) -> None:
    """A rate is told only over a span in which a clock tick more or less does not matter."""
    window = RateWindow(span)
    found = [window.add(at, value) for at, value in readings]
    assert found == [rate if rate is None else pytest.approx(rate) for rate in rates]


@given(READINGS)
def test_rates_of_a_growing_counter_lie_between_its_slowest_and_fastest(steps) -> None:
    """No rate is above the fastest or below the slowest growth, and the window keeps few readings."""
    window = RateWindow()
    at = value = 0.0
    window.add(at, value)
    for span, rate in steps:
        at, value = at + span, value + span * rate
        found = window.add(at, value)
        if found is not None:
            assert min(each for _, each in steps) - 1e-6 <= found <= max(each for _, each in steps) + 1e-6


@pytest.mark.parametrize(
    "readings, rates",
    [
        pytest.param(
            [(0, 0), (1, 1), (1.1, 1.2), (2, 2)], [None, 1, 1.2 / 1.1, 0.8 / 0.9], id="soon after another"
        ),
        pytest.param([(0, 0), (1, 1), (1.6, 1.9)], [None, 1, 1.5], id="half an interval is enough"),
        pytest.param([(0, 0), (0.3, 0.6)], [None, 2], id="the only rate there is"),
        pytest.param([(0, 0), (0.1, 0.6)], [None, None], id="never below the least span"),
    ],
)
def test_a_rate_spans_what_is_usual_where_it_can(readings, rates) -> None:
    """A short last interval takes in the one before, so that its burst is no peak."""
    window = RateWindow(0.2, usual_span(1.0))
    found = [window.add(at, value) for at, value in readings]
    assert found == [rate if rate is None else pytest.approx(rate) for rate in rates]


def test_a_reset_window_forgets() -> None:
    """After a reset the next reading is the first."""
    window = RateWindow()
    window.add(0, 0)
    window.reset()
    assert window.add(1, 10) is None
    assert window.add(2, 11) == 1


def test_one_busy_thread_at_50_ms_never_reads_as_more_than_five_percent_off() -> None:
    """Times cut to 10 ms read every 50 ms give 0.95 to 1.05 cores, not 0.6 to 1.2."""
    window = RateWindow()
    found = []
    for number in range(200):
        at = number * 0.0503
        found.append(window.add(at, int(at * 100) / 100))
    rates = [rate for rate in found if rate is not None]
    assert len(rates) > 190
    assert all(1 - 0.01 / MIN_SPAN_SECONDS <= rate <= 1 + 0.01 / MIN_SPAN_SECONDS for rate in rates)
