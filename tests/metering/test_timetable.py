"""Ticks are due at start + n x interval; lateness is data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.metering.timetable import Due, Timetable


@pytest.mark.parametrize(
    "interval, times, dues, late",
    [
        pytest.param(1.0, [0, 1, 2], [(0, 0), (1, 0), (2, 0)], 0, id="in time"),
        pytest.param(
            1.0, [0, 1.09, 2.0], [(0, 0), (1, 0), (2, 0)], 0, id="a tenth of the interval is not late"
        ),
        pytest.param(
            1.0, [0, 1.2, 2.0], [(0, 0), (1, 0), (2, 0)], 1, id="late, and the next one keeps the timetable"
        ),
        pytest.param(
            1.0, [0, 3.5, 4.0], [(0, 0), (3, 2), (4, 0)], 3, id="missed ticks are skipped and counted"
        ),
        pytest.param(1.0, [0, 4.0, 5.0], [(0, 0), (4, 3), (5, 0)], 3, id="missed, but then in time"),
        pytest.param(0.05, [0, 0.059, 0.1], [(0, 0), (0.05, 0), (0.1, 0)], 0, id="10 ms late is not late"),
        pytest.param(0.05, [0, 0.065, 0.1], [(0, 0), (0.05, 0), (0.1, 0)], 1, id="15 ms late is"),
        pytest.param(1.0, [0, 0.999], [(0, 0), (1, 0)], 0, id="a clock that is early"),
    ],
)
def test_due_times_do_not_drift(interval, times, dues, late) -> None:
    """However late a tick is, the next is due where it always was."""
    table = Timetable(interval)
    found = [table.take(now) for now in times]
    assert found == [Due(pytest.approx(due), missed) for due, missed in dues]  # type: ignore[arg-type]
    assert table.late_ticks == late


def test_a_timetable_may_begin_later() -> None:
    """A restarted collector goes on with the run's elapsed time."""
    table = Timetable(2.0, first_seconds=7.0)
    assert (table.next_due, table.take(7.0).due_seconds, table.next_due) == (7, 7, 9)


@given(st.floats(0.05, 10), st.lists(st.floats(0, 30), max_size=30))
def test_no_tick_is_due_twice_or_in_the_past(interval, steps) -> None:
    """Due times grow, the next one always lies ahead, and every tick is taken or missed."""
    table = Timetable(interval)
    now, last, taken = 0.0, -1.0, 0
    for step in steps:
        now = max(now + step, table.next_due)
        due = table.take(now)
        taken += 1 + due.missed
        assert last < due.due_seconds <= now + 1e-9
        assert table.next_due > now - 1e-9
        assert table.next_due == pytest.approx(taken * interval)
        last = due.due_seconds
