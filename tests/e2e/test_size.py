"""`jobmeter size` after real runs: with a real receiver that they were sent to, and by their summaries alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import PATIENCE_SECONDS, Jobmeter
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver

MIB = 2**20
NAME = "acme/engine/ci.yaml/build"
# Holds memory, and writes and reads a file of four times that.
BUILD = (
    "import time\nheld = bytearray({size})\n"
    "with open('cache', 'wb') as file:\n    for _ in range({pieces}):\n        file.write(bytes(1 << 20))\n"
    "with open('cache', 'rb') as file:\n    while file.read(1 << 20):\n        pass\ntime.sleep(0.5)"
)
MANIFEST = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - name: runner\n      image: alpine:3\n"


class Job:
    """Runs commands as one job, and asks what it should request."""

    def __init__(self, jobmeter: Jobmeter, receiver: RunningReceiver) -> None:
        self._jobmeter = jobmeter
        self._receiver = receiver
        self.directory = jobmeter.directory

    def run(self, size: int) -> Path:
        """Meter a program that holds so many bytes and send the summary; its file."""
        variables = {
            "JOBMETER_ORGANIZATION": "acme",
            "JOBMETER_REPOSITORY": "acme/engine",
            "JOBMETER_WORKFLOW": "ci.yaml",
            "JOBMETER_JOB": "build",
            "JOBMETER_PUSH_TOKEN": PUSH,
        }
        self._jobmeter.journal.unlink(missing_ok=True)
        done = self._jobmeter.run(
            "--quiet",
            "--interval=100ms",
            f"--push-endpoint={self._receiver.url}/api/v1/metrics",
            sys.executable,
            "-c",
            BUILD.format(size=size, pieces=4 * size // MIB),
            env=variables,
            cwd=self.directory,
        )
        assert (done.exit_code, done.stderr) == (0, "")
        kept = self.directory / f"{size}.json"
        return (self.directory / "summary.json").rename(kept)

    def size(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """The command, with the token by its variable."""
        return subprocess.run(
            [*JOBMETER, "size", *map(str, words)],
            env=self._jobmeter.environment({"JOBMETER_READ_TOKEN": READ}),
            cwd=self.directory, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    with running_receiver(tmp_path) as running:
        yield running


@pytest.fixture
def job(jobmeter: Jobmeter, receiver: RunningReceiver) -> Job:
    return Job(jobmeter, receiver)


def test_what_was_held_is_requested_and_not_what_was_cached(job: Job, receiver: RunningReceiver) -> None:
    """The receiver and the summaries give the same answer, and the manifest gets it."""
    files = [job.run(size * MIB) for size in (60, 70, 80)]
    asked = job.size(NAME, f"--receiver={receiver.url}", "--format=json")
    assert (asked.returncode, asked.stderr) == (0, "")
    advice = json.loads(asked.stdout)
    assert advice["meta"]["confidence_phase"] == "confident"
    assert advice["backtest"]["runs"] == 2
    (container,) = advice["containers"]
    assert 80 * MIB <= container["memory"]["request_bytes"] < 200 * MIB
    assert advice["evidence"][0]["memory_need_bytes"] >= 80 * MIB

    assert json.loads(job.size(*files, "--format=json").stdout) == advice

    manifest = job.directory / "pod.yaml"
    manifest.write_text(MANIFEST)
    shown = job.size(NAME, f"--receiver={receiver.url}", f"--patch={manifest}")
    assert (shown.returncode, shown.stderr, manifest.read_text()) == (0, "", MANIFEST)
    assert "+        requests:\n" in shown.stdout
    written = job.size(NAME, f"--receiver={receiver.url}", f"--patch={manifest}", "--write")
    assert (written.returncode, written.stdout) == (0, "")
    (changed,) = yaml.safe_load(manifest.read_text())["spec"]["containers"]
    mebibytes = container["memory"]["request_bytes"] // MIB
    assert changed["resources"]["requests"]["memory"] == f"{mebibytes}Mi"


def test_a_job_that_never_ran_is_not_known(job: Job, receiver: RunningReceiver) -> None:
    """The default is said with its reason; a refused token is one sentence."""
    done = job.size(NAME, f"--receiver={receiver.url}")
    assert done.returncode == 0
    assert done.stdout.startswith("sizing: request 4 GiB and 0.50 cores (unknown)\n")
    done = job.size(NAME, f"--receiver={receiver.url}", "--read-token=wrong-token-1234")
    assert (done.returncode, done.stdout) == (1, "")
    assert "answered 401" in done.stderr
    assert "wrong-token" not in done.stderr
