"""Names, labels and images from a real Podman by its service, which speaks Docker's API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.facts import PodFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.podman import BUSYBOX, Podman, running_podman


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with running_podman() as engine:
        yield engine


@pytest.fixture
def catalog(podman: Podman) -> Iterator[Catalog]:
    with Catalog([EngineSocket("docker", str(podman.socket))], Notes(), first_pause=0.05) as running:
        eventually(lambda: running.states()[0].status == "connected")
        yield running
        assert running.close()


def labels(catalog: Catalog, container_id: str) -> dict[str, str]:
    eventually(lambda: catalog.lookup(container_id) is not None)
    facts = catalog.lookup(container_id)
    assert facts is not None
    return facts.labels


def test_running_and_short(podman: Podman, catalog: Catalog) -> None:
    """Podman is told from Docker; short containers are known, and running ones in a new catalog, too."""
    assert catalog.states()[0].engine == "podman"
    container_id = podman.run("--detach", "--name=web", "--label=jobmeter.job=x", BUSYBOX, "sleep", "60")
    assert labels(catalog, container_id) == {"jobmeter.job": "x"}
    facts = catalog.lookup(container_id)
    assert facts is not None
    assert (facts.engine, facts.name, facts.image) == ("podman", "web", BUSYBOX)
    before = catalog.version
    podman.run("--rm", "--label=number=1", BUSYBOX, "true")
    eventually(lambda: catalog.version > before)
    with Catalog([EngineSocket("docker", str(podman.socket))], Notes()) as another:
        assert labels(another, container_id) == {"jobmeter.job": "x"}
    podman("rm", "--force", "--time=0", container_id)
    eventually(lambda: catalog.states()[0].containers == 0)


def test_pod(podman: Podman, catalog: Catalog) -> None:
    """An event tells the pod of a container."""
    pod_id = podman("pod", "create", "--name=pod1", "--share=ipc,uts", "--network=none")
    container_id = podman.run("--detach", "--pod=pod1", BUSYBOX, "sleep", "60")
    assert labels(catalog, container_id) == {}
    facts = catalog.lookup(container_id)
    assert facts is not None
    assert facts.pod == PodFacts(pod_id)


def test_service_comes_back(podman: Podman, catalog: Catalog) -> None:
    """Podman's containers live on without the service, and are known all the while."""
    container_id = podman.run("--detach", "--label=a=b", BUSYBOX, "sleep", "60")
    assert labels(catalog, container_id) == {"a": "b"}
    podman.leave()
    eventually(lambda: catalog.states()[0].status in ("absent", "failed"))
    assert labels(catalog, container_id) == {"a": "b"}
    unseen = podman.run("--detach", "--label=c=d", BUSYBOX, "sleep", "60")
    podman.serve()
    assert labels(catalog, unseen) == {"c": "d"}
