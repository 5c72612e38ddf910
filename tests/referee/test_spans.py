"""Steps and parts of a job's time range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.referee.spans import MAX_POINTS, Part, Plan, plan

DAY = 86_400
LENGTHS = st.floats(0, 40 * DAY)


def times(planned: Plan) -> list[int]:
    """Every point that Prometheus answers, in milliseconds."""
    step = round(planned.step_seconds * 1000)
    found: list[int] = []
    for part in planned.parts:
        found += range(round(part.start * 1000), round(part.end * 1000) + 1, step)
    return found


@pytest.mark.parametrize(
    "start, end, interval, planned",
    [
        (100, 160, 10, Plan(10, (Part(100, 160),))),
        (100, 165, 10, Plan(10, (Part(100, 160), Part(165, 165)))),
        (100.5, 121.25, 10, Plan(10, (Part(100.5, 120.5), Part(121.25, 121.25)))),
        (100, 103, 10, Plan(3, (Part(100, 103),))),
        (100, 100.4, 10, Plan(1, (Part(100, 100), Part(100.4, 100.4)))),
        (100, 100, 10, Plan(1, (Part(100, 100),))),
        (100, 90, 10, Plan(1, (Part(100, 100),))),
        (0, DAY, 10, Plan(10, (Part(0, DAY - 10), Part(DAY, DAY)))),
        (0, 7 * DAY, 10, Plan(55, (*(
            Part(day * 1570 * 55, min((day + 1) * 1570 - 1, 10996) * 55) for day in range(8)
        ), Part(7 * DAY, 7 * DAY)))),
    ],
    ids=["whole", "a rest", "milliseconds", "short", "shorter", "0 s", "backwards", "a day", "7 days"],
)  # fmt: skip
def test_a_range_is_asked_with_a_step_that_fits(
    start: float, end: float, interval: float, planned: Plan
) -> None:
    """From its start to its end; a long one in parts of a day at most."""
    assert plan(start, end, interval) == planned


@pytest.mark.parametrize(
    "end, interval, until, slack, max_points, planned",
    [
        (160, 10, 180, 20, 100, Plan(10, (Part(100, 180),))),
        (160, 10, 175, 15, 100, Plan(10, (Part(100, 180),))),
        (160, 10, 175, 4, 100, Plan(10, (Part(100, 170), Part(175, 175)))),
        (220, 60, 235, 15, 100, Plan(60, (Part(100, 220), Part(235, 235)))),
        (103, 10, 118, 15, 100, Plan(3, (Part(100, 118),))),
        (100, 10, 115, 15, 100, Plan(1, (Part(100, 115),))),
        (160, 10, 175, 15, 9, Plan(10, (Part(100, 180),))),
        (160, 10, 175, 15, 8, Plan(11, (Part(100, 177),))),
        (160, 10, 90, 15, 100, Plan(10, (Part(100, 160),))),
    ],
    ids=["on", "later", "too late", "coarse", "short", "0 s", "just fits", "too many", "before its end"],
)  # fmt: skip
def test_a_tail_goes_on_behind_the_end(
    end: float, interval: float, until: float, slack: float, max_points: int, planned: Plan
) -> None:
    """By the same steps, or to a point of its own where the next step were too late; it counts among the points."""
    assert plan(100, end, interval, until=until, slack_seconds=slack, max_points=max_points) == planned


@given(
    st.floats(0, 4e9), LENGTHS, st.floats(0, 120), st.floats(0, 60), st.floats(0.1, 3600),
    st.integers(2, MAX_POINTS), st.floats(60, 2 * DAY),
)  # fmt: skip
def test_no_point_is_asked_twice_or_left_out(
    start: float, length: float, tail: float, slack: float, interval: float, max_points: int, max_range: float
) -> None:
    """All but the last are one step apart over all parts, the last is at the end or after it; not too many."""
    planned = plan(
        start, start + length, interval, until=start + length + tail, slack_seconds=slack,
        max_points=max_points, max_range_seconds=max_range,
    )  # fmt: skip
    found, step = times(planned), round(planned.step_seconds * 1000)
    assert found[:-1] == list(range(found[0], found[-1], step))
    assert found[0] == round(start * 1000)
    assert 0 <= found[-1] - round((start + length + tail) * 1000) <= round(slack * 1000)
    assert len(found) <= max_points
    assert planned.last == pytest.approx(found[-1] / 1000, abs=0.0005)
    for part in planned.parts:
        assert part.end - part.start <= max_range + 0.001


@given(LENGTHS.filter(lambda length: length > 60))
def test_the_step_is_the_interval_where_that_fits(length: float) -> None:
    """It grows only as far as it must."""
    step = plan(0, length, 10).step_seconds
    assert step == 10 if length <= 10 * (MAX_POINTS - 1) else length / (step - 1) >= MAX_POINTS - 1
