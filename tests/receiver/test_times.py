"""Times as they are sent and as they are stored."""

from __future__ import annotations

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.receiver.times import milliseconds


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-02-10T10:00:00.123Z", 1770717600123),
        ("2026-02-10t12:00:00.123999999+02:00", 1770717600123),
        ("2026-02-10T10:00:00.123", 1770717600123),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62135596800000),
    ],
)
def test_a_time_is_whole_milliseconds(text: str, expected: int) -> None:
    """In any zone; without one it is UTC."""
    assert milliseconds(text, "since") == expected


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_what_is_no_time_is_refused_with_the_name_of_its_field(text: str) -> None:
    """Also what has a year in UTC that there is not."""
    with pytest.raises(Problem, match=r"^since is .*accepted is a time in RFC 3339") as raised:
        milliseconds(text, "since")
    assert raised.value.status == 400
