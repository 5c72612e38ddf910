"""The exporter's image, built and started as the documentation says, beside a job that works."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.collectors import cpuacct_seconds, wait_until
from tests.e2e.support.docker import BUSYBOX, HOST, Container, DockerEngine
from tests.e2e.support.exporters import ExporterContainer
from tests.e2e.support.images import DEPLOY_PAGE, EXPORTER, documented
from tests.e2e.support.network import PORT, TRANSFER, Link, Traffic

URL = "http://127.0.0.1:9925"
TASK = f"FORGEJO-ACTIONS-TASK-12_WORKFLOW-{'9' * 64}_JOB-build"
STEP = [
    f"--env={one}"
    for one in (
        "FORGEJO_ACTIONS=true",
        "GITHUB_REPOSITORY=acme/engine",
        "GITHUB_JOB=build",
        "GITHUB_RUN_ID=31",
    )
]
DOWN_BYTES, UP_BYTES = 4_000_000, 1_000_000
FETCH = ["python3", "-c", TRANSFER]
BURN = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done"
CAPABILITIES = 1 << 2 | 1 << 19
"""DAC_READ_SEARCH and SYS_PTRACE, in the bits of capabilities(7)."""


@pytest.fixture(scope="module", params=["host", "private"])
def deployed(exporter_image: DockerEngine, request: pytest.FixtureRequest) -> Iterator[ExporterContainer]:
    """Started by the page's own command. Its cgroup namespace is the host's, or one of its own as with cgroup v2."""
    command = documented(DEPLOY_PAGE, "docker run -d --name jobmeter-exporter")
    words = [word.replace("/run:/", f"{exporter_image.directory}:/") for word in command[1:]]
    words.insert(1, f"--cgroupns={request.param}")
    started = exporter_image.docker(*words).stdout.strip()
    exporter = ExporterContainer(Container(exporter_image, started, EXPORTER), URL)
    with exporter.container:
        exporter.get("/readyz")
        yield exporter
        assert exporter.container.stop() == 0, exporter.container.logs()
        said = [json.loads(line) for line in exporter.container.logs().splitlines()]
    assert [one["msg"] for one in said if one["level"] == "info"][-1] == "exporter stopped"
    assert [one for one in said if one["level"] != "info"] == []


@pytest.fixture(scope="module")
def job(deployed: ExporterContainer) -> Iterator[Container]:
    """A runner's container; the job is in the environment of its step alone, which is over when this begins."""
    engine = deployed.container.engine
    with engine.spawn(HOST, "sleep", "600", name=TASK, network="bridge") as container:
        container.exec("sh", "-c", f"{BURN}; sleep 1", flags=STEP)
        yield container


def test_names_and_job(deployed: ExporterContainer, job: Container) -> None:
    """Names come through the mounted socket, the job from the environment of a process of another container."""
    wait_until(lambda: deployed.info(job.id).get("repo"), "the job")
    info = deployed.info(job.id)

    assert (info["name"], info["image"]) == (TASK, HOST)
    assert (info["repo"], info["job"], info["attribution"]) == ("acme/engine", "build", "own")
    assert deployed.info(deployed.container.id)["name"] == EXPORTER


def test_cpu_time(deployed: ExporterContainer, job: Container) -> None:
    """It is that of the container's cgroup, read from outside."""
    account = cpuacct_seconds(job)

    def difference() -> float:
        return abs(deployed.scrape().container("cpu_usage_seconds_total", job.id) - account)

    assert account > 0.3
    wait_until(lambda: difference() < 0.02, "the same account")


