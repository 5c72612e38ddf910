"""Limits: fixed, or relative to the base branch."""

from __future__ import annotations

import pytest

from jobmeter.model.budgets.limits import parse_budget
from jobmeter.model.budgets.measures import BY_KEY
from jobmeter.model.errors import UsageError
from tests.model.budgets.runs import GIB, MIB


@pytest.mark.parametrize(
    "key, text, median, allowed",
    [
        ("memory", "2 GiB", None, 2 * GIB),
        ("memory", "2 GiB", 5 * GIB, 2 * GIB),
        ("memory", "+256 MiB", GIB, GIB + 256 * MIB),
        ("cpu_seconds", "+15 %", 100.0, 115.0),
        ("cpu_seconds", "+ 2.5%", 200.0, 205.0),
        ("cpu_seconds", "+30", 200.0, 230.0),
        ("duration", "+0 %", 60.0, 60.0),
        ("duration", "+30s", 60.0, 90.0),
        ("duration", "+10 %", None, None),
    ],
)
def test_what_a_limit_allows(key, text, median, allowed):
    """A relative one hangs on the median, which may not be known."""
    budget = parse_budget(BY_KEY[key], text)
    assert budget.allowed(median) == allowed
    assert (budget.text, budget.is_relative) == (text, text.startswith("+"))


@pytest.mark.parametrize(
    "text, strict, sentence",
    [
        ("10 %", False, r"'10 %' has no \+"),
        ("-10 %", False, r"'-10 %' has no \+"),
        ("-2 GiB", False, "below nothing"),
        ("+ten %", False, "is no share"),
        ("+10 % more", False, "is no share"),
        ("+", False, "not a memory quantity"),
        ("+9999999 %", False, "too much"),
        ("2 GiB", True, "strict is for limits that are relative"),
        ("much", False, "'much' is not a memory quantity; accepted are"),
    ],
)
def test_what_is_no_limit_is_one_sentence(text, strict, sentence):
    """It says what is accepted instead."""
    with pytest.raises(UsageError, match=sentence):
        parse_budget(BY_KEY["memory"], text, strict=strict)
