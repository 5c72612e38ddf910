"""A secret among the arguments of a process is taken out of the list of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TESTS

PROGRAM = """
import sys
from jobmeter.apps.process_list import show_instead
show_instead(sys.argv[2], sys.argv[1])
print(sys.argv[2], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "shown, given, expected",
    [
        ("postgresql://u@h/d", "postgresql://u:hunter2@h/d", "postgresql://u@h/d"),
        ("longer than the secret", "hunter2", "longer"),
        ("*", "hunter2 ü", "*"),
    ],
)
def test_others_read_something_else(shown, given, expected):
    """As long as the secret is; the process itself still has it."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, shown, given, f"--db={given}", "after"],
        env={"PYTHONPATH": str(TESTS.parent / "src"), "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().rstrip("\n") == given
        arguments = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        process.communicate(b"")
    assert arguments[4].rstrip() == expected
    assert arguments[5].rstrip() == f"--db={expected}"
    assert arguments[6] == "after"


def test_what_is_no_argument_changes_nothing():
    """As one that came from the environment."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("sys.argv[2], sys.argv[1]", "'nonesuch', 'x'"), "a", "b"],
        env={"PYTHONPATH": str(TESTS.parent / "src")},
        input=b"",
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"b\n"
