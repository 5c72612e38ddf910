"""Names, labels and images from a real Docker: by its list, by its events, and while it is away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket, parse_socket
from jobmeter.identity.containers import ContainerIdentity, identify_container, job_within
from jobmeter.model.job import Job
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.docker import BUSYBOX, Container, DockerEngine

TASK = f"FORGEJO-ACTIONS-TASK-12_WORKFLOW-{'9' * 64}_JOB-build"
COMMON = TASK.replace("_", "-")[:63]
STEP_ENVIRONMENT = [
    "--env=FORGEJO_ACTIONS=true",
    "--env=GITHUB_REPOSITORY=org/tool",
    "--env=GITHUB_JOB=build",
    "--env=GITHUB_RUN_ID=31",
    "--env=GITHUB_TOKEN=not-to-be-kept",
]


@pytest.fixture
def catalog(docker_engine: DockerEngine) -> Iterator[Catalog]:
    with Catalog([parse_socket(docker_engine.url)], Notes(), first_pause=0.05) as running:
        eventually(lambda: running.states()[0].status == "connected")
        yield running
        assert running.close()


def known(catalog: Catalog, container_id: str) -> ContainerFacts:
    eventually(lambda: catalog.lookup(container_id) is not None)
    facts = catalog.lookup(container_id)
    assert facts is not None
    return facts


def assert_as_inspected(facts: ContainerFacts, container: Container) -> None:
    told = container.inspect()
    assert (facts.engine, facts.name, facts.image) == (
        "docker",
        told["Name"].lstrip("/"),
        told["Config"]["Image"],
    )
    assert facts.labels == told["Config"]["Labels"]
    assert facts.created is not None
    made = datetime.fromisoformat(told["Created"]).timestamp()
    assert 0 <= facts.created - int(made) < 5  # The list has whole seconds, an event comes a moment later.


def test_running_and_new(docker_engine: DockerEngine, catalog: Catalog) -> None:
    """A container is told alike by the list of a new catalog and by the events of an old one."""
    flags = ["--label=jobmeter.repository=org/tool", "--label=team=a b=c"]
    with docker_engine.spawn(BUSYBOX, "sleep", "60", flags=flags, name="catalogued") as container:
        by_event = known(catalog, container.id)
        assert_as_inspected(by_event, container)
        with Catalog([parse_socket(docker_engine.url)], Notes()) as another:
            by_list = known(another, container.id)
            assert_as_inspected(by_list, container)
        docker_engine.docker("rename", "catalogued", "renamed")
        eventually(lambda: known(catalog, container.id).name == "renamed")
    eventually(lambda: catalog.states()[0].containers == 0)
    assert known(catalog, container.id).name == "renamed"


def test_short_containers(docker_engine: DockerEngine, catalog: Catalog) -> None:
    """Containers that are gone at once are known none the less, each by its own labels."""
    ids = {
        number: docker_engine.run(
            BUSYBOX, "cat", "/proc/self/cgroup", flags=[f"--label=number={number}"]
        ).stdout
        for number in range(8)
    }
    for number, cgroup in ids.items():
        container_id = cgroup.strip().rpartition("/docker/")[2][:64]
        if len(container_id) == 64:  # a private cgroup namespace does not show it
            assert known(catalog, container_id).labels == {"number": str(number)}
    assert catalog.version >= 8


def test_whose_job(docker_engine: DockerEngine, catalog: Catalog) -> None:
    """A task's name, and the environment of one process that was executed within, name the job."""
    with docker_engine.spawn(BUSYBOX, "sleep", "60", name=TASK) as container:
        facts = known(catalog, container.id)
        assert identify_container(facts.name, facts.all_labels()) == ContainerIdentity(
            job=Job(forge="forgejo"), role="job", task_id="12", execution=COMMON, vouched=True
        )
        container.exec("sleep", "50", flags=["--detach", *STEP_ENVIRONMENT])
        eventually(lambda: any("GITHUB_JOB" in environ for environ in environments(container)))
        step = next(environ for environ in environments(container) if "GITHUB_JOB" in environ)
        assert identify_container(facts.name, facts.all_labels(), job_within(step)) == ContainerIdentity(
            job=Job(forge="forgejo", organization="org", repository="org/tool", job="build", run_id="31"),
            role="job",
            task_id="12",
            execution=COMMON,
            vouched=True,
        )


def environments(container: Container) -> list[dict[str, str]]:
    """Those of all processes of a container."""
    pids = container.engine.docker("top", container.id, "-o", "pid").stdout.split()[1:]
    texts = [Path("/proc", pid, "environ").read_bytes().decode() for pid in pids]
    return [dict(entry.partition("=")[::2] for entry in text.split("\0") if entry) for text in texts]


def test_engine_hangs_and_comes_back(tmp_path: Path) -> None:
    """A daemon that hangs or dies costs nothing that is known; when it is back, so are its events."""
    engine = DockerEngine.start()
    notes = Notes()
    catalog = Catalog([EngineSocket("docker", f"{engine.directory}/docker.sock")], notes, first_pause=0.05)
    try:
        catalog.start()
        container = engine.spawn(BUSYBOX, "sleep", "300", name="before")
        assert known(catalog, container.id).name == "before"
        os.kill(engine.pid, signal.SIGSTOP)
        assert known(catalog, container.id).name == "before"
        os.kill(engine.pid, signal.SIGCONT)
        container.remove()
        os.kill(engine.pid, signal.SIGTERM)
        eventually(lambda: catalog.states()[0].status in ("absent", "failed"), 30)
        assert known(catalog, container.id).name == "before"
        assert engine._daemon is not None
        engine._daemon.wait(30)
        engine._start_daemon()
        container = engine.spawn(BUSYBOX, "sleep", "300", name="after")
        assert known(catalog, container.id).name == "after"
        os.kill(engine.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert catalog.close()
        assert time.monotonic() - began < 1
        os.kill(engine.pid, signal.SIGCONT)
    finally:
        catalog.close()
        engine.stop()
    assert len([note for note in notes.sentences if "tells names and labels" in note]) == 2
