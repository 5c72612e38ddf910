from __future__ import annotations

import re

import pytest

from jobmeter.report.sizing_text import render_sizing
from tests.report.sizing_examples import SIZINGS, confident


@pytest.mark.parametrize("name", SIZINGS)
def test_sizing_in_80_columns(golden, name: str) -> None:
    """What to request and why, of each example."""
    text = render_sizing(SIZINGS[name](), "acme/shop · ci.yml / build")

    golden(f"report/sizing-{name}.txt", text)
    assert all(len(line) <= 80 for line in text.splitlines())


def test_colour_changes_no_text() -> None:
    """Without its escape sequences the coloured advice is the plain one."""
    coloured = render_sizing(confident(), colour=True)

    assert "\x1b[1;32m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_sizing(confident())
