"""The page about sizing is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobmeter.config.size import SIZE_OPTIONS
from jobmeter.model.sizing import outliers, payload
from jobmeter.model.sizing.figure import (
    CONFIDENT_RUNS,
    KILL_FACTOR,
    LEARNING_FACTOR,
    LEAST_CPU_CORES,
    LEAST_MEMORY_BYTES,
)
from jobmeter.model.sizing.observation import NEAR_LIMIT
from jobmeter.model.sizing.parameters import (
    CPU_PERCENTILES,
    MAX_BUFFER_PERCENT,
    MAX_DAYS,
    MAX_RUNS,
    Parameters,
)
from jobmeter.model.sizing.period import MAX_APART, MAX_NAMES, SHARED
from jobmeter.model.sizing.sketch import RELATIVE_ERROR
from jobmeter.receiver.api.sizing import MOST_RUNS
from jobmeter.receiver.store.sizing import MAX_BYTES
from jobmeter.receiver.store.usages import MAX_SUMMARY_BYTES
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
        f"| `days` | | 1 to {MAX_DAYS} |",
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


def test_the_flags_of_the_page_exist() -> None:
    """Of size, and of run where the page names it."""
    named = set(re.findall(r"`?(--[a-z][a-z-]*)", PAGE)) - {"--json"}
    assert named - {option.flag for option in SIZE_OPTIONS} == set()
    assert "--patch" in named


def test_how_far_back_it_looks() -> None:
    """The bounds of the receiver."""
    assert f"the newest {MOST_RUNS:,} runs" in WORDS
    assert f"more than {MAX_BYTES // 2**20} MiB together" in WORDS
    assert f"{MAX_NAMES} containers are told apart, and {MAX_APART} of them for each leg" in WORDS
    assert f"one that is called `{SHARED}`" in WORDS
    containers = payload._MAX_CONTAINERS
    assert f"more than {MAX_SUMMARY_BYTES // 2**20} MiB or {containers} containers" in WORDS
