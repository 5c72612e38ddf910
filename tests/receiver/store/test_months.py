"""A month is a range of keys."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobmeter.receiver.store.months import LATE, Month, month_of


def uid_at(moment: datetime, rest: str = "7abc-8def-0123456789ab") -> str:
    """A UUIDv7 of this time."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-{rest}"


@pytest.mark.parametrize("year, month", [(2026, 11), (2026, 12), (2027, 1), (2039, 8)])
@pytest.mark.parametrize("rest", ["7000-8000-000000000000", "7fff-bfff-ffffffffffff"])
def test_a_key_lies_in_its_month(year, month, rest):
    """From the first millisecond to the last."""
    here = Month(year, month)
    first = uid_at(datetime(year, month, 1, tzinfo=UTC), rest)
    last = uid_at(datetime(year, month, 28, 23, 59, 59, 999000, tzinfo=UTC), rest)
    assert here.before().first_uid < here.first_uid < first < last < here.after().first_uid < LATE


def test_months_follow_one_another():
    """Over the end of a year, and back."""
    month = month_of(int(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp() * 1000))
    names = [month.name]
    for _ in range(3):
        month = month.after()
        names.append(month.name)
    assert names == ["2026_11", "2026_12", "2027_01", "2027_02"]
    assert month.before().before() == Month(2026, 12)
