"""The axis of charts over days and hours: ticks at round times of UTC, so far apart that their labels have room."""

from typing import Any

_TICK = 66
_DAY = 86_400
_STEPS_SECONDS = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, _DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY),
)
_DAY_LABEL = "utcFormat(datum.value, '%-d %b')"


def time_axis(begin: int, end: int, width: int) -> dict[str, Any]:
    """The encoding of a field ``t`` from ``begin`` to ``end``, in milliseconds since 1970, over ``width`` pixels.

    Ticks are days, or times of day: then the day stands below the first one and below each midnight.
    """
    step = _step((end - begin) / 1000, max(2, width // _TICK)) * 1000
    ticks = list(range(-(-begin // step) * step, end + 1, step))
    label = _DAY_LABEL
    if step < _DAY * 1000:
        time = f"utcFormat(datum.value, '{'%H:%M' if step >= 60_000 else '%H:%M:%S'}')"
        named = [tick for tick in ticks if tick == ticks[0] or tick % (_DAY * 1000) == 0]
        label = f"indexof({named}, toNumber(datum.value)) < 0 ? {time} : [{time}, {_DAY_LABEL}]"
    return {
        "field": "t",
        "type": "temporal",
        # As expressions: of numbers Vega-Lite makes `datetime(…)`, which the interpreter of pages reads as a year,
        # and a pair of them is read once more, as numbers, for `x2`.
        "scale": {"type": "utc", "domain": {"expr": f"[{begin}, {end}]"}, "nice": False},
        "axis": {"title": None, "values": {"expr": f"{ticks}"}, "labelFlush": True, "labelExpr": label},
    }


def _step(seconds: float, most: int) -> int:
    """The shortest step, in seconds, with at most so many of them in the time; beyond the longest, a multiple of it."""
    longest = _STEPS_SECONDS[-1]
    return next(
        (each for each in _STEPS_SECONDS if seconds / each <= most),
        longest * -(-int(seconds) // (longest * most)),
    )
