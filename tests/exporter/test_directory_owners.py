"""Whose a container is that says nothing of it itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.exporter.attribution import DECIDE_SECONDS
from jobmeter.model.job import Job
from tests.exporter.proc import ENGINE_MOUNTS
from tests.exporter.told import (
    ENVIRON,
    JOB,
    OWN,
    TASK,
    WITH_SOCKET,
    A,
    B,
    C,
    Host,
    docker,
    hashed,
    job_with_socket,
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_service_of_a_task(host: Host) -> None:
    """A service, started first and with no environment of the job, is its job's once the job's container is known."""
    service = hashed(TASK.replace("_", "-"), "redis")
    host.catalog.put(B, service)
    host.catalog.put(A, TASK)
    host.begin(docker(B), 20)
    host.proc.put(20, docker(B), parent=5)
    identity = host.identity(docker(B))
    assert (identity.job, identity.task_id) == (Job(forge="gitea"), "12")
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ=ENVIRON)
    assert host.identity(docker(B)).job == JOB


def test_nested(host: Host) -> None:
    """A container in that of a job is the job's; one in that of nobody is nobody's."""
    host.catalog.put(A, labels=OWN)
    for path in (docker(A), docker(A) + docker(B), docker(C), docker(C) + docker(B)):
        host.begin(path)
    identity = host.identity(docker(A) + docker(B))
    assert (identity.attribution, identity.job) == ("nesting", host.identity(docker(A)).job)
    assert host.identity(docker(C) + docker(B)).attribution is None


def test_descendant(host: Host) -> None:
    """A container beside that of a job is the job's if its shim descends from there."""
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.begin(docker(B), 40)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(30, docker(A), parent=10)
    host.proc.put(40, docker(B), parent=30)
    host.proc.put(5, "/system.slice/containerd.service")
    assert host.identity(docker(B)).attribution == "ancestry"


def test_descendant_that_claims(host: Host) -> None:
    """What a job starts is its own, whatever environment it gives it."""
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.begin(docker(B), 40)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(40, docker(B), parent=10, environ=ENVIRON)
    host.identity(docker(B), after=2)  # The chain broke off: it is followed again.
    host.identity(docker(B), after=2)
    host.proc.put(5, "/system.slice/containerd.service")
    host.work(docker(B))
    identity = host.identity(docker(B), after=2)
    assert (identity.attribution, identity.job) == ("ancestry", host.identity(docker(A)).job)


def test_two_servers(host: Host) -> None:
    """A task of the same number is another server's, unless its workflow and job are the same too."""
    host.catalog.put(A, TASK)
    host.catalog.put(B, TASK.replace("9", "8"))
    host.begin(docker(A), 10)
    host.begin(docker(B))
    host.proc.put(10, docker(A), parent=5, environ=ENVIRON)
    first, other = (host.identity(docker(one)) for one in (A, B))
    assert (first.job, other.job, other.task_id) == (JOB, Job(forge="gitea"), "12")
    assert first.execution != other.execution


def test_made_through_the_socket(host: Host) -> None:
    """By the only job that was there, which can reach the engine."""
    job_with_socket(host)
    host.catalog.put(B, "anything")
    host.begin(docker(B))
    assert host.identity(docker(B)).attribution is None
    identity = host.identity(docker(B), after=DECIDE_SECONDS)
    assert (identity.attribution, identity.job) == ("only_job", host.identity(docker(A)).job)
    assert identity.name == "anything"


@pytest.mark.parametrize("step", [0.0, -3600.0, 3600.0])
def test_one_of_two_jobs_while_the_clock_is_set(host: Host, step: float) -> None:
    """It was there before and still is, though by the new clock it would have begun later: nobody knows which."""
    host.now += 7200
    job_with_socket(host)
    host.now += 10
    host.set_by = step
    host.identity(docker(A))
    host.catalog.put(C, labels={**OWN, "jobmeter.run_id": "6"})
    host.begin(docker(C), 30)
    host.proc.put(30, docker(C), parent=5, mounts=WITH_SOCKET)
    host.identity(docker(C))
    host.identity(docker(C), after=5)
    host.catalog.put(B, "anything")
    host.begin(docker(B))
    host.identity(docker(B))
    assert host.identity(docker(B), after=DECIDE_SECONDS).attribution is None


@pytest.mark.parametrize(
    "mounts, attribution", [(WITH_SOCKET, "only_job"), (WITH_SOCKET.replace("docker", "podman/podman"), None)]
)
def test_built_through_the_socket(host: Host, mounts: str, attribution: str | None) -> None:
    """The steps of Docker's own builder, which no engine lists and no other engine has."""
    job_with_socket(host, mounts)
    path = f"/docker/buildkit/{'k' * 25}"
    host.begin(path)
    host.identity(path)
    assert host.identity(path, after=DECIDE_SECONDS).attribution == attribution


def test_built_within(host: Host) -> None:
    """A builder within another container is not the host's."""
    job_with_socket(host)
    path = f"{docker(B)}/docker/buildkit/{'k' * 25}"
    host.begin(path)
    host.identity(path)
    assert host.identity(path, after=DECIDE_SECONDS).attribution is None


@pytest.mark.parametrize(
    "facts",
    [
        None,
        {"engine": "containerd", "labels": {"io.kubernetes.pod.uid": "1111"}},
        {"labels": {"io.kubernetes.pod.uid": "1111"}},
    ],
)
def test_not_made_through_the_socket(host: Host, facts: dict[str, object] | None) -> None:
    """What no engine knows, and what the kubelet made."""
    job_with_socket(host)
    if facts is not None:
        host.catalog.put(B, "x", **facts)  # type: ignore[arg-type]
    host.begin(docker(B))
    host.identity(docker(B))
    assert host.identity(docker(B), after=DECIDE_SECONDS).attribution is None


def test_mounts_of_the_runtime(host: Host) -> None:
    """In its first moments a container's process still has the mounts of the host; they are not its own."""
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, mounts=ENGINE_MOUNTS)
    host.identity(docker(A), after=0.5)
    host.proc.put(10, docker(A), parent=5, mounts="")
    host.identity(docker(A), after=2)
    host.catalog.put(B, "x")
    host.begin(docker(B))
    host.identity(docker(B))
    assert host.identity(docker(B), after=DECIDE_SECONDS).attribution is None
