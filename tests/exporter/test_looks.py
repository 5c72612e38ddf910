"""How often a container is looked at between two readings of all."""

from __future__ import annotations

import pytest

from jobmeter.exporter.looks import Looks


def times(held_from: float, named_from: float, until: float = 100.0, age: float = 0.0) -> list[float]:
    """When one is looked at that came at 0, so old."""
    looks, now, found = Looks(), 0.0, list[float]()
    looks.begin("a", now, age=age)
    while (left := looks.seconds_left(now, until - now)) < until - now:
        now += left
        assert looks.due(now) == ["a"]
        found.append(now)
        looks.looked("a", now, held=now >= held_from, named=now >= named_from)
    return found


@pytest.mark.parametrize(
    "held_from, named_from, count, last",
    [
        (0.02, 0.0, (75, 85), (2.0, 2.1)),
        (0.02, 1000.0, (80, 95), (30.0, 50.0)),
        (1000.0, 0.0, (195, 205), (2.0, 2.1)),
    ],
)
def test_pace(held_from: float, named_from: float, count: tuple[int, int], last: tuple[float, float]) -> None:
    """Often while it is made, less once its end is told; longer where its name is missing, and then no more."""
    found = times(held_from, named_from)
    assert count[0] <= len(found) <= count[1]
    assert last[0] <= found[-1] <= last[1]


@pytest.mark.parametrize("named_from, count", [(0.0, 1), (1000.0, 7)])
def test_old_ones(named_from: float, count: int) -> None:
    """A host may have a thousand of them when the watching begins."""
    found = times(held_from=0.0, named_from=named_from, age=5000.0)
    assert len(found) == count
    assert found[0] == 1.0


def test_nothing_to_look_at() -> None:
    """Neither before anything begins nor after it was dropped."""
    looks = Looks()
    assert (looks.due(5.0), looks.seconds_left(5.0, 7.0)) == ([], 7.0)
    looks.begin("a", 5.0)
    assert (looks.due(5.0), looks.due(6.0), looks.seconds_left(6.0, 7.0)) == ([], ["a"], 0.0)
    looks.drop("a")
    looks.drop("a")
    assert (looks.due(6.0), looks.seconds_left(6.0, 7.0)) == ([], 7.0)
