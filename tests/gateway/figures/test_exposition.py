"""The runner part of a scrape, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobmeter.gateway.figures.dialects import DIALECTS
from jobmeter.gateway.figures.events import Declared, StageChanged, StepChanged, TaskBegan, TaskEnded
from jobmeter.gateway.figures.words import MAX_CHARACTERS
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from tests.conftest import Golden
from tests.exporter.reading import read
from tests.gateway.figures.told import AT, LARGE, Someone, Told, a_working_day, series

HOSTILE = 'a "b"\\ \n\r\t\udcff é{}' + "x" * 10240


def heads(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("# ")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_runners(dialect: str, golden: Golden) -> None:
    """Every family of a dialect, of runners of two forges."""
    golden(f"gateway/{dialect}.text", a_working_day(dialect).text())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_runner(dialect: str, golden: Golden) -> None:
    """As a program for that runner alone would show it."""
    name = "t3stT0ke" if dialect == "ci_runner" else "large-1"
    golden(f"gateway/{dialect}-one.text", a_working_day(dialect).text(name))


def test_the_runner_is_all_that_the_whole_page_adds() -> None:
    """The label apart, both pages say the same of a runner in the names of Gitea's."""
    told = a_working_day("act_runner")
    whole = [one for one in read(told.text()) if one.labels.pop("runner") == "large-1"]
    assert whole == list(read(told.text("large-1")))


def test_both_prefixes_of_giteas_runner() -> None:
    """Release 1.0 has changed nothing else."""
    ours, renamed = (a_working_day(f"{name}_runner").text() for name in ("act", "gitea"))
    assert renamed == ours.replace("act_runner_", "gitea_runner_")


def test_bounds_are_written_as_in_go() -> None:
    """A query for `le="1"` finds it."""
    page = a_working_day("act_runner").text("large-1")
    bounds = [
        one.labels["le"] for one in read(page) if one.name == "act_runner_poll_fetch_duration_seconds_bucket"
    ]
    assert bounds == ["0.01", "0.05", "0.1", "0.25", "0.5", "1", "2", "5", "10", "+Inf"]


def test_several_dialects_together() -> None:
    """No name is in two of them; who names one twice means it once."""
    page = a_working_day(*DIALECTS, "ci_runner").text()
    assert len(set(heads(page))) == len(heads(page))
    assert series(page) == {
        line: value for dialect in DIALECTS for line, value in a_working_day(dialect).all().items()
    }


@pytest.mark.parametrize("dialects", [("jobmeter", "cadvisor"), ("",)])
def test_an_unknown_dialect(dialects: tuple[str, ...]) -> None:
    """The message says which there are."""
    with pytest.raises(UsageError, match="there are jobmeter, act_runner, gitea_runner, ci_runner, ephemerd"):
        Told(*dialects)


def test_a_runner_that_there_is_not() -> None:
    """It has no page."""
    assert a_working_day().exposition.families_of("other") is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_runner(dialect: str) -> None:
    """A page can be scraped before any of them asks."""
    assert all(value in (0, 1) for value in Told(dialect).all().values())


@settings(max_examples=30)
@given(st.text(max_size=9), st.text(max_size=9))
@example(HOSTILE, HOSTILE)
def test_text_of_others(some: str, more: str) -> None:
    """Whatever a runner or a job is called, the page is one that can be read, and its labels are bounded."""
    told = Told(*DIALECTS)
    job = Job(forge=some, repository=some, workflow=more, job=some, run_id=more, ref=some, event=more)
    for number in ("1", "2"):
        someone = Someone(number + some, more)
        told.tell(
            Declared(some, more, (some, more), 1), TaskBegan(some, AT, job), StepChanged(some, 0, more, 1.0),
            StageChanged(some, more, some, more), TaskEnded(more, "failure", 1.0, some), of=someone,
        )  # fmt: skip
    found = list(read(told.text()))
    keys = [one.key for one in found]
    assert len(set(keys)) == len(keys)
    for one in found:
        assert all(len(value) <= MAX_CHARACTERS and "\n" not in value for value in one.labels.values())
    assert {one.labels.get("stage", "") for one in found} == {""}
    for name in told.runners.shown():
        told.of(name)


def test_what_is_known_is_not_changed_by_a_scrape() -> None:
    """Two in a row are the same."""
    told = a_working_day(*DIALECTS)
    assert told.text() == told.text()
    assert told.text(LARGE.name) == told.text(LARGE.name)
