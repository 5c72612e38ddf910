"""CPU truth of `jobmeter collector` beside a real container, against accounts that it does not read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import accuracy
from tests.e2e.support.collectors import (
    Collector,
    container_of,
    cpuacct_seconds,
    start_beside,
    start_on_host,
    unified_seconds,
)
from tests.e2e.support.components import ROOT
from tests.e2e.support.docker import HOST, Container, DockerEngine
from tests.e2e.support.workloads import HELLO

GCC_FILES = 8

COMPILE = "cat /src/unit_*.c | gcc -O2 -x c -c - -o /tmp/all.o && gcc -O2 -c /src/unit_00.c -o /tmp/one.o"
COUNT = "i=0; while [ $i -lt {count} ]; do i=$((i + 1)); done"
THREADS = (
    "import hashlib, threading; work = lambda: hashlib.pbkdf2_hmac('sha256', b'x', b'y', 900_000);"
    "threads = [threading.Thread(target=work) for _ in range(4)];"
    "[one.start() for one in threads]; [one.join() for one in threads]"
)
BUILD = Path("/build")
STEPS = {
    "compiler": ["sh", "-c", COMPILE],
    "nothing": ["true"],
    "threads": ["python3", "-c", THREADS],
    "orphan": ["sh", "-c", f"({COUNT.format(count=60_000)} &); true"],
    "many": ["sh", "-c", "i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i + 1)); done"],
    "shell": ["sh", "-c", COUNT.format(count=200_000)],
    "build": HELLO.argv(BUILD),
}
"""As a runner starts them by `docker exec`, one after another."""

HOST_CGROUPS = "--volume=/sys/fs/cgroup:/host/cgroup:ro"
VIEWS: dict[str, tuple[list[str], list[str]]] = {
    "peer's root, default capabilities": ([], []),
    "peer's root, SYS_PTRACE": ([], ["--cap-drop=ALL", "--cap-add=SYS_PTRACE"]),
    "host's cgroups": (["--cgroup-path=/host/cgroup"], [HOST_CGROUPS, "--cap-drop=ALL"]),
    "host's cgroups, own cgroup namespace": (
        ["--cgroup-path=/host/cgroup"],
        [HOST_CGROUPS, "--cap-drop=ALL", "--cgroupns=private"],
    ),
}
"""Ways to the job's cgroup from a container: arguments, and flags of the engine."""

BY_CGROUP = [*VIEWS, "own view, on the host"]
EXIT_RECORDS = "exit records, on the host"
PROC = "/proc, no capabilities"


@dataclass(frozen=True)
class Metered:
    """One job, metered by several collectors at once; its account by both hierarchies."""

    job: Container
    bystander: Container
    summaries: dict[str, dict[str, Any]]
    cpuacct: float
    unified: float

    def job_of(self, view: str) -> dict[str, Any]:
        """The job's container in a summary."""
        return container_of(self.summaries[view], self.job.id)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """C files for a compiler."""
    directory = tmp_path_factory.mktemp("src")
    subprocess.run([sys.executable, ROOT / "scripts/generate_c.py", directory, str(GCC_FILES)], check=True)
    return directory


@pytest.fixture(scope="module")
def metered(
    docker_engine: DockerEngine, sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Metered]:
    """All steps, run once beside all collectors."""
    out, build = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("build")
    HELLO.prepare(build)
    mounts = [f"--volume={sources}:/src:ro", f"--volume={build}:{BUILD}"]
    with ExitStack() as stack:
        job = stack.enter_context(docker_engine.spawn(HOST, "sleep", "infinity", flags=mounts))
        bystander = stack.enter_context(
            docker_engine.spawn(HOST, "sleep", "infinity", flags=[f"--pid=container:{job.id}"])
        )
        collectors: dict[str, Collector] = {}
        for number, (name, (arguments, flags)) in enumerate(VIEWS.items()):
            collectors[name] = start_beside(
                docker_engine, job, out / str(number), "--interval=500ms", *arguments, flags=flags
            )
        collectors[PROC] = start_beside(
            docker_engine, job, out / "proc", "--interval=2s", "--source=proc", flags=["--cap-drop=ALL"]
        )
        collectors[BY_CGROUP[-1]] = start_on_host(out / "host", "--interval=500ms")
        collectors[EXIT_RECORDS] = start_on_host(out / "exits", "--interval=500ms", "--source=exit_records")
        for collector in collectors.values():
            stack.enter_context(collector)
            collector.wait_for_samples(1)
        before = cpuacct_seconds(job), unified_seconds(job)
        for step in STEPS.values():
            job.exec(*step)
        collectors[PROC].wait_for_samples()
        cpuacct, unified = cpuacct_seconds(job) - before[0], unified_seconds(job) - before[1]
        summaries = {name: collector.stop() for name, collector in collectors.items()}
        found = Metered(job, bystander, summaries, cpuacct, unified)
        if accuracy.WRITE:
            accuracy.write_table(
                "collector", accuracy.COLLECTOR_HEADING, _rows(found), accuracy.this_machine()
            )
        yield found


