"""The page about sizing is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.model.sizing import outliers
from jobmeter.model.sizing.figure import (
    CONFIDENT_RUNS,
    KILL_FACTOR,
    LEARNING_FACTOR,
    LEAST_CPU_CORES,
    LEAST_MEMORY_BYTES,
)
from jobmeter.model.sizing.observation import NEAR_LIMIT
from jobmeter.model.sizing.parameters import CPU_PERCENTILES, MAX_BUFFER_PERCENT, MAX_RUNS, Parameters
from jobmeter.model.sizing.sketch import RELATIVE_ERROR
from tests.conftest import GOLDEN

PAGE = (Path(__file__).parents[2] / "docs/sizing.md").read_text()
WORDS = " ".join(PAGE.split())


def test_the_example_is_what_the_command_says() -> None:
    """It is the golden file's, not one made up."""
    assert f"```text\n{(GOLDEN / 'report/sizing-confident.txt').read_text()}```" in PAGE


@pytest.mark.parametrize(
    "row",
    [
        f"| `runs` | {Parameters().runs} | 1 to {MAX_RUNS} |",
        f"| `buffer` | {Parameters().buffer_percent:g} | 0 to {MAX_BUFFER_PERCENT} |",
        f"| `cpu_percentile` | {Parameters().cpu_percentile} | {', '.join(CPU_PERCENTILES)} |",
    ],
)
def test_parameters_are_those_of_the_code(row: str) -> None:
    """Defaults and bounds."""
    assert row in PAGE


def test_factors_are_those_of_the_code() -> None:
    """What the page says in words."""
    assert (CONFIDENT_RUNS, LEARNING_FACTOR, KILL_FACTOR) == (3, 3.0, 2.0)
    assert f"held {NEAR_LIMIT:.0%}".replace("%", " %") in WORDS
    assert f"wrong by {RELATIVE_ERROR:.0%}".replace("%", " %") in WORDS
    assert f"| {LEAST_MEMORY_BYTES // 2**20} MiB |" in PAGE
    assert f"0.05 | {LEAST_CPU_CORES} |" in PAGE
    assert (
        f"{Parameters().default_memory_bytes // 2**30} GiB and {Parameters().default_cpu_cores} cores"
        in WORDS
    )
    assert f"{outliers._MARK} times the scaled median absolute deviation" in WORDS
