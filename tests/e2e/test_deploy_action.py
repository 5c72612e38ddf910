"""`action.yml` as a forge's runner executes it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.collectors import cpuacct_seconds
from tests.e2e.support.components import CACHE, JOBMETER, SOURCE, require_cached, require_command
from tests.e2e.support.composite import Job, Runner
from tests.e2e.support.docker import HOST, DockerEngine

BURN = "python3 -c 'import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass'"
TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner on a machine of its own."""
    with Runner(tmp_path) as running:
        yield running


@pytest.fixture
def job(runner: Runner, tmp_path: Path) -> Job:
    """A job whose `pip` finds what jobmeter needs without an index."""
    require_cached("wheels/msgspec-*.whl")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(CACHE / "wheels"), "PYTHON": sys.executable}
    return Job(tmp_path / "job", runner.execute, pip)


def home(job: Job) -> Path:
    """Where the action installs jobmeter and keeps what it writes."""
    return Path(job.environ["RUNNER_TEMP"]) / "jobmeter"


def put_jobmeter(job: Job) -> None:
    """This checkout's jobmeter, as if the action had installed it."""
    program = home(job) / "bin/jobmeter"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {shlex.join(JOBMETER)} "$@"\n')
    program.chmod(0o755)


def wait_for_first_sample(job: Job) -> None:
    """A step that ends when the meter of the whole job has begun."""
    assert job.run(f"until grep -q sample {home(job)}/job/journal.jsonl; do sleep 0.05; done") == 0


def test_three_lines_meter_a_command(job: Job) -> None:
    """With `run` the commands are metered: the page and the log have the report, the outputs name the files."""
    used = job.use({"run": f"echo it works\n{BURN.format(0.5)}"})

    assert used.exit_code == 0, used.log
    assert "it works" in used.log
    assert "succeeded in" in used.log
    assert "my-org/my-repo" in used.page
    summary = json.loads(Path(used.outputs["summary"]).read_text())
    assert summary["cpu_seconds"] >= 0.5
    assert summary["job"]["workflow"] == "ci.yml"
    assert Path(used.outputs["journal"]).exists()


def test_second_use_installs_nothing(job: Job) -> None:
    """Two metered steps of one job are two runs; what is installed is used again."""
    first = job.use({"run": "true"})
    installed = (home(job) / "bin/jobmeter").stat()
    job.environ |= {"PIP_FIND_LINKS": "/nowhere"}
    second = job.use({"run": "true"})

    assert (home(job) / "bin/jobmeter").stat().st_mtime_ns == installed.st_mtime_ns
    assert first.outputs["summary"] != second.outputs["summary"]


@pytest.mark.parametrize(
    "commands, code",
    [
        ("exit 7", 7),
        ("false\necho not reached", 1),
        ("false | true\necho not reached", 1),
        ("no-such-command", 127),
    ],
    ids=["own code", "first failure", "in a pipe", "not found"],
)
def test_exit_code_is_the_commands(job: Job, commands: str, code: int) -> None:
    """Commands run as in a step of the workflow, with and without a meter."""
    put_jobmeter(job)
    metered = job.use({"run": commands})
    shutil.rmtree(home(job))
    home(job).mkdir()
    (home(job) / "failed").touch()
    plain = job.use({"run": commands})

    assert (metered.exit_code, plain.exit_code) == (code, code)
    assert ("summary" in metered.outputs["summary"], plain.outputs["summary"]) == (True, "")
    assert "not reached" not in metered.log + plain.log


def test_what_cannot_be_installed_fails_nothing(job: Job) -> None:
    """It is a warning of the forge, said once; the job runs without a meter."""
    job.environ |= {"PIP_FIND_LINKS": "/nowhere"}
    used = [job.use({"run": "echo it works"}), job.use({"mode": "start"}), job.use({"mode": "report"})]

    assert [one.exit_code for one in used] == [0, 0, 0]
    assert "it works" in used[0].log
    assert "".join(one.log for one in used).count("::warning title=jobmeter::") == 1


