"""Where the level of a series changes, as a job's memory does from one commit on.

A shift is put where the sum of distances to the medians of both sides is least (Bai, "Least absolute deviation
estimation of a shift", Econometric Theory 11, 1995): outliers hardly move it. A series is cut so again and again, and
neighbours that are no two levels are joined again (split and merge): what is left is large, clear, and lasts.
"""

from collections.abc import Iterator, Sequence
from heapq import heappush, heappushpop
from itertools import pairwise
from typing import NamedTuple

from jobmeter.model.statistics import percentile

LEAST_RUNS = 5
"""So many values a level has at least; of fewer nobody can tell it from noise."""
_LEAST_SHARE = 0.1
# Medians must be so many deviations apart: 1.4826 × MAD is one where values are normal.
_DEVIATIONS, _SCALE = 3.0, 1.4826
# So much of either side may lie nearer to the median of the other: more do where runs are of two kinds.
_STRAYS = 0.15
# A cut that leaves more of the distances gains nothing by its place; one in the middle keeps the search short.
_GAIN = 0.9


class Shift(NamedTuple):
    """The value at ``place`` is the first of the new level; both levels are medians."""

    place: int
    before: float
    after: float


def shifts(values: Sequence[float]) -> list[Shift]:
    """All shifts of a series, in its order; the levels are those between two shifts."""
    if not values:
        return []
    borders = _settled(values, _merged(values, [0, *_cuts(values, 0, len(values)), len(values)]))
    levels = [_median(values[begin:end]) for begin, end in pairwise(borders)]
    return [Shift(place, *levels[i : i + 2]) for i, place in enumerate(borders[1:-1])]


def _cuts(values: Sequence[float], begin: int, end: int) -> Iterator[int]:
    """More than there are shifts: a level that comes back is not seen before both its ends are."""
    if end - begin < 2 * LEAST_RUNS:
        return
    place = begin + _best(values[begin:end], (end - begin) // 2)
    yield from _cuts(values, begin, place)
    yield place
    yield from _cuts(values, place, end)


def _merged(values: Sequence[float], borders: list[int]) -> list[int]:
    """Without the cuts whose sides are one level, those first whose sides are nearest."""
    medians = [_median(values[begin:end]) for begin, end in pairwise(borders)]
    apart: set[tuple[int, int, int]] = set()
    while True:
        nearest = sorted(
            range(1, len(borders) - 1), key=lambda place: abs(medians[place] - medians[place - 1])
        )
        for place in nearest:
            begin, cut, end = around = (borders[place - 1], borders[place], borders[place + 1])
            if around in apart:
                continue
            if not is_shift(values[begin:cut], values[cut:end]):
                del borders[place]
                medians[place - 1 : place + 1] = [_median(values[begin:end])]
                break
            apart.add(around)
        else:
            return borders


def _settled(values: Sequence[float], borders: list[int]) -> list[int]:
    """Each where the two levels beside it part best, now that these are known."""
    for place in range(1, len(borders) - 1):
        begin, end = borders[place - 1], borders[place + 1]
        borders[place] = begin + _best(values[begin:end])
    return borders


def is_shift(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether two series are on two levels: far apart for their size and spread, and hardly mixed."""
    old, new = _median(before), _median(after)
    distance = abs(new - old)
    spread = _SCALE * _median([*(abs(each - old) for each in before), *(abs(each - new) for each in after)])
    if distance <= max(_LEAST_SHARE * min(old, new), _DEVIATIONS * spread) or distance == 0:
        return False
    return _strays(before, old, new) <= _STRAYS and _strays(after, new, old) <= _STRAYS


def _strays(values: Sequence[float], own: float, other: float) -> float:
    return sum(abs(each - own) > abs(each - other) for each in values) / len(values)


def _best(values: Sequence[float], otherwise: int | None = None) -> int:
    """Where to cut so that the distances to both medians are least; ``otherwise`` where that gains little."""
    left, right = _distances(values), _distances(values[::-1])
    count = len(values)
    sums = {place: left[place] + right[count - place] for place in range(LEAST_RUNS, count - LEAST_RUNS + 1)}
    place = min(sums, key=sums.__getitem__)
    return place if otherwise is None or sums[place] < _GAIN * left[count] else otherwise


def _distances(values: Sequence[float]) -> list[float]:
    """Of each beginning of the series: the sum of distances to its median. The halves are kept as two heaps."""
    low: list[float] = []
    high: list[float] = []
    below = above = 0.0
    found = [0.0]
    for value in values:
        if len(low) > len(high):
            moved = -heappushpop(low, -value)
            heappush(high, moved)
            below, above = below + value - moved, above + moved
        else:
            moved = heappushpop(high, value)
            heappush(low, -moved)
            below, above = below + moved, above + value - moved
        middle = -low[0]
        found.append(above - below + middle * (len(low) - len(high)))
    return found


def _median(values: Sequence[float]) -> float:
    return percentile(sorted(values), 50)
