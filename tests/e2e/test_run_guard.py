"""Whatever goes wrong in metering, the job is as it would be without."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.support.components import JOBMETER, jobmeter_environment

COUNTER = """
import signal, sys, time
seen = []
signal.signal(signal.{name}, lambda *_: seen.append(1))
print("ready", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.5)
print(len(seen), flush=True)
"""


def run(*words, prefix=(), **variables):
    """`jobmeter run` with what comes back."""
    return subprocess.run(
        [*prefix, *JOBMETER, "run", *words],
        env=jobmeter_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("limit", [5, 8, 12])
def test_command_runs_unmetered_where_there_are_too_few_descriptors(limit):
    """The hard limit leaves no room for the meter: one sentence, and the command's own exit code."""
    done = run("sh", "-c", "exit 4", prefix=("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_script_without_an_interpreter_line_is_the_shells(tmp_path):
    """As in timeout(1) and env(1)."""
    script = tmp_path / "step"
    script.write_text("exit 6\n")
    script.chmod(0o755)
    assert run("--quiet", str(script)).returncode == 6
    assert run("--quiet", "step", PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 6


def test_timeout_does_not_signal_the_command_twice():
    """timeout(1) signals its child and then the group they all are in."""
    command = [*JOBMETER, "run", "--quiet", sys.executable, "-c", COUNTER.format(name="SIGTERM")]
    done = subprocess.run(
        ["timeout", "3", *command], env=jobmeter_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["ready", "1"]


@pytest.mark.parametrize("name", ["SIGALRM", "SIGUSR1", "SIGHUP", "SIGPROF"])
def test_signals_of_others_are_passed_on_once(name):
    """Each of them would end the wrapper and not the job."""
    command = [*JOBMETER, "run", "--quiet", sys.executable, "-c", COUNTER.format(name=name)]
    with subprocess.Popen(command, env=jobmeter_environment(), stdout=subprocess.PIPE, text=True) as wrapper:
        assert wrapper.stdout is not None
        assert wrapper.stdout.readline() == "ready\n"
        wrapper.send_signal(signal.Signals[name])
        assert wrapper.stdout.readline() == "1\n"
    assert wrapper.returncode == 0


def test_variable_that_is_not_accepted_is_left_out(tmp_path):
    """It may be set for a whole fleet: a sentence, and the default."""
    done = run("--json", str(tmp_path / "s.json"), "sh", "-c", "exit 3", JOBMETER_INTERVAL="10")
    assert done.returncode == 3
    assert "JOBMETER_INTERVAL: '10' is not a duration" in done.stderr
    assert json.loads((tmp_path / "s.json").read_text())["collector"]["interval_seconds"] == 1.0


def test_nested_run_does_not_write_over_the_outer_ones_files(tmp_path):
    """What one run writes is not handed to a jobmeter in the job."""
    target = tmp_path / "s.json"
    done = run("--quiet", *JOBMETER, "run", "--quiet", "sleep", "0.3", JOBMETER_JSON=str(target))
    assert done.returncode == 0
    names = [one["name"] for one in json.loads(target.read_text())["programs"]]
    assert any(name.startswith("python") for name in names)


def test_command_that_was_not_found_has_a_summary(tmp_path):
    """A later step that reads the file finds the reason in it."""
    target = tmp_path / "s.json"
    assert run("--json", str(target), "/nonesuch/command").returncode == 127
    found = json.loads(target.read_text())["exit"]
    assert (found["reason"], found["code"]) == ("failure", 127)
    assert "was not found" in found["detail"]


def test_high_water_is_known_beside_a_large_runner():
    """ru_maxrss of a wrapper that a large process became by exec says nothing of the wrapper."""
    outer = "import os, sys; ballast = b'x' * 300_000_000; os.execv(sys.argv[1], sys.argv[1:])"
    inner = [sys.executable, "-c", "b'x' * 150_000_000"]
    command = [*JOBMETER, "run", "--quiet", "--source=proc", "--json=fd:1", "--", *inner]
    done = subprocess.run(
        [sys.executable, "-c", outer, *command], env=jobmeter_environment(), capture_output=True, check=True
    )
    (job,) = json.loads(done.stdout)["containers"]
    assert job["memory_high_water_bytes"] == pytest.approx(160_000_000, rel=0.1)


def test_flood_of_marks_is_bounded(tmp_path):
    """A thousand marks are heard; what comes after takes no sample and no line of the journal."""
    flood = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "a = b'\\0' + os.environ['JOBMETER_MARK_SOCKET'][1:].encode(); "
        "[s.sendto(b'mark', a) for _ in range(5000)]"
    )
    journal = tmp_path / "j.jsonl"
    assert run("--quiet", "--journal", str(journal), sys.executable, "-c", flood).returncode == 0
    marks = [line for line in journal.read_text().splitlines() if '"kind":"mark"' in line]
    assert len(marks) <= 1000