def test_runner_without_a_place_fails_nothing(job: Job) -> None:
    """Nothing is put where another job's user may have put something before."""
    job.environ |= {"RUNNER_TEMP": ""}
    used = job.use({"run": "echo it works"})

    assert used.exit_code == 0
    assert "it works" in used.log
    assert "RUNNER_TEMP" in used.log


def test_inputs_that_are_not_accepted_fail_nothing(job: Job) -> None:
    """A bad interval or address is a sentence in the log."""
    put_jobmeter(job)
    used = job.use({"run": "echo it works", "interval": "2 parsecs", "receiver": "nowhere"})

    assert used.exit_code == 0
    assert "it works" in used.log
    assert "2 parsecs" in used.log


def test_push_token_does_not_reach_the_commands(job: Job) -> None:
    """Neither the environment of the commands nor anything written has it."""
    put_jobmeter(job)
    used = job.use({"run": "env", "push-token": TOKEN})

    assert "GITHUB_JOB=build" in used.log
    assert TOKEN not in used.log
    assert TOKEN not in used.page


def test_whole_job_on_a_machine(job: Job) -> None:
    """Between start and report every step below the runner is metered; the page has the report."""
    put_jobmeter(job)
    started = job.use({"interval": "100ms"})
    wait_for_first_sample(job)
    job.run(BURN.format(1.0))
    used = job.use({"mode": "report"})

    assert (started.exit_code, used.exit_code) == (0, 0), started.log + used.log
    assert "my-org/my-repo" in used.page
    assert 0.9 <= json.loads(Path(used.outputs["summary"]).read_text())["cpu_seconds"] < 30


def test_one_step_meters_the_whole_job(job: Job) -> None:
    """The action with a post step needs to be named once; its inputs and the report are the same."""
    require_command("node")
    put_jobmeter(job)
    begun, state = job.use_whole_job({"interval": "100ms", "push-token": TOKEN})
    wait_for_first_sample(job)
    job.run(BURN.format(0.5))
    ended, _ = job.use_whole_job(state=state)

    assert (begun.exit_code, ended.exit_code) == (0, 0), begun.log + ended.log
    assert "my-org/my-repo" in ended.page
    assert TOKEN not in begun.log + ended.log + ended.page
    summary = json.loads((home(job) / "job/summary.json").read_text())
    assert summary["collector"]["interval_seconds"] == 0.1
    assert summary["cpu_seconds"] >= 0.4


def test_report_comes_after_start(job: Job) -> None:
    """A job that was not metered gets a warning; one that is metered is not metered twice."""
    put_jobmeter(job)
    early = job.use({"mode": "report"})
    job.use()
    twice = job.use()
    job.use({"mode": "report"})
    wrong = job.use({"mode": "begin"})

    assert [one.exit_code for one in (early, twice, wrong)] == [0, 0, 0]
    assert "::warning title=jobmeter::Nothing was metered" in early.log
    assert "metered already" in twice.log
    assert "start and report" in wrong.log


def test_whole_job_in_a_container(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """Where a runner starts each step by `docker exec`, the container's own account is the job's."""
    mounts = [
        f"--volume={path}:{path}"
        for path in {SOURCE.parent, tmp_path, Path(sys.prefix), Path(sys.base_prefix)}
    ]
    with docker_engine.spawn(HOST, "tail", "-f", "/dev/null", flags=mounts) as container:
        job = Job(tmp_path / "job", lambda script: container.exec("sh", "-c", script, check=False).returncode)
        put_jobmeter(job)
        assert job.use({"interval": "200ms"}).exit_code == 0
        wait_for_first_sample(job)
        before = cpuacct_seconds(container)
        job.run(BURN.format(1.0))
        account = cpuacct_seconds(container) - before
        used = job.use({"mode": "report"})

    assert used.exit_code == 0, used.log
    assert "my-org/my-repo" in used.page
    assert json.loads(Path(used.outputs["summary"]).read_text())["cpu_seconds"] >= account
