"""What is left of a collector that was killed, and how the next one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import container_of, cpuacct_seconds, start_beside, wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import BUSYBOX, HOST, Container, DockerEngine

KILLS = 200
SEED = 20261121
WORK = "i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done"


def report(journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`jobmeter report` of a journal."""
    return subprocess.run(
        [*JOBMETER, "report", *arguments, str(journal)],
        env=jobmeter_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip


def summary_of(journal: Path) -> dict[str, Any]:
    """The summary that a journal holds."""
    return dict(json.loads(report(journal, "--format=json").stdout))


class Killed:
    """One job whose collector was killed over and over: what was found after each kill, and the account."""

    def __init__(self, looks: list[dict[str, Any]], journal: Path, job: Container, account: float) -> None:
        self.looks = looks
        self.journal = journal
        self.job = job
        self.account = account


@pytest.fixture(scope="module")
def killed(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A collector in the pid namespace of a small job, killed at 200 random moments while the job works."""
    journal = tmp_path_factory.mktemp("killed") / "journal.jsonl"
    with docker_engine.spawn(BUSYBOX, "sleep", "infinity") as job:
        pid = job.pid
        command = subprocess.Popen(
            [
                *("nsenter", f"--target={pid}", "--pid", sys.executable, "-m", "tests.e2e.support.killer"),
                *(journal, str(KILLS), str(SEED)),
                *(f"--proc-path=/proc/{pid}/root/proc", "--interval=50ms", "--log-level=error"),
                f"--json={journal.with_suffix('.summary')}",
            ],
            env=jobmeter_environment(GITHUB_RUN_ID="1"), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        looks: list[dict[str, Any]] = []
        with command as killer:
            assert killer.stdout
            wait_until(lambda: journal.exists() and b'"sample"' in journal.read_bytes(), "the first sample")
            before = cpuacct_seconds(job)
            for line in killer.stdout:
                looks.append(json.loads(line))
                if len(looks) % 20 == 0 and len(looks) < KILLS:
                    job.exec("sh", "-c", WORK)
        assert killer.returncode == 0
        yield Killed(looks, journal, job, cpuacct_seconds(job) - before)


def test_journal_is_whole_after_each_kill(killed: Killed) -> None:
    """After each of 200 kills every record but a torn last one can be read, in one run, without gap or repeat."""
    assert len(killed.looks) == KILLS + 1
    for number, look in enumerate(killed.looks):
        assert look["in_order"], (number, look)
        assert look["runs"] <= 1, (number, look)
        assert look["broken"] <= look["torn"], (number, look)
    assert killed.looks[-1]["records"] > KILLS


def test_nothing_is_lost_from_kill_to_kill(killed: Killed) -> None:
    """What was written stays: the number of records never falls, but for a line that the test tore itself."""
    for before, after in zip(killed.looks, killed.looks[1:], strict=False):
        assert after["records"] >= before["records"] - (after["torn"] - before["torn"])


def test_total_is_counted_once(killed: Killed) -> None:
    """The CPU time of the whole run is the kernel's account, over some 200 restarts."""
    job = container_of(summary_of(killed.journal), killed.job.id)

    assert job["cpu_source"] == "cgroup"
    assert killed.account > 0.2
    assert job["cpu_seconds"] == pytest.approx(killed.account, rel=0.001, abs=0.02)


def test_last_collector_ends_the_run(killed: Killed) -> None:
    """The one that is stopped by SIGTERM writes the end and the summary of the whole run; then a new run begins."""
    ended = summary_of(killed.journal)
    written = json.loads(killed.journal.with_suffix(".summary").read_text())

    assert killed.looks[-1]["exit_code"] == 0
    assert ended["exit"]["reason"] == "unknown"
    assert (written["run_uid"], written["sample_count"]) == (ended["run_uid"], ended["sample_count"])
    assert any("restarted" in sentence for sentence in ended["warnings"])
    assert json.loads(killed.journal.read_bytes().splitlines()[-1])["kind"] == "end"


def test_killed_pod_is_a_lost_run(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """After SIGKILL of everything at once, the journal is a run up to its last tick whose end is lost."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        collector = start_beside(docker_engine, job, tmp_path, "--interval=100ms")
        job.exec("sh", "-c", WORK)
        collector.wait_for_samples()
        job.kill()  # the first process of the pid namespace, so everything in it goes
        wait_until(collector.running.ended, "the end of the collector")

    summary = summary_of(collector.journal)
    samples = collector.records("sample")

    assert (summary["exit"]["reason"], summary["exit"]["certainty"]) == ("lost", "probable")
    assert summary["sample_count"] == len(samples)
    assert summary["duration_seconds"] == pytest.approx(samples[-1]["sample"]["elapsed_seconds"], abs=0.001)
    assert container_of(summary, job.id)["cpu_seconds"] > 0.01
    assert "lost" in report(collector.journal).stdout.lower()


def test_container_of_the_gap_counts_in_full(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """A container that began while no collector ran belongs to the run all the same."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        first = start_beside(docker_engine, job, tmp_path, "--interval=100ms")
        first.running.kill()
        with docker_engine.spawn(
            HOST,
            "sh",
            "-c",
            f"{WORK}; touch /tmp/done; exec sleep infinity",
            flags=[f"--pid=container:{job.id}"],
        ) as late:
            wait_until(
                lambda: late.exec("test", "-e", "/tmp/done", check=False).returncode == 0,
                "the work in the gap",
            )
            second = start_beside(docker_engine, job, tmp_path, "--interval=100ms")
            second.wait_for_container(f"docker-{late.id[:12]}")
            second.wait_for_samples()
            account = cpuacct_seconds(late)
            summary = second.stop()

    assert len(second.records("resume")) == 1
    assert container_of(summary, late.id)["cpu_seconds"] == pytest.approx(account, rel=0.001, abs=0.02)


def test_another_job_begins_a_run_of_its_own(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """A journal with the unfinished run of another job, or with an ended run, is not gone on with."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        lost = start_beside(docker_engine, job, tmp_path, "--interval=100ms", env={"GITHUB_RUN_ID": "1"})
        lost.running.kill()
        summaries = [
            start_beside(docker_engine, job, tmp_path, "--interval=100ms", env={"GITHUB_RUN_ID": "2"}).stop()
            for _ in range(2)
        ]

    starts = [one["run_uid"] for one in lost.records("start")]
    assert len(set(starts)) == 3
    assert [one["run_uid"] for one in summaries] == starts[1:]
    first = json.loads(report(lost.journal, "--format=json", f"--run={starts[0]}").stdout)
    assert (first["run_uid"], first["exit"]["reason"]) == (starts[0], "lost")
