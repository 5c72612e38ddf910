"""A series over time in one line of text."""

from collections.abc import Sequence
from math import ceil

from jobmeter.report.layout import UNKNOWN

_LEVELS = "▁▂▃▄▅▆▇█"


def resample(
    ends: Sequence[float],
    values: Sequence[float | None],
    columns: int,
    duration: float,
    *,
    highest: bool = False,
) -> list[float | None]:
    """The series in ``columns`` equal parts of ``duration``.

    ``ends`` are the ends of the spans that the values stand for. A part holds the mean of what falls
    into it, weighted by time, or its highest value; None where nothing was read.
    """
    parts: list[float | None] = []
    point = 0
    count = min(len(ends), len(values))
    for column in range(columns):
        begin, end = duration * column / columns, duration * (column + 1) / columns
        while point < count and ends[point] <= begin:
            point += 1
        parts.append(_part(ends, values, point, count, begin, end, highest))
    return parts


def _part(
    ends: Sequence[float],
    values: Sequence[float | None],
    point: int,
    count: int,
    begin: float,
    end: float,
    highest: bool,
) -> float | None:
    weight = total = 0.0
    top: float | None = None
    while point < count and begin < end:
        upto = min(end, ends[point])
        value = values[point]
        if value is not None and upto > begin:
            total += value * (upto - begin)
            weight += upto - begin
            top = value if top is None else max(top, value)
        begin = max(begin, upto)
        point += 1
    if highest or not weight:
        return top
    return total / weight


def sparkline(values: Sequence[float | None], ceiling: float | None = None) -> str:
    """One character per value, a dash for None; ``ceiling`` is the value of a full block.

    >>> sparkline([0, 1, 2, None, 4])
    '▁▂▄–█'
    """
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) if ceiling is None else ceiling
    return "".join(UNKNOWN if value is None else _block(value, top) for value in values)


def _block(value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return _LEVELS[0]
    return _LEVELS[max(0, ceil(min(value / top, 1.0) * 8) - 1)]
