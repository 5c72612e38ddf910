from __future__ import annotations

import re
import subprocess
import sys

import pytest
from msgspec.structs import replace

from jobmeter.model.exits import Exit
from jobmeter.report.terminal import render_terminal
from tests.report.examples import EXAMPLES, brief, make_build, sidecar


@pytest.mark.parametrize("name", EXAMPLES)
def test_report_in_80_columns(golden, name: str) -> None:
    """The whole report of each example."""
    golden(f"report/{name}.txt", render_terminal(*EXAMPLES[name]()))


def test_report_in_100_columns_and_in_colour(golden) -> None:
    """A wider terminal gets a wider timeline; colours are those of the terminal's own theme."""
    golden("report/sidecar-100-colour.txt", render_terminal(*sidecar(), width=100, colour=True))


def test_colour_changes_no_text() -> None:
    """Without its escape sequences the coloured report is the plain one."""
    coloured = render_terminal(*make_build(), colour=True)

    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_terminal(*make_build())


def test_a_run_of_milliseconds_gets_a_few_lines() -> None:
    """There is nothing to tell of a run without samples but its verdict."""
    assert render_terminal(*brief()).count("\n") == 3


def test_a_kill_for_want_of_memory_after_milliseconds_has_its_numbers() -> None:
    """How much it had is the question then."""
    summary, timeline = brief()

    told = render_terminal(replace(summary, exit=Exit(reason="oom", signal="SIGKILL")), timeline)

    assert "memory peaks" in told
    assert "1.86 MiB" in told


def test_without_a_timeline_the_rest_is_shown() -> None:
    """A summary alone is enough for a report."""
    text = render_terminal(make_build()[0], None)

    assert "timeline" not in text
    assert "programs" in text


def test_long_lists_are_cut_and_say_so() -> None:
    """A job of many containers does not flood the log."""
    summary, timeline = sidecar()
    summary.containers *= 5
    summary.warnings = [f"warning {i}" for i in range(30)]

    text = render_terminal(summary, timeline)

    assert "… and 7 containers more" in text
    assert "… and 20 warnings more" in text


def test_a_terminal_report_loads_no_library() -> None:
    """`run` may add few milliseconds to a command: neither rich nor vl-convert is imported for its report."""
    code = (
        "import sys; sys.path[:] = sys.argv[1:]; import jobmeter.model.summary; before = set(sys.modules);"
        "import jobmeter.report.terminal; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *sys.path], capture_output=True, text=True, check=True, timeout=60
    )

    assert {name.split(".")[0] for name in done.stdout.split()} <= {"jobmeter", "unicodedata"}
