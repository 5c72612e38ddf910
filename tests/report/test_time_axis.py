"""Ticks at round times, with room for what stands below them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import vl_convert

from jobmeter.report.time_axis import time_axis

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EVENING = int(datetime(2026, 11, 22, 23, tzinfo=UTC).timestamp() * 1000)
_LABEL_PIXELS = 52


def labels(begin: int, end: int, width: int) -> str:
    """The text of a drawn axis."""
    spec = {
        "width": width,
        "data": {"values": [{"t": begin}, {"t": end}]},
        "mark": "point",
        "encoding": {"x": time_axis(begin, end, width)},
    }
    return vl_convert.vegalite_to_svg(spec)


@pytest.mark.parametrize("width", [294, 984])
@pytest.mark.parametrize(
    "length", [1000, MINUTE, 25 * MINUTE, 2 * HOUR, 26 * HOUR, 3 * DAY, 60 * DAY, 900 * DAY, 9000 * DAY]
)
@pytest.mark.parametrize("begin", [EVENING, EVENING + 59 * MINUTE + 10_500])
def test_labels_have_room(begin: int, length: int, width: int) -> None:
    """However long the time is, and wherever midnight is in it."""
    ticks = json.loads(time_axis(begin, begin + length, width)["axis"]["values"]["expr"])

    assert ticks
    assert all((after - before) / length * width > _LABEL_PIXELS for before, after in pairwise(ticks))
    assert all(begin <= tick <= begin + length for tick in ticks)


@pytest.mark.parametrize(
    "length, told, not_told",
    [
        (2 * HOUR, [">23:00<", ">22 Nov<", ">23:30<", ">00:00<", ">23 Nov<"], [">23:00:00<"]),
        (30_000, [">23:00:00<", ">22 Nov<"], [">23 Nov<"]),
        (9 * DAY, [">23 Nov<", ">1 Dec<"], [">00:00<"]),
    ],
)
def test_the_day_stands_below_the_first_time_and_below_midnight(
    length: int, told: list[str], not_told: list[str]
) -> None:
    """Days alone need no time of day."""
    drawn = labels(EVENING, EVENING + length, 984)

    assert all(each in drawn for each in told)
    assert not any(each in drawn for each in not_told)
