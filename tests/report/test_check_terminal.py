"""The result of a check in a terminal, and the words that all forms share."""

from __future__ import annotations

import pytest

from jobmeter.model.budgets.judgement import Base, Judgement, judge
from jobmeter.model.budgets.plan import Terms
from jobmeter.model.history.usual import Known
from jobmeter.report.check_terminal import render_check
from jobmeter.report.check_words import headline, sentence
from jobmeter.report.text import cells
from tests.conftest import Golden
from tests.model.budgets.runs import run_of
from tests.report.check_examples import EXAMPLES, budgets, evil


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_printed(name: str, golden: Golden) -> None:
    """In 80 columns, with a sentence for each budget that is not plainly kept."""
    golden(f"report/check_{name}.txt", render_check(EXAMPLES[name]))


@pytest.mark.parametrize("judgement", [*EXAMPLES.values(), evil()], ids=[*EXAMPLES, "evil"])
@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_lines_fit_and_carry_no_control_characters(judgement: Judgement, width: int) -> None:
    """Whatever jobs and branches are called."""
    for line in render_check(judgement, width=width).splitlines():
        assert cells(line) <= width
        assert line.isprintable()


def test_colours_are_for_terminals_alone() -> None:
    """A breach is red, what is kept is green."""
    assert "\x1b" not in render_check(EXAMPLES["every_state"])
    coloured = render_check(EXAMPLES["every_state"], colour=True)
    assert "\x1b[1;31mjobmeter check: over budget" in coloured
    assert "\x1b[1;32mjobmeter check: within 2 budgets" in render_check(EXAMPLES["kept"], colour=True)
    assert "\x1b[33mjobmeter check: over budget" in render_check(EXAMPLES["reported"], colour=True)


@pytest.mark.parametrize(
    "name, text",
    [
        ("every_state", "over budget: peak memory need, duration; 1 budget not known"),
        ("reported", "over budget: peak memory need, duration; 1 budget not known; reported only"),
        ("kept", "within 2 budgets"),
        ("lower_bounds", "over budget: CPU time; 2 budgets not known"),
        ("strict", "over budget: CPU time"),
        ("nothing", "no budget is about this job"),
    ],
)
def test_the_headline_leaves_nothing_out(name: str, text: str) -> None:
    """What is not known least of all."""
    assert headline(EXAMPLES[name]) == text


def test_a_budget_that_is_kept_has_its_sentence_too() -> None:
    """For reports that have a text for each case."""
    kept = EXAMPLES["kept"]
    assert [sentence(finding, kept) for finding in kept.findings] == [
        "peak memory need of 300 MiB (build) is within 2 GiB",
        "CPU time of 1 m 30 s is within 1 m 34 s (+10 %), +5.0 % against the median, within the spread of "
        "main's 20 runs (1 m 18 s to 1 m 35 s)",
    ]


def test_the_change_since_which_runs_count_is_said() -> None:
    """Who reads of 10 runs learns why it is not 30."""
    base = Base(ref="refs/heads/main", runs=30, known={"cpu_seconds": Known([40.0] * 20 + [90.0] * 10)})
    found = judge(run_of(), Terms(budgets(("cpu_seconds", "+10 %")), True), base)
    (said,) = (sentence(finding, found) for finding in found.findings)
    assert said == (
        "CPU time of 1 m 30 s is within 1 m 39 s (+10 %), ±0 % against the median, within the spread of "
        "main's 10 runs since the change from 40.0 s (1 m 30 s to 1 m 30 s)"
    )
