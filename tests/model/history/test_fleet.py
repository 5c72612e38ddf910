"""What runs cost together."""

from __future__ import annotations

import pytest

from jobmeter.model.history.digest import Waste
from jobmeter.model.history.fleet import Account, priced, together
from jobmeter.model.prices import CORE_HOUR, GIB_HOUR, Price

PRICE = Price(core_hour=1.0, gib_hour=0.1)
TOLD = Account(
    runs=4,
    core_seconds=3 * CORE_HOUR,
    byte_seconds=7 * GIB_HOUR,
    cpu=Waste(runs=3, reserved=8 * CORE_HOUR, used=2 * CORE_HOUR, unused=6 * CORE_HOUR),
    memory=Waste(runs=3, reserved=20 * GIB_HOUR, used=5 * GIB_HOUR, unused=15 * GIB_HOUR, partial=1),
)


def test_a_cost_is_of_what_was_reserved_and_used_where_nothing_was() -> None:
    """8 cores reserved and 1 used beside them; 20 GiB reserved and 2 used beside them."""
    found = priced(TOLD, PRICE)

    assert found.cost == pytest.approx(9 + 2.2)
    assert found.wasted_cost == pytest.approx(6 + 1.5)


def test_what_is_used_beyond_its_reservation_makes_no_waste_less() -> None:
    """Neither of the other resource, nor of another run."""
    burst = Account(cpu=Waste(reserved=CORE_HOUR, used=9 * CORE_HOUR, unused=0.0))

    assert priced(together([burst, TOLD]), PRICE).wasted_cost == pytest.approx(6 + 1.5)


def test_what_nobody_tells_is_no_waste_of_nothing() -> None:
    """It is not known."""
    found = priced(Account(runs=1, core_seconds=CORE_HOUR), PRICE)

    assert (found.cost, found.wasted_cost) == (1.0, None)


def test_a_sum_over_what_was_read_in_part_is_a_lower_bound() -> None:
    """Of CPU, of memory, and of containers that are not in it."""
    found = together([TOLD, Account(core_lower_bounds=2), Account(byte_lower_bounds=3)])

    assert (found.core_lower_bounds, found.byte_lower_bounds, found.memory.partial) == (2, 3, 1)
    told = Account(core_lower_bounds=1), Account(byte_lower_bounds=1), TOLD, Account(runs=1)
    assert [each.is_lower_bound for each in told] == [True, True, True, False]


def test_runs_add_up_and_what_none_tells_stays_unknown() -> None:
    """Null is not nothing."""
    found = together([TOLD, TOLD, Account(runs=1)])

    assert (found.runs, found.cpu.runs, found.cpu.reserved) == (9, 6, 16 * CORE_HOUR)
    assert (found.duration_seconds, found.cost) == (None, None)
    assert together([]) == Account()


def test_without_prices_memory_is_weighed_as_cpu() -> None:
    """Four GiB-hours are one core-hour."""
    assert TOLD.wasted_weight == pytest.approx(6 + 15 / 4)
