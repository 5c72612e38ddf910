"""Peak, percentiles, average."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.statistics import PERCENTILES, Series, Statistic, median, percentile


def series(*values: float | None) -> Series:
    found = Series()
    for value in values:
        found.add(value)
    return found


@pytest.mark.parametrize(
    "values, expected",
    [
        # peak, p99, p95, p75, p50, avg as numpy 2.3 gives them (numpy.percentile, method "linear").
        ([1, 2, 3, 4], Statistic(4, 3.97, 3.85, 3.25, 2.5, 2.5)),
        ([15, 20, 35, 40, 50], Statistic(50, 49.6, 48, 40, 35, 32)),
        ([0, 1], Statistic(1, 0.99, 0.95, 0.75, 0.5, 0.5)),
        ([7, 7, 7], Statistic(7, 7, 7, 7, 7, 7)),
        ([3.2, 0.1, 2.7, 9.9, 1.4, 5.5, 0.3], Statistic(9.9, 9.636, 8.58, 4.35, 2.7, 3.3)),
        ([*range(101)], Statistic(100, 99, 95, 75, 50, 50)),
        ([1e12, 0, 1e12], Statistic(1e12, 1e12, 1e12, 1e12, 1e12, 666666666666.667)),
    ],
)
def test_reference_values(values, expected) -> None:
    """Percentiles interpolate between closest ranks as numpy does by default."""
    assert series(*values).statistic() == expected


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], Statistic()),
        ([None, None], Statistic()),
        ([2.5], Statistic(peak=2.5, avg=2.5)),
        ([None, 2.5], Statistic(peak=2.5, avg=2.5)),
    ],
)
def test_fewer_than_two_values_have_no_percentiles(values, expected) -> None:
    """What could not be read is left out; a percentile of one value would be a pretence."""
    assert series(*values).statistic() == expected


@given(st.lists(st.floats(0, 1e15), min_size=2, max_size=200))
def test_percentiles_agree_with_another_implementation(values) -> None:
    """The standard library's inclusive quantiles are of the same type 7."""
    quantiles = statistics.quantiles(values, n=100, method="inclusive")
    ascending = sorted(values)
    for percent in PERCENTILES:
        assert percentile(ascending, percent) == pytest.approx(quantiles[percent - 1], rel=1e-9, abs=1e-9)


def test_the_true_average_replaces_the_mean() -> None:
    """The average of a rate is total over duration, also when no rate could be told."""
    assert series(1, 3).statistic(average=1.25).avg == 1.25
    assert series().statistic(average=1.25) == Statistic(avg=1.25)


def test_bytes_are_whole() -> None:
    """Bytes have no fractions."""
    found = series(1, 2, 4).statistic(digits=None)
    assert (found.peak, found.p95, found.avg) == (4, 4, 2)
    assert all(
        isinstance(value, int)
        for value in (found.peak, found.p99, found.p95, found.p75, found.p50, found.avg)
    )


def test_a_series_knows_its_length_and_peak() -> None:
    """What could not be read does not count."""
    assert (len(series(1, None, 3)), series(1, None, 3).peak, series().peak) == (2, 3, None)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9))
def test_the_median_is_the_percentile_50(values: list[float]) -> None:
    """By the same rule."""
    assert median(values) == percentile(sorted(values), 50)
