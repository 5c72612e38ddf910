from __future__ import annotations

import re

import msgspec
import pytest
import yaml
from hypothesis import given
from msgspec.structs import replace

from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.answer import Advice, Backtest, Outlier
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.report.sizing_forms import (
    docker_text,
    gitlab_variables,
    gitlab_yaml,
    kubernetes_yaml,
    sizing_json,
)
from jobmeter.report.sizing_text import render_sizing, rule, saved, whose
from tests.model.sizing.strategies import histories, parameters
from tests.report.sizing_examples import SIZINGS, confident, pod


@pytest.mark.parametrize("name", SIZINGS)
def test_sizing_in_80_columns(golden, name: str) -> None:
    """What to request and why, of each example."""
    text = render_sizing(SIZINGS[name](), "acme/shop · ci.yml / build")

    golden(f"report/sizing-{name}.txt", text)
    assert all(len(line) <= 80 for line in text.splitlines())


@given(histories, parameters)
def test_any_advice_can_be_shown(runs: list[Observation], chosen: Parameters) -> None:
    """In 40 columns and in every form, whatever is missing."""
    advice = answer(runs, chosen)

    assert all(len(line) <= 40 for line in render_sizing(advice, "a job", width=40).splitlines())
    assert msgspec.json.decode(sizing_json(advice), type=Advice) == advice
    assert len(yaml.safe_load(kubernetes_yaml(advice))["containers"]) == len(advice.containers)
    assert docker_text(advice).count("\n") == 1 + 2 * len(advice.containers)
    assert set(yaml.safe_load(gitlab_yaml(advice))["variables"] or {}) == set(gitlab_variables(advice))


def read_in_part() -> Advice:
    """Of two containers, of which one could be read in some runs only."""
    runs = pod()
    build, base = runs[20].containers
    runs[20] = replace(runs[20], containers=(build, replace(base, memory_need_bytes=None)))
    return answer(runs)


def test_a_request_that_not_all_runs_tell_is_said_to_be_the_least() -> None:
    """In the first line, and beside the container; of one that is not in the total it says nothing there."""
    partial = read_in_part()
    apart = replace(partial, evidence=tuple(replace(each, in_total=False) for each in partial.evidence))

    assert render_sizing(partial).startswith("sizing: request at least 2.41 GiB and 2.19 cores (")
    assert "postgres: Its memory could not be read in 1 of 20 runs: request at least" in render_sizing(
        partial
    )
    assert render_sizing(apart).startswith("sizing: request 2.41 GiB")
    assert "at least" not in render_sizing(answer(pod()))


@pytest.mark.parametrize(
    "of_build, of_postgres, said",
    [
        ("a", "a", "memory: a; CPU: c"),
        ("a", "b", "memory of build: a; memory of postgres: b; CPU: c"),
        ("a", "", "memory: a; CPU: c"),
        ("", "", "CPU: c"),
    ],
)
def test_how_names_containers_where_they_differ(of_build: str, of_postgres: str, said: str) -> None:
    """One rule of all is said once; what is not told is not said."""
    advice = answer(pod())
    build, postgres = (replace(each, cpu_rule="c") for each in advice.evidence)
    rules = (replace(build, memory_rule=of_build), replace(postgres, memory_rule=of_postgres))

    assert rule(replace(advice, evidence=rules)) == said


GIB_HOUR = 2**30 * 3600


@pytest.mark.parametrize(
    "byte_seconds, core_seconds, said",
    [
        (14.3 * GIB_HOUR, -3.83 * 3600, "14.3 GiB-hours less memory and 3.83 core-hours more CPU"),
        (0.1 * GIB_HOUR, 360.0, "0.1 GiB-hours less memory and 0.1 core-hours less CPU"),
        (-0.02 * GIB_HOUR, 359.0, "20.5 MiB-hours more memory and 359 core-seconds less CPU"),
        (-0.000511 * GIB_HOUR, None, "1,884 MiB-seconds more memory"),
        (0.0, 0.0, "0 MiB-seconds less memory and 0 core-seconds less CPU"),
    ],
)
def test_what_was_asked_for_is_told_in_a_fitting_unit(
    byte_seconds: float, core_seconds: float | None, said: str
) -> None:
    """And said to be of the runs looked at, not of the advice of now."""
    backtest = Backtest(
        runs=12,
        would_be_killed=0,
        would_be_throttled=0,
        saved_memory_byte_seconds=byte_seconds,
        saved_core_seconds=core_seconds,
    )

    assert saved(backtest) == (
        f"over these 12 runs the advice of their time asked for {said} than is requested today"
    )


@pytest.mark.parametrize(
    "ref, end_time, said",
    [
        ("refs/heads/wip\x1b[1m", "2026-11-21T12:00:05.000Z", " of wip"),
        (None, "2026-11-21T12:00:05.000Z", ", 2026-11-21 12:00:05 UTC"),
        ("refs/pull/7/head", None, " of pull/7/head"),
        (None, None, ""),
    ],
)
def test_an_outlier_names_its_branch_and_time(ref: str | None, end_time: str | None, said: str) -> None:
    """As far as they are known; without what a terminal would obey."""
    outlier = Outlier("uid", "build", "memory", 2, 1, ref, end_time)

    assert whose(outlier).startswith(said)
    assert (said != "") == bool(whose(outlier))
    assert "\x1b" not in whose(outlier)


def test_colour_changes_no_text() -> None:
    """Without its escape sequences the coloured advice is the plain one."""
    coloured = render_sizing(confident(), colour=True)

    assert "\x1b[1;32m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_sizing(confident())
