"""Durations by size."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.figures import runner, totals
from jobmeter.gateway.figures.histogram import Histogram
from jobmeter.gateway.figures.process import CREATION_SECONDS


@given(
    st.lists(st.integers(0, 50).map(lambda tenths: tenths / 10)),
    st.sets(st.integers(0, 50).map(lambda tenths: tenths / 10)),
)
def test_each_bound_counts_what_is_not_above_it(values: list[float], bounds: set[float]) -> None:
    """Its own value too."""
    histogram = Histogram(tuple(sorted(bounds)))
    for value in values:
        histogram.observe(value)
    assert dict(histogram.cumulative()) == {
        bound: sum(value <= bound for value in values) for bound in (*bounds, inf)
    }
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


@pytest.mark.parametrize("value", [None, -1.0, float("nan"), inf])
def test_what_is_no_duration(value: float | None) -> None:
    """It leaves no trace."""
    histogram = Histogram((1.0,))
    histogram.observe(value)
    assert (histogram.count, histogram.sum) == (0, 0)


@pytest.mark.parametrize(
    "bounds, expected",
    [
        (runner.FETCH_SECONDS, "0.01 0.05 0.1 0.25 0.5 1 2 5 10"),
        (runner.REPORT_SECONDS, "0.01 0.05 0.1 0.25 0.5 1 2 5"),
        (runner.JOB_SECONDS, "1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192"),
        (totals.JOB_SECONDS, "10 30 60 120 300 600 1800 3600 7200"),
        (totals.STARTUP_SECONDS, "1 2 5 10 20 30 60 120"),
        (CREATION_SECONDS, "30 37.5 46.875 58.5938 73.2422 91.5527 114.441 143.051 178.814 223.517"),
    ],
)
def test_bounds_of_other_programs(bounds: tuple[float, ...], expected: str) -> None:
    """They are those of Gitea's runner, of ephemerd and of AlloyCI's runner."""
    assert " ".join(f"{bound:g}" for bound in bounds) == expected
