"""The page about budgets is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobmeter.config.check import CHECK_OPTIONS, read_plan
from jobmeter.model.budgets.measures import MEASURES
from jobmeter.model.budgets.plan import DEFAULT_RUNS, MOST_RUNS, Plan
from jobmeter.model.history.levels import LEAST_RUNS
from tests.conftest import GOLDEN

PAGE = (Path(__file__).parents[2] / "docs/budgets.md").read_text()
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
LIMITS = [
    limit.strip("`")
    for row in re.findall(
        r"^\| (`.*?`) \| [^|]*\|$", PAGE.partition("| a limit |")[2].partition("##")[0], re.MULTILINE
    )
    for limit in row.split(", `")
]


def plan_of(text: str, directory: Path) -> Plan:
    path = directory / "budgets.toml"
    path.write_text(text)
    return read_plan(str(path))


@pytest.mark.parametrize("text", FILES)
def test_the_files_of_the_page_are_accepted(text: str, tmp_path: Path) -> None:
    """A reader copies them."""
    assert plan_of(text, tmp_path).default


def test_what_the_large_file_says_of_defaults(tmp_path: Path) -> None:
    """Its general keys are what holds without them, but for the base."""
    plan = plan_of(FILES[1], tmp_path)
    assert (plan.runs, plan.fail, plan.fail_on_unknown) == (Plan().runs, Plan().fail, Plan().fail_on_unknown)
    assert f"{LEAST_RUNS} to {MOST_RUNS}" in FILES[1]
    assert f"runs = {DEFAULT_RUNS}" in FILES[1]


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limits_of_the_page_are_accepted(limit: str, tmp_path: Path) -> None:
    """Each form, for a measure that it fits."""
    key = "duration" if limit.endswith('s"') else "memory"
    plan_of(f"[check.default]\n{key} = {limit}\ncpu_seconds = 1", tmp_path)


def test_there_are_limits_to_try() -> None:
    """The page is read as it is meant."""
    assert len(LIMITS) >= 6


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
def test_every_measure_is_described(measure) -> None:
    """What can be budgeted stands in the table."""
    assert f"| `{measure.key}` |" in PAGE


def test_the_flags_of_the_page_exist() -> None:
    """Of check, and of run where the page names it."""
    named = set(re.findall(r"(--[a-z][a-z-]*)", PAGE)) - {"--json"}
    assert named - {option.flag for option in CHECK_OPTIONS} == set()


def test_the_result_that_is_shown_was_made() -> None:
    """It is the one of the golden file."""
    assert (GOLDEN / "report/check_every_state.txt").read_text() in PAGE
