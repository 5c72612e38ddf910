"""Where the level of a series changes, as a job's memory does from one commit on.

A shift is put where the sum of distances to the medians of both sides is least (Bai, "Least absolute deviation
estimation of a shift", Econometric Theory 11, 1995): outliers hardly move it. A series is cut so again and again, and
neighbours that are no two levels are joined again (split and merge): what is left is large, clear, and lasts.
"""

from collections.abc import Iterator, Sequence
from heapq import heappush, heappushpop
from itertools import pairwise
from typing import NamedTuple

from jobmeter.model.statistics import median, middle

LEAST_RUNS = 5
"""So many values a level has at least; of fewer nobody can tell it from noise."""
_LEAST_SHARE = 0.1
# Medians must be so many deviations apart: 1.4826 × MAD is one where values are normal.
_DEVIATIONS, _SCALE = 3.0, 1.4826
# So much of either side may lie nearer to the median of the other: more do where runs are of two kinds.
_STRAYS = 0.15
# A cut that leaves more of the distances gains nothing by its place; one in the middle keeps the search short.
_GAIN = 0.9
# Before neighbours are judged, so that a cut amid a short level does not make both its sides look mixed.
_ROUNDS = 2


class Shift(NamedTuple):
    """The value at ``place`` is the first of the new level; both levels are medians."""

    place: int
    before: float
    after: float


def shifts(values: Sequence[float]) -> list[Shift]:
    """All shifts of a series, in its order; the levels are those between two shifts."""
    # No two medians are further apart than the values themselves.
    if len(values) < 2 * LEAST_RUNS or not _is_far(min(values), max(values)):
        return []
    borders = [0, *_cuts(values, 0, _distances(values), _distances(values[::-1])), len(values)]
    for _ in range(_ROUNDS):
        borders = _settled(values, borders)
    borders = _settled(values, _merged(values, borders))
    levels = [median(values[begin:end]) for begin, end in pairwise(borders)]
    return [Shift(place, *levels[i : i + 2]) for i, place in enumerate(borders[1:-1])]


def newest_level(values: Sequence[float]) -> tuple[Sequence[float], Shift | None]:
    """What a series in the order of time is on now: the values since its last shift, and that shift.

    All of them and None where nothing shifts.
    """
    last = next(reversed(shifts(values)), None)
    return (values, None) if last is None else (values[last.place :], last)


def _cuts(
    values: Sequence[float], offset: int, left: Sequence[float], right: Sequence[float]
) -> Iterator[int]:
    """More than there are shifts: a level that comes back is not seen before both its ends are.

    ``left`` and ``right`` are the distances from the begin and from the end on; a part has one of them of the whole.
    """
    count = len(values)
    place = _best(left, right, count // 2)
    old, new = values[:place], values[place:]
    if len(old) >= 2 * LEAST_RUNS:
        yield from _cuts(old, offset, left[: place + 1], _distances(old[::-1]))
    yield offset + place
    if len(new) >= 2 * LEAST_RUNS:
        yield from _cuts(new, offset + place, _distances(new), right[: count - place + 1])


def _merged(values: Sequence[float], borders: list[int]) -> list[int]:
    """Without the cuts whose sides are one level, those first whose sides are nearest."""
    pieces = [sorted(values[begin:end]) for begin, end in pairwise(borders)]
    medians = [middle(piece) for piece in pieces]
    apart: set[tuple[int, int, int]] = set()
    while True:
        steps = [abs(after - before) for before, after in pairwise(medians)]
        for left in sorted(range(len(steps)), key=steps.__getitem__):
            around = (borders[left], borders[left + 1], borders[left + 2])
            if around in apart:
                continue
            right = left + 1
            if not _is_shift(pieces[left], pieces[right], medians[left], medians[right]):
                del borders[right]
                pieces[left : left + 2] = [sorted(pieces[left] + pieces[right])]
                medians[left : left + 2] = [middle(pieces[left])]
                break
            apart.add(around)
        else:
            return borders


def _settled(values: Sequence[float], borders: list[int]) -> list[int]:
    """Each where the two pieces beside it part best, now that these are known."""
    old = median(values[: borders[1]])
    for place in range(1, len(borders) - 1):
        begin, cut, end = borders[place - 1 : place + 2]
        new = median(values[cut:end])
        if _is_far(old, new):
            around = values[begin:end]
            found = begin + _best(_distances(around), _distances(around[::-1]))
            if found != cut:
                borders[place] = found
                new = median(values[found:end])
        old = new
    return borders


def _is_shift(before: Sequence[float], after: Sequence[float], old: float, new: float) -> bool:
    """Whether two series with these medians are on two levels: far apart for their size and spread, hardly mixed."""
    if not _is_far(old, new):
        return False
    spread = _SCALE * median([*[abs(each - old) for each in before], *[abs(each - new) for each in after]])
    if abs(new - old) <= _DEVIATIONS * spread:
        return False
    return _strays(before, old, new) <= _STRAYS and _strays(after, new, old) <= _STRAYS


def _is_far(old: float, new: float) -> bool:
    return abs(new - old) > _LEAST_SHARE * min(old, new)


def _strays(values: Sequence[float], own: float, other: float) -> float:
    return sum(abs(each - own) > abs(each - other) for each in values) / len(values)


def _best(left: Sequence[float], right: Sequence[float], otherwise: int | None = None) -> int:
    """Where to cut so that the distances to both medians are least; ``otherwise`` where that gains little."""
    count = len(left) - 1
    sums = [left[place] + right[count - place] for place in range(LEAST_RUNS, count - LEAST_RUNS + 1)]
    least = min(sums)
    place = LEAST_RUNS + sums.index(least)
    return place if otherwise is None or least < _GAIN * left[count] else otherwise


def _distances(values: Sequence[float]) -> list[float]:
    """Of each beginning of the series: the sum of distances to its median. The halves are kept as two heaps."""
    low: list[float] = []
    high: list[float] = []
    below = above = 0.0
    found = [0.0]
    for place, value in enumerate(values):
        if place % 2:
            moved = -heappushpop(low, -value)
            heappush(high, moved)
            below = below + value - moved
            above += moved
            found.append(above - below)
        else:
            moved = heappushpop(high, value)
            heappush(low, -moved)
            below += moved
            above = above + value - moved
            found.append(above - below - low[0])
    return found
