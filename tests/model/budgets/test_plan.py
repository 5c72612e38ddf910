"""Which budgets hold for which job."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobmeter.model.budgets.limits import parse_budget
from jobmeter.model.budgets.measures import BY_KEY
from jobmeter.model.budgets.plan import Budgets, Plan, Rule
from jobmeter.model.job import Job
from tests.model.budgets.runs import JOB


def some(**limits: str) -> Budgets:
    """Budgets by measure; an empty text is none."""
    return {key: (parse_budget(BY_KEY[key], text),) if text else () for key, text in limits.items()}


PLAN = Plan(
    default=some(memory="1Gi", duration="10m"),
    rules=(
        Rule(job="build-*", matrix={"arch": "arm*"}, budgets=some(duration="30m")),
        Rule(job="build-*", budgets=some(memory="4Gi", cpu_seconds="600"), fail=False),
        Rule(workflow="nightly.*", budgets=some(memory="")),
        Rule(job="build-x", budgets=some(memory="9Gi")),
    ),
)


@pytest.mark.parametrize(
    "job, limits, fail",
    [
        (JOB, {"memory": "1Gi", "duration": "10m"}, True),
        (replace(JOB, job="build-x"), {"memory": "4Gi", "duration": "10m", "cpu_seconds": "600"}, False),
        (replace(JOB, job="build-x", matrix={"arch": "arm64"}), {"memory": "1Gi", "duration": "30m"}, True),
        (
            replace(JOB, job="build-x", matrix={"arch": "x86"}),
            {"memory": "4Gi", "duration": "10m", "cpu_seconds": "600"},
            False,
        ),
        (replace(JOB, workflow="nightly.yml"), {"duration": "10m"}, True),
        (Job(), {"memory": "1Gi", "duration": "10m"}, True),
    ],
)
def test_the_first_rule_that_fits_overrides_the_default(job, limits, fail):
    """Measure by measure; an empty one takes the default's away."""
    terms = PLAN.terms(job)
    assert {budget.measure.key: budget.text for budget in terms.budgets} == limits
    assert terms.fail is fail


@pytest.mark.parametrize(
    "pattern, value, fits",
    [
        ("true", True, True),
        ("1*", 12, True),
        ("1.5", 1.5, True),
        ("linux", "Linux", False),
        ("?*", None, False),
    ],
)
def test_values_of_a_matrix_are_compared_as_text(pattern, value, fits):
    """As workflows write them, letter by letter."""
    assert Rule(matrix={"it": pattern}).fits(Job(matrix={"it": value})) is fits


def test_a_value_that_the_matrix_lacks_fits_no_pattern_for_something():
    """Only one that fits an empty text."""
    assert not Rule(matrix={"it": "a*"}).fits(Job())
    assert Rule(matrix={"it": "*"}).fits(Job())
