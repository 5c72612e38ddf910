"""What devices counted stays when they go, and goes on when they come again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux.device_totals import MAX_GONE, DeviceTotals
from jobmeter.model.account import DeviceCount

Counts = tuple[tuple[str, int, int], ...]
READINGS: dict[str, tuple[tuple[Counts, ...], tuple[int, int] | None, Counts]] = {
    "none": (((), ()), None, ()),
    "as it is": (((("8:0", 1, 2), ("7:0", 3, 4)),), (4, 6), (("8:0", 1, 2), ("7:0", 3, 4))),
    "grown": (((("8:0", 1, 2),), (("8:0", 5, 2),)), (5, 2), (("8:0", 5, 2),)),
    "gone": (((("8:0", 1, 2), ("7:0", 3, 4)), (("8:0", 1, 3),)), (4, 7), (("7:0", 3, 4), ("8:0", 1, 3))),
    "come again": (((("7:0", 3, 4),), (), (("7:0", 1, 0),)), (4, 4), (("7:0", 4, 4),)),
    "begun anew": (((("7:0", 3, 4),), (("7:0", 9, 1),)), (12, 5), (("7:0", 12, 5),)),
    "all gone": (((("7:0", 3, 4),), (), ()), (3, 4), (("7:0", 3, 4),)),
}


@pytest.mark.parametrize("case", READINGS)
def test_totals(case: str) -> None:
    """Of all devices together, and of each."""
    readings, sums, each = READINGS[case]
    totals = DeviceTotals()
    for counts in readings:
        totals.add(DeviceCount(*one) for one in counts)
    assert (totals.sums, totals.each) == (sums, tuple(DeviceCount(*one) for one in each))


def test_those_that_are_gone_are_bounded() -> None:
    """What the others counted is in the sums; those that are there are all told, however many."""
    totals = DeviceTotals()
    there = [DeviceCount(f"8:{number}", 1, 1) for number in range(2 * MAX_GONE)]
    totals.add(there)
    assert len(totals.each) == 2 * MAX_GONE
    for number in range(2 * MAX_GONE):
        totals.add([*there[:1], DeviceCount(f"7:{number}", 1, 2)])
    assert len(totals.each) == MAX_GONE + 2
    assert {"8:0", f"7:{2 * MAX_GONE - 1}"} < {one.device for one in totals.each}
    assert totals.sums == (4 * MAX_GONE, 6 * MAX_GONE)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.tuples(*[st.integers(0, 9)] * 2))))
def test_sums_never_fall(readings: list[dict[str, tuple[int, int]]]) -> None:
    """Whatever comes and goes."""
    totals, shown = DeviceTotals(), [(0, 0)]
    for counts in readings:
        totals.add(DeviceCount(device, *count) for device, count in counts.items())
        shown.append(totals.sums or (0, 0))
    for kind in zip(*shown, strict=True):
        assert list(kind) == sorted(kind)
    each = totals.each
    assert shown[-1] == (sum(one.read for one in each), sum(one.written for one in each))
