"""Two Prometheus servers behind one address, as a pair behind a translated one: each sees a short job whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scripts.dashboards.asking import Prometheus
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.docker import BUSYBOX, DockerEngine
from tests.e2e.support.exporters import running_exporter
from tests.e2e.support.prometheus import prometheus

TOTAL = 'jobmeter_repository_cpu_seconds_total{repo="acme/pair"}'
LABELS = ("--label=jobmeter.repository=acme/pair", "--label=jobmeter.job=build")
BURN = ("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; sleep 1")


def newest(server: Prometheus, expr: str) -> float:
    """Its value now, 0 where there is none."""
    return sum(one.points[0][1] for one in server.at(expr, time.time()))


def test_each_of_a_pair_sees_a_job_begin(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """To the exporter both are one scraper; the whole of a job that is over is in the `increase()` of each."""
    for name in ("exporter", "one", "other"):
        (tmp_path / name).mkdir()
    socket = f"--engine-socket=docker={docker_engine.directory}/docker.sock"
    with (
        running_exporter(tmp_path / "exporter", socket) as exporter,
        prometheus(tmp_path / "one", JOBMETER_TARGET=exporter.address) as one,
        prometheus(tmp_path / "other", JOBMETER_TARGET=exporter.address) as other,
    ):
        both = (one, other)
        wait_until(lambda: all(newest(server, "up") for server in both), "the first scrapes")
        with docker_engine.spawn(BUSYBOX, *BURN, flags=LABELS) as container:
            assert container.wait() == 0
        wait_until(lambda: all(newest(server, TOTAL) for server in both), "the job's CPU time")
        used = newest(one, TOTAL)
        assert used > 0.05
        for server in both:
            assert newest(server, TOTAL) == used
            assert newest(server, f"min_over_time({TOTAL}[10m])") == 0
            assert newest(server, f"increase({TOTAL}[10m])") == pytest.approx(used, rel=0.25)
