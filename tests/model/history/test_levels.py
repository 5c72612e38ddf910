"""Where the level of a series changes."""

from __future__ import annotations

import random

import pytest

from jobmeter.model.history.levels import LEAST_RUNS, _distances, shifts
from jobmeter.model.statistics import percentile

RANDOM = random.Random(4)


def noise(level: float, spread: float, count: int) -> list[float]:
    return [RANDOM.gauss(level, spread) for _ in range(count)]


@pytest.mark.parametrize(
    "values, places",
    [
        ([], []),
        ([1.0] * 100, []),
        ([0.0] * 50, []),
        ([1.0] * 20 + [2.0] * 20, [20]),
        ([2.0] * 95 + [1.0] * 5, [95]),
        ([1.0] * 20 + [2.0] * 4, []),
        ([100.0] * 20 + [105.0] * 20, []),
        ([1.0] * 10 + [2.0] * 10 + [1.0] * 10, [10, 20]),
        ([0.0] * 10 + [5.0] * 10, [10]),
        ([*noise(100, 5, 60), *noise(130, 5, 30)], [60]),
        ([*noise(100, 5, 60), 900.0, *noise(100, 5, 60)], []),
        ([*noise(100, 5, 30), 900.0, *noise(130, 5, 30), 5.0], [31]),
        # Runs of two kinds, as with a cache and without.
        ([100.0, 150.0] * 50, []),
        ([100.0, 100.0, 100.0, 100.0, 150.0] * 20, []),
    ],
)
def test_a_shift_is_large_clear_and_lasts(values: list[float], places: list[int]) -> None:
    """Neither outliers nor noise nor runs of two kinds are one."""
    found = shifts(values)

    assert [one.place for one in found] == pytest.approx(places, abs=1)


@pytest.mark.parametrize(
    "deviation, since, most",
    [(3, 5, 4), (3, 6, 4), (3, 10, 4), (4, 5, 12), (4, 6, 12), (4, 7, 6), (4, 20, 6)],
)
@pytest.mark.parametrize("before", [10, 25])
def test_a_step_by_a_quarter_amid_normal_noise(before: int, deviation: int, since: int, most: int) -> None:
    """The docs say in how many of 100 histories it is found at its very run; here are 200."""
    chance = random.Random(1)
    missed = 0
    for _ in range(200):
        levels = [1.0] * before + [1.25] * since
        found = shifts([level * chance.gauss(100, deviation) for level in levels])
        missed += [one.place for one in found] != [before]
    assert missed <= most


def test_levels_are_the_medians_between_two_shifts() -> None:
    """Not those of all that came before."""
    found = shifts([1.0] * 10 + [2.0] * 10 + [4.0] * 10)

    assert [(one.before, one.after) for one in found] == [(1.0, 2.0), (2.0, 4.0)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RANDOM.gauss(100, 20),
        lambda: RANDOM.lognormvariate(3, 0.5),
        lambda: 100 if RANDOM.random() < 0.5 else 150,
        lambda: 100 if RANDOM.random() < 0.9 else 150,
    ],
)
def test_noise_alone_hardly_ever_shifts(make) -> None:
    """Of two hundred histories at most two."""
    assert sum(bool(shifts([make() for _ in range(100)])) for _ in range(200)) <= 2


def test_the_sum_of_distances_is_that_to_the_median() -> None:
    """Of each beginning of a series, as added up one by one."""
    values = [RANDOM.choice([RANDOM.gauss(0, 5), 3.0]) for _ in range(60)]

    for count, found in enumerate(_distances(values)):
        part = sorted(values[:count])
        middle = percentile(part, 50) if part else 0
        assert found == pytest.approx(sum(abs(each - middle) for each in part))


def test_a_level_is_told_from_five_runs_on() -> None:
    """The docs say so."""
    assert LEAST_RUNS == 5
