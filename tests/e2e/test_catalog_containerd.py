"""Names, labels and images from a real containerd."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.identity.containers import identify_container
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.containerd import BUSYBOX, Containerd, running_containerd
from tests.e2e.support.cri import running_pod

POD_UID = "2c48913c-b29f-11e7-9350-020968147796"


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with running_containerd(parents=(f"kubepods/pod{POD_UID}", "kubepods")) as engine:
        yield engine


@pytest.fixture
def catalog(containerd: Containerd) -> Iterator[Catalog]:
    with Catalog([EngineSocket("containerd", str(containerd.socket))], Notes(), first_pause=0.05) as running:
        eventually(lambda: running.states()[0].status == "connected")
        yield running
        assert running.close()


def known(catalog: Catalog, container_id: str) -> ContainerFacts:
    eventually(lambda: catalog.lookup(container_id) is not None)
    facts = catalog.lookup(container_id)
    assert facts is not None
    return facts


def create(engine: Containerd, name: str, *flags: str, namespace: str = "default") -> None:
    command = ["container", "create", *flags, BUSYBOX, name, "/bin/true"]
    engine.ctr("--namespace", namespace, *command)


def test_list_and_events(containerd: Containerd, catalog: Catalog) -> None:
    """A container is told alike by the list of a new catalog and by the events of an old one."""
    create(containerd, "job1", "--label=jobmeter.repository=org/tool")
    by_event = known(catalog, "job1")
    assert (by_event.engine, by_event.name, by_event.image) == ("containerd", "job1", BUSYBOX)
    assert by_event.labels["jobmeter.repository"] == "org/tool"
    assert by_event.created is not None
    assert abs(by_event.created - time.time()) < 60
    with Catalog([EngineSocket("containerd", str(containerd.socket))], Notes()) as another:
        assert known(another, "job1") == by_event
    containerd.ctr("container", "label", "job1", "team=a")
    eventually(lambda: known(catalog, "job1").labels.get("team") == "a")
    containerd.ctr("container", "rm", "job1")
    eventually(lambda: catalog.states()[0].containers == 0)
    assert known(catalog, "job1").labels["team"] == "a"


def test_short_container(containerd: Containerd, catalog: Catalog) -> None:
    """One that is gone at once is known none the less."""
    containerd.ctr("run", "--rm", "--label=x=y", BUSYBOX, "short", "/bin/true")
    assert known(catalog, "short").labels["x"] == "y"


def test_namespaces(containerd: Containerd, catalog: Catalog) -> None:
    """The same name in two namespaces is two containers."""
    create(containerd, "twin", "--label=at=default")
    create(containerd, "twin", "--label=at=ci", namespace="ci")
    assert known(catalog, "twin").labels["at"] == "default"
    assert known(catalog, "ci/twin").labels["at"] == "ci"
    for namespace in ("default", "ci"):
        containerd.ctr("--namespace", namespace, "container", "rm", "twin")


def test_engine_hangs_and_comes_back(containerd: Containerd) -> None:
    """A daemon that hangs delays no end; one that was away is followed again."""
    place = EngineSocket("containerd", str(containerd.socket))
    with Catalog([place], Notes(), first_pause=0.05) as catalog:
        create(containerd, "before")
        known(catalog, "before")
        containerd.stop()
        eventually(lambda: catalog.states()[0].status != "connected")
        known(catalog, "before")
        containerd.start()
        create(containerd, "after")
        known(catalog, "after")
        containerd.signal(signal.SIGSTOP)
        began = time.monotonic()
        assert catalog.close()
        assert time.monotonic() - began < 1
        containerd.signal(signal.SIGCONT)


def test_pod(containerd: Containerd, catalog: Catalog) -> None:
    """A pod as the kubelet makes it through containerd's CRI plugin: its annotations name the container's job."""
    url = "https://gitlab.example.com/group/app/-/jobs/12"
    labels = {"team": "a", "project.runner.gitlab.com/id": "3"}
    annotations = {"job.runner.gitlab.com/id": "12", "job.runner.gitlab.com/url": url, "other": "x"}
    with running_pod(containerd, POD_UID, "runner-1", "ci", labels, annotations) as pod:
        facts = known(catalog, pod.create("build", "/bin/true"))
        assert (facts.name, facts.image, facts.is_sandbox) == ("build", BUSYBOX, False)
        assert facts.pod is not None
        assert (facts.pod.uid, facts.pod.name, facts.pod.namespace) == (POD_UID, "runner-1", "ci")
        assert (facts.pod.labels["team"], "other" in facts.pod.annotations) == ("a", False)
        identity = identify_container(facts.name, facts.all_labels())
        assert identity is not None
        assert (identity.job.repository, identity.role, identity.task_id) == ("group/app", "job", "12")
        assert known(catalog, pod.id).is_sandbox
