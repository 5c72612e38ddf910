"""The program as a process: its exit code whatever happens to its streams."""

import os
import subprocess
import sys

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
    "PYTHONPATH": "src"
}
PROGRAM = f"{sys.executable} -m jobmeter"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command], env=ENVIRON, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_exit_code_of_the_command_survives_a_closed_stderr(tmp_path):
    run = f"{PROGRAM} run --source=proc --journal={tmp_path}/j -- sh -c 'exit 7'"
    assert shell(f"{run} 2>&-").returncode == 7
    assert shell(f"{run} >&- 2>&-").returncode == 7


def test_the_exit_code_of_the_command_survives_a_stderr_that_is_full(tmp_path):
    run = f"{PROGRAM} run --source=proc --journal={tmp_path}/j -- sh -c 'exit 7'"
    assert shell(f"{run} 2>/dev/full").returncode == 7


def test_output_that_cannot_be_written_is_a_failure_and_one_sentence():
    done = shell(f"{PROGRAM} --help >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "jobmeter: the output could not be written: No space left on device\n"


def test_a_reader_that_stops_early_is_told_nothing():
    done = shell(f"{PROGRAM} run --help | head -n 1")
    assert done.stdout.startswith("usage: jobmeter run")
    assert done.stderr == ""
