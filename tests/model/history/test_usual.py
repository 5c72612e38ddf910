"""What is usual: of the newest level alone, and noise makes none."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobmeter.model.history.levels import LEAST_RUNS, newest_level
from jobmeter.model.history.usual import EARLIER_RUNS, Known, usual_of

STEADY = (96.0, 98.0, 100.0, 102.0, 104.0)


@pytest.mark.parametrize(
    "values, median, low, high",
    [
        (STEADY, 100.0, 100 / 1.06, 106.0),
        ([5.0] * 7, 5.0, 5.0, 5.0),
        ([1.0, 1.0, 1.0, 1.0, 50.0], 1.0, 1.0, 40.2),
        ([10.0, 30.0, 10.0, 10.0, 30.0] * 4, 10.0, 10.0, 30.0),
        ([0.0, 1.0, 1.0, 2.0, 9.0], 1.0, 0.2, 7.6),
        ([0.0] * 9, 0.0, 0.0, 0.0),
    ],
)
def test_the_range_is_the_middle_and_three_deviations(
    values: list[float], median: float, low: float, high: float
) -> None:
    """Two kinds of runs are both usual."""
    found = usual_of(Known(values))
    assert found is not None
    assert (found.median, found.runs, found.changed_from) == (median, len(values), None)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_of_few_runs_nothing_is_usual() -> None:
    """One less than is needed."""
    assert usual_of(Known(STEADY[: LEAST_RUNS - 1])) is None


@given(st.lists(st.floats(0.01, 1e12), min_size=LEAST_RUNS, max_size=40))
def test_nothing_is_usual_only_where_it_was_seen(values: list[float]) -> None:
    """No range goes down to a zero that no run told, and the median is in its range."""
    found = usual_of(Known(values))
    assert found is not None
    assert 0 < found.low <= found.median * (1 + 1e-9)
    assert found.high >= found.median * (1 - 1e-9)


@st.composite
def stepped(draw: st.DrawFn) -> tuple[list[float], int]:
    """Runs on two levels, each within 4 % of its own, and the place of the step between."""
    old, new = (draw(st.integers(LEAST_RUNS, 40)) for _ in range(2))
    level, factor = draw(st.floats(1e-3, 1e9)), draw(st.floats(1.25, 20))
    after = level * factor if draw(st.booleans()) else level / factor
    chance = random.Random(draw(st.integers(0, 2**32)))
    noise = draw(st.floats(0, 0.04))
    values = [each * chance.uniform(1 - noise, 1 + noise) for each in [level] * old + [after] * new]
    return values, old


@settings(deadline=None, max_examples=400)
@given(stepped())
def test_a_step_of_five_runs_is_never_averaged_into_what_was_before(story: tuple[list[float], int]) -> None:
    """Exactly the runs since are usual."""
    values, place = story
    level, shift = newest_level(values)
    found = usual_of(Known(values))
    assert shift is not None
    assert shift.place == place
    assert list(level) == values[place:]
    assert found is not None
    assert (found.runs, found.changed_from) == (len(values) - place, shift.before)


@pytest.mark.parametrize("most", [LEAST_RUNS, 9, 20])
@pytest.mark.parametrize("spread", [0.0, 0.04])
def test_the_last_runs_of_a_level_that_is_over_are_not_usual(most: int, spread: float) -> None:
    """Also where fewer of them than a level needs are left among the runs that count."""
    chance = random.Random(5)
    values = [level * chance.uniform(1 - spread, 1 + spread) for level in [200.0] * 60 + [100.0] * 2 * most]
    for end in range(60 + LEAST_RUNS, len(values) + 1):
        since = min(end - 60, most)
        found = usual_of(Known(values[end - most : end], values[end - most - EARLIER_RUNS : end - most]))
        assert found is not None
        assert found.runs == since
        assert found.high < 120
        assert (found.changed_from is None) == (end - 60 > most)


def test_earlier_runs_are_no_more_than_a_hint() -> None:
    """They count in no number, and make no few runs enough."""
    found = usual_of(Known(STEADY, [90.0] * 5))
    assert found is not None
    assert (found.median, found.runs) == (100.0, 5)
    assert usual_of(Known(STEADY[:4], STEADY)) is None


def test_of_several_steps_the_last_is_found_in_nearly_every_history() -> None:
    """Also where a level comes back after a short one; in at most 2 of 100 are older runs in it, and none is cut."""
    chance = random.Random(3)
    missed = 0
    for _ in range(600):
        values: list[float] = []
        place, level = 0, 100.0
        for _ in range(chance.randint(3, 4)):
            place = len(values)
            values += [level * chance.uniform(0.97, 1.03) for _ in range(chance.randint(LEAST_RUNS, 15))]
            level *= chance.uniform(1.4, 4) ** chance.choice((1, -1))
        found = len(values) - len(newest_level(values)[0])
        assert found <= place
        missed += found < place
    assert missed <= 12


Draw = Callable[[random.Random], float]
NOISE: dict[str, Draw] = {
    "normal": lambda chance: chance.gauss(100, 3),
    "wide": lambda chance: max(0.0, chance.gauss(100, 20)),
    "skewed": lambda chance: chance.lognormvariate(3, 0.5),
    "of two kinds": lambda chance: chance.gauss(100, 2) if chance.random() < 0.6 else chance.gauss(300, 6),
    "with outliers": lambda chance: chance.gauss(100, 3) * (3 if chance.random() < 0.03 else 1),
}


@pytest.mark.parametrize("shape", NOISE)
@pytest.mark.parametrize("runs", [10, 20, 50])
def test_noise_alone_seldom_makes_a_level(shape: str, runs: int) -> None:
    """In at most 1 of 100 histories."""
    chance = random.Random(11)
    made = sum(newest_level([NOISE[shape](chance) for _ in range(runs)])[1] is not None for _ in range(400))
    assert made <= 4
