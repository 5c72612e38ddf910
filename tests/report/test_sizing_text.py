from __future__ import annotations

import re

import msgspec
import pytest
import yaml
from hypothesis import given

from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.report.sizing_forms import (
    docker_text,
    gitlab_variables,
    gitlab_yaml,
    kubernetes_yaml,
    sizing_json,
)
from jobmeter.report.sizing_text import render_sizing
from tests.model.sizing.strategies import histories, parameters
from tests.report.sizing_examples import SIZINGS, confident


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


def test_colour_changes_no_text() -> None:
    """Without its escape sequences the coloured advice is the plain one."""
    coloured = render_sizing(confident(), colour=True)

    assert "\x1b[1;32m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_sizing(confident())
