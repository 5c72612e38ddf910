"""Sections between marks, and `--pid` for what already runs."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobmeter.model.marks import PROGRAM
from jobmeter.supervise.marks import SOCKET_VARIABLE
from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import Jobmeter

MARK = [*JOBMETER, "mark"]
Build = Callable[[str], Path]

MARK_AND_BURN = """
import json, os, resource, subprocess, sys
from jobmeter.model.marks import PROGRAM
from jobmeter.supervise.marks import SOCKET_VARIABLE, send_mark

def used():
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(time.ru_utime + time.ru_stime for time in times)

burn, marks = sys.argv[1], [0.0]
for name, milliseconds in (("compile", "300"), ("test", "600"), ("pack", "100")):
    assert send_mark(os.environ[SOCKET_VARIABLE], name)
    marks.append(used())
    subprocess.run([burn, milliseconds], check=True)
print(json.dumps([after - before for before, after in zip(marks, [*marks[1:], used()])]))
"""
"""Burns a known time in each section and prints what was used between the marks, by getrusage(2)."""


@pytest.fixture
def burner(program: Build) -> Iterator[subprocess.Popen[bytes]]:
    """A process that burns CPU until it is killed."""
    process = subprocess.Popen([program("burn"), str(10**9)])
    yield process
    process.kill()
    process.wait()


def cpu_seconds_of(pid: int) -> float:
    """What a process has used so far, by the scheduler's clock."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.parametrize("source, tolerance", [("cgroup", 0.02), ("proc", 0.05)])
def test_sections_have_the_cpu_time_that_was_used_in_them(
    jobmeter: Jobmeter, program: Build, source: str, tolerance: float
) -> None:
    """The run is cut at its marks; each section's time is what its processes say of themselves."""
    burner = str(program("burn"))

    done = jobmeter.run("--quiet", f"--source={source}", sys.executable, "-c", MARK_AND_BURN, burner)

    used = json.loads(done.stdout)
    sections = done.result.sections
    assert [one.name for one in sections] == ["start", "compile", "test", "pack"]
    assert [one.cpu_seconds for one in sections] == pytest.approx(used, abs=tolerance)
    assert [one.end_time for one in sections][:-1] == [one.start_time for one in sections][1:]
    assert sum(one.cpu_seconds or 0 for one in sections) == pytest.approx(
        done.result.cpu_seconds or 0, abs=1e-3
    )


def test_mark_of_the_shell(jobmeter: Jobmeter) -> None:
    """`jobmeter mark NAME` in a script begins a section; the report shows it."""
    mark = shlex.join(MARK)

    done = jobmeter.run("sh", "-c", f"{mark} unit tests; sleep 1.2; {mark} 'upload\n\x1b[31m'")

    assert done.exit_code == 0
    assert [one.name for one in done.result.sections] == ["start", "unit tests", "upload [31m"]
    assert "unit tests" in done.stderr
    assert "\x1b" not in done.stderr
    assert not {one.name for one in done.result.programs} & {PROGRAM, "jobmeter"}


@pytest.mark.parametrize(
    "variables, sentence",
    [
        ({}, "nobody meters here"),
        ({SOCKET_VARIABLE: "@jobmeter-gone"}, "nobody hears marks at @jobmeter-gone"),
    ],
    ids=["unmetered", "gone"],
)
def test_mark_never_fails_a_job(jobmeter: Jobmeter, variables: dict[str, str], sentence: str) -> None:
    """Where nobody listens, one sentence says so and the exit code is 0."""
    done = subprocess.run(
        [*MARK, "x"], env=jobmeter.environment(variables), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_mark_within_a_run_within_a_run(jobmeter: Jobmeter, tmp_path: Path) -> None:
    """A mark belongs to the innermost run."""
    (tmp_path / "inner").mkdir()
    inner = Jobmeter(tmp_path / "inner")

    outer = jobmeter.run("--quiet", *inner.argv("--quiet", *MARK, "step"))

    within = inner.summary()
    assert within is not None
    assert [one.name for one in within.sections] == ["start", "step"]
    assert outer.result.sections == []


def test_pid_with_duration(jobmeter: Jobmeter, burner: subprocess.Popen[bytes]) -> None:
    """What already runs is metered for a time and let alone: only what it used meanwhile, and as a lower bound."""
    before = cpu_seconds_of(burner.pid)
    done = jobmeter.run(f"--pid={burner.pid}", "--duration=500ms", "--interval=50ms")
    most = cpu_seconds_of(burner.pid) - before

    assert (done.exit_code, burner.poll()) == (0, None)
    assert done.result.exit.reason == "unknown"
    assert (done.result.containers[0].cpu_source, done.result.cpu_complete) == ("proc", False)
    assert done.result.cpu_seconds is not None
    assert 0 < done.result.cpu_seconds <= most + 0.02
    assert [one.pid for one in done.result.top_cpu_processes] == [burner.pid]


def test_pid_ends_with_the_process(jobmeter: Jobmeter, burner: subprocess.Popen[bytes]) -> None:
    """Without `--duration` it goes on until the process has ended; all its time is there."""
    with jobmeter.start(f"--pid={burner.pid}", "--interval=50ms") as process:
        while not jobmeter.journal.exists() or jobmeter.journal.read_text().count('"sample"') < 8:
            time.sleep(0.1)  # The journal has no event to wait for.
        burner.kill()
        done = jobmeter.finish(process)

    assert (done.exit_code, "Traceback" in done.stderr) == (0, False)
    assert done.result.cpu_seconds


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_pid_ends_with_a_signal(
    jobmeter: Jobmeter, burner: subprocess.Popen[bytes], signum: signal.Signals
) -> None:
    """Ctrl-C ends the metering with a report; the process goes on."""
    with jobmeter.start(f"--pid={burner.pid}", "--interval=50ms") as process:
        while not jobmeter.journal.exists() or '"sample"' not in jobmeter.journal.read_text():
            time.sleep(0.1)  # The journal has no event to wait for.
        process.send_signal(signum)
        done = jobmeter.finish(process)

    assert (done.exit_code, burner.poll()) == (0, None)
    assert "jobmeter: ran " in done.stderr
