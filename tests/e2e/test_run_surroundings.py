"""`jobmeter run` in surroundings that are hard on it: the job never notices, and its exit code stays its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobmeter.model import wire
from jobmeter.spool.journal import JournalReader
from jobmeter.supervise.marks import SOCKET_VARIABLE
from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import AS_NOBODY, Jobmeter

CROWD = 20_000
FEW_DESCRIPTORS = 256

LOOK_AROUND = """
import json, os, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "signals": {name: status[name].strip() for name in ("SigBlk", "SigIgn")},
    "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2
                    and os.path.exists(f"/proc/self/fd/{fd}")},
    "limits": open("/proc/self/limits").read(),
    "umask": os.umask(0), "directory": os.getcwd(), "niceness": os.nice(0), "groups": os.getgroups(),
    "process group": os.getpgrp(), "session": os.getsid(0),
    "environment": {name: value for name, value in os.environ.items() if name not in sys.argv[1:]},
}))
"""
"""What a process finds at its start, as one line of JSON; without the variables that it is given."""


def through_a_shell(argv: Sequence[str], redirections: str) -> list[str]:
    """`argv` with its streams redirected as a shell does."""
    return ["sh", "-c", f"exec {shlex.join(argv)} {redirections}"]


def test_command_finds_what_it_would_find_without_us(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """Signals, descriptors, limits, groups, directory, variables: all as they were before the wrapper."""
    look = [sys.executable, "-c", LOOK_AROUND, SOCKET_VARIABLE]
    before = [
        "prlimit",
        "--nofile=300:1000",
        "env",
        "--ignore-signal=HUP",
        "--ignore-signal=CHLD",
        "nice",
        "-n",
        "3",
    ]
    options: dict[str, Any] = {
        "env": jobmeter.environment(),
        "stdin": subprocess.DEVNULL,
        "cwd": tmp_path,
        "umask": 0o027,
    }

    plain = subprocess.run([*before, *look], stdout=subprocess.PIPE, text=True, check=True, **options)
    metered = subprocess.run(
        [*before, *jobmeter.argv("--quiet", *look)], stdout=subprocess.PIPE, text=True, check=True, **options
    )

    assert json.loads(metered.stdout) == json.loads(plain.stdout)


def test_end_of_a_pipe_is_a_signal_again(jobmeter: Jobmeter) -> None:
    """Python ignores SIGPIPE for itself; the command does not inherit that: `yes | head` ends."""
    done = jobmeter.run("--quiet", "bash", "-c", "yes | head -n 1; exit ${PIPESTATUS[0]}")

    assert (done.exit_code, done.stdout) == (141, "y\n")


@pytest.mark.parametrize("redirections", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_closed_streams_take_no_exit_code(jobmeter: Jobmeter, redirections: str) -> None:
    """Whatever stream is closed or full, the command's exit code comes back and the journal has no foreign byte."""
    argv = through_a_shell(jobmeter.argv("sh", "-c", "echo a; echo b >&2; exit 3"), redirections)

    done = subprocess.run(argv, env=jobmeter.environment(), capture_output=True, text=True, check=False)

    reader = JournalReader(jobmeter.journal)
    kinds = [type(record).__name__ for record in reader]
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert (kinds[0], kinds[-1], reader.damaged) == ("Start", "End", 0)


def test_reader_of_the_report_may_be_gone(jobmeter: Jobmeter) -> None:
    """A stderr whose reader went away is no fault of the job."""
    reading, writing = os.pipe()
    os.close(reading)

    done = jobmeter.run("sh", "-c", "exit 3", stderr=writing)
    os.close(writing)

    assert (done.exit_code, done.result.exit.code) == (3, 3)


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": None},
        {"HOME": None, "TMPDIR": None, "XDG_STATE_HOME": None, "PATH": None},
        {"TMPDIR": "/proc/no"},
        {"XDG_STATE_HOME": "/proc/no"},
        {"LANG": "C", "LC_ALL": "POSIX"},
        {"GITHUB_REPOSITORY": "\udcff", "GITHUB_RUN_ID": "x" * 10_000},
    ],
    ids=["no home", "nothing", "no tmp", "unwritable state", "posix", "odd"],
)
def test_variables_that_are_missing_or_odd(jobmeter: Jobmeter, variables: dict[str, str | None]) -> None:
    """The report comes, the exit code stays, at most one warning tells of the journal."""
    argv = [*JOBMETER, "run", f"--json={jobmeter.directory}/summary.json", "/bin/sh", "-c", "exit 3"]

    done = subprocess.run(
        argv,
        env=jobmeter.environment(variables),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )

    summary = jobmeter.summary()
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "jobmeter: failed (exit 3)" in done.stderr
    assert summary is not None
    assert len(summary.warnings) <= 1


