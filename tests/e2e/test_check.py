"""`jobmeter check` as a job calls it: after a real run, alone or with a real receiver that knows the base branch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from jobmeter.model.summary import decode
from tests.e2e.support.components import JOBMETER
from tests.e2e.support.runs import PATIENCE_SECONDS, Jobmeter
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver

MIB = 2**20
BURN = "import time\nwhile time.process_time() < {seconds}: pass"
HOLD = "import time\nheld = bytearray({size})\ntime.sleep(0.5)"
CACHE = (
    "import os, time\nwith open('cache', 'wb') as file:\n"
    "    for _ in range({pieces}):\n        file.write(bytes(1 << 20))\ntime.sleep(0.5)"
)


class Job:
    """Runs commands as a job of a branch, and checks the last one."""

    def __init__(self, jobmeter: Jobmeter) -> None:
        self._jobmeter = jobmeter
        self.directory = jobmeter.directory

    def run(self, program: str, *flags: str, branch: str = "faster") -> None:
        """Meter a Python program."""
        variables = {
            "JOBMETER_REPOSITORY": "acme/engine",
            "JOBMETER_WORKFLOW": "ci.yaml",
            "JOBMETER_JOB": "build",
            "JOBMETER_REF": f"refs/heads/{branch}",
            "JOBMETER_PUSH_TOKEN": PUSH,
        }
        self._jobmeter.journal.unlink(missing_ok=True)
        done = self._jobmeter.run(
            "--quiet",
            "--interval=100ms",
            *flags,
            sys.executable,
            "-c",
            program,
            env=variables,
            cwd=self.directory,
        )
        assert (done.exit_code, done.stderr) == (0, "")

    def check(self, budgets: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Hold the journal of the last run against budgets."""
        (self.directory / ".jobmeter.toml").write_text(budgets)
        return subprocess.run(
            [*JOBMETER, "check", *map(str, words or [self._jobmeter.journal])],
            env=self._jobmeter.environment({"JOBMETER_READ_TOKEN": READ}),
            cwd=self.directory, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip


@pytest.fixture
def job(jobmeter: Jobmeter) -> Job:
    return Job(jobmeter)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    with running_receiver(tmp_path) as running:
        yield running


def test_memory_that_was_held_is_over_budget(job: Job) -> None:
    """The exit code is 3, and the reports say by how much."""
    job.run(HOLD.format(size=200 * MIB))
    journal = job.directory / "journal.jsonl"
    done = job.check("[check.default]\nmemory = '100 MiB'\nduration = '10m'", journal, "--junit=junit.xml")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("jobmeter check: over budget: peak memory need\n")
    root = Xml.parse(job.directory / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")


def test_page_cache_is_no_need(job: Job) -> None:
    """A program that writes a file of three times its budget holds none of it, though the kernel charges it."""
    job.run(CACHE.format(pieces=300))
    charged = decode((job.directory / "summary.json").read_bytes()).containers[0].memory_charged_peak_bytes
    assert charged is None or charged > 250 * MIB
    done = job.check("[check.default]\nmemory = '100 MiB'")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("jobmeter check: within 1 budget\n")


def test_a_summary_is_enough(job: Job) -> None:
    """A file that another step handed over; report-only says the same and does not fail."""
    job.run(BURN.format(seconds=0.3))
    summary = job.directory / "summary.json"
    budgets = "[check.default]\ncpu_seconds = 0.1"
    assert job.check(budgets, summary).returncode == 3
    done = job.check(budgets, summary, "--report-only")
    assert done.returncode == 0
    assert done.stdout.startswith("jobmeter check: over budget: CPU time; reported only\n")


def test_a_mistake_in_the_file_stops_the_job(job: Job) -> None:
    """One sentence with file, key and what is accepted; exit code 2."""
    job.run("pass")
    done = job.check("[check.default]\nmemory = 'lots'")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "jobmeter check: .jobmeter.toml: check.default.memory: 'lots' is not a memory quantity; accepted are forms "
        "such as 1073741824, 256Mi, 1.5Gi or 1G\n"
    )


def test_a_regression_against_the_base_branch(job: Job, receiver: RunningReceiver) -> None:
    """A branch that uses twice the CPU time fails, one that uses as much as before does not."""
    push = f"--push-endpoint={receiver.url}/api/v1/metrics"
    budgets = "[check]\nbase = 'main'\n[check.default]\ncpu_seconds = '+50 %'\n"
    ask = (job.directory / "journal.jsonl", f"--receiver={receiver.url}")
    job.run(BURN.format(seconds=0.2))
    done = job.check(budgets, *ask)
    assert done.returncode == 0
    assert "main has no runs of this job to compare with" in " ".join(done.stdout.split())

    for _ in range(5):
        job.run(BURN.format(seconds=0.2), push, branch="main")
    job.run(BURN.format(seconds=1.0), push)
    done = job.check(budgets, *ask)
    assert (done.returncode, done.stderr) == (3, "")
    assert "above the spread of main's 5 runs" in " ".join(done.stdout.split())

    job.run(BURN.format(seconds=0.2))
    done = job.check(budgets, *ask)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("jobmeter check: within 1 budget")


def test_a_token_that_is_refused_is_not_shown(job: Job, receiver: RunningReceiver) -> None:
    """The relative budget is not known, and with it nothing has passed."""
    job.run("pass")
    budgets = "[check]\nbase = 'main'\nfail_on_unknown = true\n[check.default]\nduration = '+50 %'\n"
    flags = (f"--receiver={receiver.url}", "--read-token=wrong-token-1234")
    done = job.check(budgets, job.directory / "journal.jsonl", *flags)
    assert done.returncode == 3
    assert "answered 401" in " ".join(done.stdout.split())
    assert "wrong-token" not in done.stdout + done.stderr
