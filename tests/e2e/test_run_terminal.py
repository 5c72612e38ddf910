"""`jobmeter run` at a terminal: the command has it as if nobody metered, and the report fits into it."""

from __future__ import annotations

import re
import signal
import sys
import unicodedata

import pytest

from tests.e2e.support.runs import Jobmeter
from tests.e2e.support.terminal import COLUMNS, Terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

LOOK_AROUND = """
import os, sys
print("terminals", [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)])
print("same group", os.getpgrp() == os.getpgid(os.getppid()) != os.getpid())
print("same session", os.getsid(0) == os.getsid(os.getppid()))
print("foreground", os.tcgetpgrp(0) == os.getpgrp())
print("typed", input())
"""

COUNT_INTERRUPTS = """
import signal, sys
seen = []
signal.signal(signal.SIGINT, lambda *_: (seen.append(1), print("interrupts:", len(seen), flush=True)))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwaitinfo({signal.SIGUSR1})
print("in all:", len(seen), flush=True)
sys.exit(4)
"""
"""Counts Ctrl-C until the wrapper passes SIGUSR1 on, which it does after all that came to it before."""


def cells(line: str) -> int:
    """How many columns a line takes."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in line)
    return len(line) + wide


def test_command_has_the_terminal(jobmeter: Jobmeter) -> None:
    """stdin, stdout and stderr are the terminal; the command is in the wrapper's process group, in the foreground."""
    argv = jobmeter.argv("--quiet", sys.executable, "-c", LOOK_AROUND)
    with Terminal(argv, jobmeter.environment()) as terminal:
        terminal.wait_for("foreground True")
        terminal.type("hello\n")
        code = terminal.wait()

    assert code == 0
    assert "terminals [True, True, True]\nsame group True\nsame session True\n" in terminal.text
    assert terminal.text.endswith("typed hello\n")


def test_ctrl_c_reaches_the_command_once(jobmeter: Jobmeter) -> None:
    """The terminal itself sends SIGINT to the whole process group, so the wrapper does not pass it on."""
    argv = jobmeter.argv("--quiet", sys.executable, "-c", COUNT_INTERRUPTS)
    with Terminal(argv, jobmeter.environment()) as terminal:
        terminal.wait_for("ready")
        for times in range(1, 4):
            terminal.type("\x03")
            terminal.wait_for(f"interrupts: {times}\n")
        terminal.process.send_signal(signal.SIGUSR1)
        code = terminal.wait()

    assert code == 4
    assert terminal.text.endswith("in all: 3\n")


def test_ctrl_c_ends_a_command_that_does_not_handle_it(jobmeter: Jobmeter) -> None:
    """130 comes back, and the report still comes."""
    argv = jobmeter.argv("sh", "-c", "echo ready; exec sleep 1000")
    with Terminal(argv, jobmeter.environment()) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        code = terminal.wait()

    assert code == 130
    assert "killed by SIGINT (exit 130)" in terminal.text
    summary = jobmeter.summary()
    assert summary is not None
    assert (summary.exit.signal, summary.exit.code) == ("SIGINT", 130)


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_report_fits_into_the_terminal(jobmeter: Jobmeter, variables: dict[str, str]) -> None:
    """No line is wider than the 80 columns there are; colours only where they are wanted."""
    mark = f"{sys.executable} -m jobmeter mark 'a section with quite a long name that goes on and on'"
    script = f"{mark}; sleep 0.5; sleep 0.5; : | cat"
    words = ["--interval=50ms", "sh", "-c", script]
    forge = {"GITHUB_REPOSITORY": f"organization/{'long-' * 20}name", "GITHUB_JOB": "build" * 10}
    environment = jobmeter.environment({"TERM": "xterm"} | forge | variables)
    with Terminal(jobmeter.argv(*words), environment) as terminal:
        assert terminal.wait() == 0

    lines = COLOUR.sub("", terminal.text).splitlines()
    assert any("succeeded in" in line for line in lines)
    assert [line for line in lines if cells(line) > COLUMNS] == []
    assert bool(COLOUR.search(terminal.text)) == (not variables)
