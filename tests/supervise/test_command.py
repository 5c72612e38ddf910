"""Starting the command so that it notices nothing, and reaping it with its account."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

LAUNCHER = str(Path(__file__).parent / "launcher.py")
SOURCE = str(Path(__file__).parents[2] / "src")
LIBC_SIGNALS = 0b11 << 31
"""Signals 32 and 33 are the C library's own: no program can change what it inherited of them."""


class Launched:
    """The launcher as a process, and what it reports line by line."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str] | None = None, **options: Any) -> None:
        reading, writing = os.pipe()
        environ = {**os.environ, "PYTHONPATH": SOURCE, "REPORT_FD": str(writing), **(environ or {})}
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, *argv],
            env=environ,
            pass_fds=[writing],
            stdout=subprocess.PIPE,
            **options,
        )
        os.close(writing)
        self._file = open(reading)  # noqa: SIM115
        self._command: int | None = None

    def line(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.readline())
        self._command = found.get("pid")
        return found

    def rest(self) -> dict[str, Any]:
        """What else was said, as one; reaped children of all lines."""
        found: dict[str, Any] = {"reaped": []}
        for text in self._file:
            line = json.loads(text)
            found["reaped"] += line.pop("reaped", [])
            found |= line
        return found

    def close(self) -> bytes:
        output, _ = self.process.communicate(timeout=20)
        self._file.close()
        return bytes(output or b"")

    def kill(self) -> None:
        """End the launcher and what it started."""
        self.process.kill()
        if self._command is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._command, signal.SIGKILL)


@contextlib.contextmanager
def launched(argv: Sequence[str], **options: Any) -> Iterator[Launched]:
    found = Launched(argv, **options)
    try:
        yield found
    finally:
        found.kill()
        found.close()


def output_of(argv: Sequence[str], **options: Any) -> bytes:
    found = Launched(argv, **options)
    found.rest()
    return found.close()


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


@pytest.mark.parametrize(
    "make, error, exit_code, reason",
    [
        (lambda folder: str(folder / "none"), "CommandNotFound", 127, "was not found"),
        (lambda folder: "no-such-command-anywhere", "CommandNotFound", 127, "was not found"),
        (str, "CommandNotExecutable", 126, "Permission denied"),
        (
            lambda folder: _file(folder / "plain", b"#!/bin/sh\n", 0o644),
            "CommandNotExecutable",
            126,
            "Permission denied",
        ),
        (lambda folder: _file(folder / "plain", b"", 0o644) + "/x", "CommandNotFound", 127, "was not found"),
        (
            lambda folder: _file(folder / "lost", b"#!/nowhere/sh\n", 0o755),
            "CommandNotFound",
            127,
            "was not found",
        ),
    ],
)
def test_a_command_that_cannot_be_started(tmp_path: Path, make, error, exit_code, reason) -> None:
    """126 and 127 as in timeout(1), with one sentence that names the command."""
    name = make(tmp_path)
    with launched([name]) as found:
        said = found.line()
    assert (said["error"], said["exit_code"]) == (error, exit_code)
    assert repr(name) in said["text"]
    assert reason in said["text"]


def _file(path: Path, text: bytes, mode: int) -> str:
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    "argv, status",
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3 << 8),
        (["sh", "-c", "kill -9 $$"], 9),
        (["sh", "-c", "kill -TERM $$"], 15),
    ],
)
def test_the_wait_status_comes_back(argv, status) -> None:
    """The command's own end, however it was."""
    with launched(argv) as found:
        pid = found.line()["pid"]
        reaped = {one[0]: one[1] for one in found.rest()["reaped"]}
    assert reaped[pid] == status


def test_a_script_without_an_interpreter_is_the_shells(tmp_path: Path) -> None:
    """As execvp(3) and every shell have it."""
    script = _file(tmp_path / "script", b"echo $0 $1\n", 0o755)
    assert output_of([script, "argument"]).decode() == f"{script} argument\n"