def _rows(metered: Metered) -> Iterator[list[str]]:
    for view in BY_CGROUP:
        yield accuracy.collector_row(view, metered.job_of(view), "the other hierarchy (v2)", metered.unified)
    for view in (EXIT_RECORDS, PROC):
        yield accuracy.collector_row(view, metered.job_of(view), "cgroup (v1)", metered.cpuacct)


def test_accounts_of_both_hierarchies_agree(metered: Metered) -> None:
    """What the tests compare with is one truth: v1 and the unified hierarchy tell the same CPU time."""
    assert metered.cpuacct > 1
    assert metered.unified == pytest.approx(metered.cpuacct, abs=0.002)


@pytest.mark.parametrize("view", BY_CGROUP)
def test_cgroup_gives_the_whole_cpu_time(metered: Metered, view: str) -> None:
    """By cgroup, from wherever it is read: within 0.1 % or 20 ms of the hierarchy that is not read."""
    job = metered.job_of(view)
    sources = {one["cpu_source"] for one in metered.summaries[view]["containers"]}

    assert job["cpu_source"] == "cgroup"
    assert job["cpu_seconds"] == pytest.approx(metered.unified, rel=0.001, abs=0.02)
    assert job["cpu_user_seconds"] + job["cpu_system_seconds"] == pytest.approx(job["cpu_seconds"], abs=1e-5)
    # The other collectors end meanwhile, and on a busy machine the last use of one may be missed: it is named then.
    missed = [one for one in metered.summaries[view]["warnings"] if "ended between two ticks" in one]
    assert metered.summaries[view]["cpu_complete"] is (sources == {"cgroup"} and not missed)


def test_exit_records_give_the_whole_cpu_time(metered: Metered) -> None:
    """By exit records: within 1 % of the cgroup's account, which it says is not exact, every process by its name."""
    job = metered.job_of(EXIT_RECORDS)
    programs = {one["name"]: one["count"] for one in metered.summaries[EXIT_RECORDS]["programs"]}

    assert job["cpu_source"] == "exit_records"
    assert job["cpu_seconds"] == pytest.approx(metered.cpuacct, rel=0.01)
    assert programs["cc1"] >= 2  # the host may have other containers
    assert programs["true"] >= 50
    assert metered.summaries[EXIT_RECORDS]["cpu_complete"] is False
    assert any("shortly before" in sentence for sentence in metered.summaries[EXIT_RECORDS]["warnings"])


def test_proc_gives_a_lower_bound_that_says_so(metered: Metered) -> None:
    """By /proc alone: never more than the account (times there come in ticks of 10 ms), and the summary says so."""
    summary = metered.summaries[PROC]
    job = metered.job_of(PROC)

    assert job["cpu_source"] == "proc"
    assert job["cpu_seconds"] <= metered.cpuacct + 0.02
    assert summary["cpu_complete"] is False
    assert any("lower bound" in sentence for sentence in summary["warnings"])


@pytest.mark.parametrize("view", [*BY_CGROUP, EXIT_RECORDS, PROC])
def test_sleeping_container_uses_nothing(metered: Metered, view: str) -> None:
    """A container beside the job is not charged with the job's time, by any source."""
    assert container_of(metered.summaries[view], metered.bystander.id)["cpu_seconds"] <= 0.01


@pytest.mark.parametrize("view", [*BY_CGROUP, EXIT_RECORDS, PROC])
def test_total_is_the_sum_of_the_containers_at_the_top(metered: Metered, view: str) -> None:
    """The run's CPU time is that of the containers at the top, and nothing is counted twice."""
    summary = metered.summaries[view]
    top = [one["cpu_seconds"] for one in summary["containers"] if one["parent"] is None]

    assert summary["cpu_seconds"] == pytest.approx(sum(one or 0 for one in top), abs=1e-5)