def test_user_without_privilege(nobody: Jobmeter) -> None:
    """No cgroup, no exit records: the ledger over /proc counts, and its source is named."""
    done = nobody.run("sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done; exit 3",
                      prefix=AS_NOBODY, cwd="/")  # fmt: skip

    (job,) = done.result.containers
    assert done.exit_code == 3
    assert (job.cpu_source, done.result.cpu_complete, done.result.warnings) == ("proc", True, [])
    assert done.result.cpu_seconds is not None
    assert done.result.cpu_seconds > 0.01


@pytest.mark.parametrize("source", ["cgroup", "exit_records"])
def test_source_that_is_asked_for_and_not_there(nobody: Jobmeter, source: str) -> None:
    """It is said once which source is taken instead, and why."""
    done = nobody.run(f"--source={source}", "true", prefix=AS_NOBODY, cwd="/")

    assert done.exit_code == 0
    assert len(done.result.warnings) == 1
    assert "instead" in done.result.warnings[0]
    assert done.result.containers[0].cpu_source == "proc"


def test_directory_for_temporary_files_that_is_read_only(nobody: Jobmeter) -> None:
    """The default journal finds no place: one warning, and everything else as ever."""
    argv = [*AS_NOBODY, *JOBMETER, "run", f"--json={nobody.directory}/summary.json", "sh", "-c", "exit 3"]

    done = subprocess.run(
        argv, env=nobody.environment({"TMPDIR": "/"}), cwd="/", capture_output=True, text=True, check=False
    )

    summary = nobody.summary()
    assert done.returncode == 3
    assert done.stderr.count("cannot be written") == 1
    assert summary is not None
    assert len(summary.warnings) == 1


@pytest.mark.parametrize("hidden", ["1", "2"])
def test_hidden_processes(nobody: Jobmeter, hidden: str) -> None:
    """With /proc mounted hidepid the job's own processes are seen, for they are the caller's; nobody else's are."""
    mount = f"mount -t proc -o remount,hidepid={hidden} proc /proc || mount -t proc -o hidepid={hidden} proc /proc"
    prefix = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *AS_NOBODY]

    done = nobody.run("--interval=50ms", "sh", "-c", "sleep 0.3; sleep 0.3; exit 3", prefix=prefix, cwd="/")

    assert (done.exit_code, "Traceback" in done.stderr) == (3, False)
    assert done.result.cpu_complete
    assert {process.name for process in done.result.top_mem_processes} <= {"sh", "sleep"}
    assert done.result.top_mem_processes


def test_crowd_with_few_descriptors(
    jobmeter: Jobmeter, program: Callable[[str], Path], cgroup: Cgroup
) -> None:
    """20,000 processes and 256 descriptors: each is counted once, in time and in number, without a traceback."""
    crowd = cgroup.command([str(program("crowd")), str(CROWD)])
    few = ["prlimit", f"--nofile={FEW_DESCRIPTORS}:{FEW_DESCRIPTORS}"]

    with jobmeter.start("--source=proc", *crowd, prefix=few, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        wait_for_tick(jobmeter.journal, started)
        done = jobmeter.finish(process)

    assert (done.exit_code, "Traceback" in done.stderr) == (0, False)
    assert started > CROWD / 2
    (job,) = done.result.containers
    assert job.pids_peak == started + 1
    assert sum(one.count for one in done.result.programs) in (started + 1, started + 2)
    assert done.result.collector.read_errors == 0
    assert done.result.cpu_seconds == pytest.approx(cgroup.cpu_seconds(), rel=0.01, abs=0.05)


def wait_for_tick(journal: Path, tasks: int) -> None:
    """Wait until a tick has seen so many tasks of the job."""
    while True:
        ticks = [record for record in JournalReader(journal) if isinstance(record, wire.Tick)]
        if any((one.pids or 0) >= tasks for tick in ticks for one in tick.sample.containers):
            return
        time.sleep(0.2)  # The journal has no event to wait for.