def test_the_command_finds_what_the_wrapper_found() -> None:
    """Descriptor limit, signal dispositions and mask, process group and environment are as before."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    text = output_of(
        ["cat", "/proc/self/status", "/proc/self/limits", "/proc/self/stat", "/proc/self/environ"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (123, hard)),
        environ={"KEPT": "as it was"},
    ).decode()
    masks = dict(re.findall(r"^(Sig\w+):\t(\w+)$", text, re.MULTILINE))
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) & ~LIBC_SIGNALS == 0, (
        "SIGPIPE and SIGXFSZ, which Python ignores, must be as they were"
    )
    assert re.search(r"Max open files +123 ", text)
    assert re.search(r"\(cat\) R \d+ (\d+) ", text)[1] == str(os.getpgrp())  # type: ignore[index]
    assert "KEPT=as it was" in text


def test_a_limit_that_is_raised_for_the_meter_is_not_the_jobs() -> None:
    """The wrapper itself has the hard limit meanwhile."""
    with launched(
        ["sleep", "60"], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 500))
    ) as found:
        child = found.line()["pid"]
        assert resource.prlimit(found.process.pid, resource.RLIMIT_NOFILE) == (500, 500)
        assert resource.prlimit(child, resource.RLIMIT_NOFILE) == (99, 500)


@pytest.mark.parametrize("signum", [signal.SIGCHLD, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(signum: signal.Signals) -> None:
    """As after nohup(1), and SIGCHLD although the wrapper itself must not ignore it."""
    text = output_of(["cat", "/proc/self/status"], preexec_fn=lambda: signal.signal(signum, signal.SIG_IGN))
    ignored = int(re.findall(rb"SigIgn:\t(\w+)", text)[0], 16)
    assert ignored & ~LIBC_SIGNALS == 1 << signum - 1


def test_a_blocked_signal_stays_blocked() -> None:
    """The mask is the one that the wrapper was started with."""
    text = output_of(
        ["cat", "/proc/self/status"],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
    )
    blocked = int(re.findall(rb"SigBlk:\t(\w+)", text)[0], 16)
    assert blocked == 1 << signal.SIGUSR1 - 1


def test_no_descriptor_of_ours_is_inherited() -> None:
    """Neither the report of the start nor the queue of signals."""
    found = output_of(["ls", "/proc/self/fd"]).split()
    # Standard streams, what the test itself passes on, and that of ls.
    assert len(found) <= 5


def test_a_cgroup_that_cannot_be_entered_is_told_and_the_command_runs() -> None:
    """It is metered from /proc instead."""
    with launched(["--enter=fail", "true"]) as found:
        assert found.line()["entered"] is False
        assert found.rest()["reaped"][0][1] == 0
    with launched(["true"]) as found:
        assert found.line()["entered"] is True


def test_orphans_come_to_the_wrapper() -> None:
    """A daemon whose parents have exited is reaped by the wrapper, with its account."""
    with launched(["sh", "-c", "(sleep 0.2 &) ; exec sleep 0.6"]) as found:
        command = found.line()["pid"]
        reaped = [one[0] for one in found.rest()["reaped"]]
    assert command in reaped
    assert len(reaped) == 2


def test_memory_between_two_ticks_is_in_the_account() -> None:
    """The largest resident set of a child, unless it is not above the wrapper's own at the fork."""
    with launched(python("x = bytearray(80 << 20)")) as found:
        pid = found.line()["pid"]
        peaks = {one[0]: one[2] for one in found.rest()["reaped"]}
    assert peaks[pid] == pytest.approx(88 << 20, rel=0.1)
    with launched(["true"]) as found:
        pid = found.line()["pid"]
        peaks = {one[0]: one[2] for one in found.rest()["reaped"]}
    assert peaks[pid] is None


TELLS = "trap 'echo got TERM; exit 5' TERM; trap 'echo got INT; exit 6' INT; echo ready; while :; do sleep 0.02; done"


def _wait_for(found: Launched, text: bytes) -> None:
    assert found.process.stdout is not None
    assert found.process.stdout.readline().strip() == text


@pytest.mark.parametrize("signum, status", [(signal.SIGTERM, 5 << 8), (signal.SIGINT, 6 << 8)])
def test_a_signal_to_the_wrapper_reaches_the_command(signum: signal.Signals, status: int) -> None:
    """Sent by another process to the wrapper alone, so the command has not got it yet."""
    with launched(["sh", "-c", TELLS], start_new_session=True) as found:
        pid = found.line()["pid"]
        _wait_for(found, b"ready")
        os.kill(found.process.pid, signum)
        rest = found.rest()
    assert {one[0]: one[1] for one in rest["reaped"]}[pid] == status
    assert rest["received"] == [[signum.name, False]]


def test_ctrl_c_of_a_terminal_reaches_the_command_once() -> None:
    """The terminal sends it to the whole foreground group, so it is not passed on."""
    code = (
        "import signal, sys, time\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('ready', flush=True)\n"
        "time.sleep(0.2) if got else None\n"
        "end = time.monotonic() + 10\n"
        "while not got and time.monotonic() < end: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "sys.exit(40 + len(got))\n"
    )
    master, slave = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    with launched(python(code), stdin=slave, preexec_fn=take_the_terminal) as found:
        pid = found.line()["pid"]
        _wait_for(found, b"ready")
        os.write(master, b"\x03")
        rest = found.rest()
    os.close(master)
    os.close(slave)
    assert {one[0]: one[1] for one in rest["reaped"]}[pid] == 41 << 8
    assert rest["received"] == [["SIGINT", True]]


def test_many_signals_and_children_are_not_lost() -> None:
    """A burst of signals arrives, and every child that ended is reaped."""
    with launched(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (true &) ; done; sleep 0.5"]) as found:
        found.line()
        for _ in range(50):
            os.kill(found.process.pid, signal.SIGUSR1)
            time.sleep(0.001)
        os.kill(found.process.pid, signal.SIGTERM)
        rest = found.rest()
    assert len(rest["reaped"]) >= 1
    assert rest["received"]
