"""Stories of runs for tests that look at history: jobs with levels, outliers, failures, branches and legs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.model.uid import uuid7

GIB, MIB = 2**30, 2**20
HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e&amp;/../%2F"


def run(
    job: Job,
    start: datetime,
    *,
    seconds: float = 300.0,
    memory: float = 800 * MIB,
    cores: float = 1.6,
    reserved: tuple[float, float] = (4.0, 4 * GIB),
    reason: str = "success",
) -> Summary:
    """One run of a container that used so much of what it reserved."""
    container = ContainerSummary(
        name="build",
        cpu_cores=Statistic(
            peak=cores * 2, p99=cores * 1.8, p95=cores * 1.5, p75=cores * 1.2, p50=cores, avg=cores
        ),
        memory_bytes=Statistic(peak=int(memory), avg=int(memory * 0.7)),
        memory_source="working_set",
        memory_working_set_peak_bytes=int(memory),
        memory_high_water_bytes=int(memory * 0.6),
        cpu_seconds=cores * seconds,
        cpu_source="cgroup",
        cpu_request_cores=reserved[0],
        memory_request_bytes=int(reserved[1]),
        memory_limit_bytes=int(reserved[1]),
        throttled_seconds=0.0,
        oom_kills=0,
        network_rx_bytes=int(2e8),
        network_tx_bytes=int(1e6),
    )
    names = f"{job.repository}{job.job}{job.matrix}"
    uid = uuid7(int(start.timestamp() * 1000), random.Random(names).randbytes(11))
    return Summary(
        run_uid=uid,
        job=job,
        start_time=_time(start),
        end_time=_time(start + timedelta(seconds=seconds)),
        duration_seconds=seconds,
        sample_count=int(seconds),
        cpu_seconds=cores * seconds,
        unattributed_cpu_seconds=0.0,
        containers=[container],
        exit=Exit(reason=reason, code=0 if reason == "success" else 1),
    )


def story(end: datetime | None = None, runs: int = 120) -> Iterator[Summary]:
    """Some weeks of an organization: a build that grows, tests in three legs, a lint, another repository."""
    chance = random.Random(7)
    end = end or datetime.now(UTC)
    for number in range(runs):
        start = end - timedelta(hours=6 * (runs - number))
        grown = number >= runs * 2 // 3
        yield run(
            _job("build", number, ref="refs/heads/main"),
            start,
            seconds=chance.gauss(300, 12),
            memory=(1.3 if grown else 0.8)
            * GIB
            * chance.gauss(1, 0.03)
            * (2.1 if number == runs // 3 else 1),
            cores=chance.gauss(1.6, 0.05),
            reason="failure" if chance.random() < 0.06 else "success",
        )
        for leg, need in (("3.11", 0.5), ("3.12", 0.55), ("3.13", 0.9)):
            if number % 3 == 0:
                yield run(
                    _job("test", number, ref="refs/heads/main", matrix={"python": leg}),
                    start + timedelta(minutes=7),
                    seconds=chance.gauss(120, 8),
                    memory=need * GIB * chance.gauss(1, 0.04),
                    cores=chance.gauss(0.9, 0.05),
                    reserved=(2.0, 8 * GIB),
                )
        if number % 4 == 0:
            yield run(
                _job("lint", number, repository="acme/tools", workflow="lint.yaml"),
                start + timedelta(minutes=3),
                seconds=chance.gauss(20, 2),
                memory=90 * MIB * chance.gauss(1, 0.05),
                cores=0.4,
                reserved=(1.0, 512 * MIB),
            )
    for number in range(8):
        yield run(
            _job("build", 900 + number, ref="refs/heads/faster-link"),
            end - timedelta(hours=5 * number, minutes=30),
            seconds=chance.gauss(210, 10),
            memory=1.32 * GIB * chance.gauss(1, 0.02),
            cores=chance.gauss(1.7, 0.05),
        )


def hostile(end: datetime | None = None) -> Iterator[Summary]:
    """Runs whose every name is markup, in any place where a name is shown."""
    end = end or datetime.now(UTC)
    for number in range(7):
        job = Job(
            forge="forgejo", organization=f"evil{HOSTILE}", repository=f"evil{HOSTILE}/{HOSTILE}", workflow=HOSTILE,
            job=HOSTILE, run_id=HOSTILE, ref=f"refs/heads/{HOSTILE}{number % 2}", sha=HOSTILE,
            matrix={HOSTILE: HOSTILE}, runner_labels=(HOSTILE,),
        )  # fmt: skip
        summary = run(job, end - timedelta(hours=number), memory=GIB * (5 if number == 0 else 1))
        summary.containers[0].name = HOSTILE
        summary.exit = Exit(reason=HOSTILE if number == 3 else "success", detail=HOSTILE)
        yield summary


def _job(name: str, number: int, **fields: Any) -> Job:
    known = {
        "forge": "forgejo", "organization": "acme", "repository": "acme/engine", "workflow": "ci.yaml",
        "run_id": str(4000 + number), "sha": f"{number * 7919 + 1:040x}"[::-1], "ref": "refs/heads/main",
        "runner_labels": ("linux", "big"),
    }  # fmt: skip
    return Job(job=name, **(known | fields))


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