def test_network(deployed: ExporterContainer, job: Container) -> None:
    """Bytes are those that iptables counts at the other end of the container's link."""
    link = Link(f"/proc/{job.engine.pid}/ns/net", "docker0")

    def shown() -> Traffic:
        scrape = deployed.scrape()
        names = (f"network_{way}_bytes_total" for way in ("receive", "transmit"))
        return Traffic(*(int(scrape.container(name, job.id)) for name in names))

    wait_until(
        lambda: deployed.scrape().values("jobmeter_container_network_receive_bytes_total", id=job.id), "it"
    )
    before = shown()
    with link.counted(), link.server(DOWN_BYTES):
        job.exec(*FETCH, link.address, str(DOWN_BYTES), str(PORT), str(UP_BYTES))
        counted = link.traffic()
    wait_until(lambda: shown().received - before.received >= DOWN_BYTES, "the bytes")
    after = shown()

    assert after.received - before.received == pytest.approx(counted.received, rel=0.001)
    assert after.sent - before.sent == pytest.approx(counted.sent, rel=0.001)


def test_job_by_ancestry(deployed: ExporterContainer) -> None:
    """An engine in a job's container makes containers whose cgroups lie elsewhere: they are found by ancestry."""
    labels = ["--label=jobmeter.repository=acme/tools", "--label=jobmeter.job=images"]
    with deployed.container.engine.spawn_engine(nested=False, flags=labels) as inner:
        made = inner.spawn("sleep", "600")
        wait_until(lambda: deployed.info(made).get("attribution"), "whose it is", 30.0)
        info = deployed.info(made)

    assert (info["repo"], info["attribution"]) == ("acme/tools", "ancestry")


def test_end_of_a_container(deployed: ExporterContainer) -> None:
    """Its last values stay."""
    with deployed.container.engine.spawn(BUSYBOX, "sh", "-c", BURN) as container:
        assert container.wait() == 0
    wait_until(
        lambda: deployed.scrape().values("jobmeter_container_end_time_seconds", id=container.id), "its end"
    )

    assert deployed.scrape().container("cpu_usage_seconds_total", container.id) > 0.3


def test_it_is_healthy_with_little_privilege(deployed: ExporterContainer) -> None:
    """By the image's own health check; its process has two capabilities."""
    wait_until(lambda: deployed.container.inspect()["State"]["Health"]["Status"] == "healthy", "its health")
    status = Path(f"/proc/{deployed.container.pid}/status").read_text()

    assert f"\nCapEff:\t{CAPABILITIES:016x}\n" in status
    assert deployed.get("/readyz")


def test_nothing_fails(deployed: ExporterContainer) -> None:
    """Every file can be read, and every engine answers."""
    scrape = deployed.scrape()

    assert sum(scrape.values("jobmeter_exporter_read_errors_total")) == 0
    assert scrape.values("jobmeter_exporter_engine_up") == [1]


def test_doctor_in_the_image(exporter_image: DockerEngine) -> None:
    """With the same flags it finds all that is needed; without the host's processes it says what is missing."""
    words = documented(DEPLOY_PAGE, "docker run -d --name jobmeter-exporter")
    flags = [
        word.replace("/run:/", f"{exporter_image.directory}:/")
        for word in words[5 : words.index(EXPORTER, 5)]
    ]
    flags += ["--rm", "--entrypoint=jobmeter", "--env=JOBMETER_ENGINE_SOCKET=/host/run/docker.sock"]
    doctor = [EXPORTER, "doctor", "--cgroup-path=/host/cgroup"]
    said = exporter_image.docker("run", *flags, *doctor).stdout
    alone = exporter_image.docker("run", *(one for one in flags if one != "--pid=host"), *doctor).stdout

    assert said.endswith("`jobmeter exporter` can run here.\n"), said
    assert "a container needs --pid=host" in " ".join(alone.split())
    assert alone.endswith("`jobmeter exporter` can run here; it will show less than it could.\n"), alone


def test_image_has_what_the_exporter_needs_alone(exporter_image: DockerEngine) -> None:
    """Neither the receiver's libraries, nor pip."""
    flags = ["--rm", "--network=none", "--entrypoint=sh"]
    command = f"ls /opt/jobmeter/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    installed = set(exporter_image.docker("run", *flags, EXPORTER, "-c", command).stdout.split())

    assert {"jobmeter", "docker", "grpc", "isal", "prometheus_client", "uvicorn"} <= installed
    assert not {"sqlalchemy", "alembic", "pip", "vl_convert"} & installed
