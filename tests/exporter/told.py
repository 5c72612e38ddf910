"""Containers of which engines and processes tell something."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.announced import Announcements
from jobmeter.exporter.container import Container, Identity
from jobmeter.exporter.directory import Identities
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.account import Account
from jobmeter.model.job import Job
from tests.exporter.proc import Processes
from tests.exporter.tree import BEGAN, Catalog

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
ENVIRON = {
    "GITEA_ACTIONS": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "org/tool",
    "GITHUB_JOB": "build",
    "GITHUB_RUN_ID": "31",
    "GITHUB_TOKEN": "not-to-be-kept",
}
JOB = Job(forge="gitea", organization="org", repository="org/tool", job="build", run_id="31")
TASK = f"GITEA-ACTIONS-TASK-12_WORKFLOW-{'9' * 64}_JOB-build"
WITH_SOCKET = "91 90 0:22 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw\n"


@dataclass
class Host:
    """Containers in a tree of cgroups, their processes, and a clock that a test moves on, or sets."""

    root: Path
    now: float = BEGAN
    set_by: float = 0.0
    catalog: Catalog = field(default_factory=Catalog)
    containers: dict[str, Container] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "proc").mkdir()
        self.proc = Processes(self.root / "proc")
        self.announced = Announcements(lambda: self.now + self.set_by)
        self.identities = Identities(
            self.catalog, self.announced, root=self.proc.host.root, clock=lambda: self.now + self.set_by,
            monotonic=lambda: self.now,
        )  # fmt: skip

    def begin(self, path: str, *pids: int) -> Container:
        """A container at this cgroup path, with these processes."""
        ref = locate(path)
        assert ref is not None
        top = str(self.root / "cgroup")
        (self.root / "cgroup" / path.lstrip("/")).mkdir(parents=True)
        container = Container(
            ref,
            {"": top},
            started=self.now + self.set_by,
            seen=self.now,
            descriptors=Descriptors(0),
            errors={},
        )
        container.open_what_is_there()
        self.containers[path] = container
        self.processes(path, *pids)
        return container

    def processes(self, path: str, *pids: int) -> None:
        """From now on these are in it."""
        directory = self.root / "cgroup" / path.lstrip("/")
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        if pids:
            self.containers[path].first_pid = pids[0]

    def work(self, path: str) -> None:
        """Something runs in it."""
        container = self.containers[path]
        used = (container.row.account.cpu_seconds or 0.0) + 0.1
        container.row = replace(container.row, account=Account(cpu_seconds=used))

    def end(self, path: str) -> None:
        self.containers[path].end(self.now, ended=self.now + self.set_by)
        self.processes(path)

    def identity(self, path: str, after: float = 0.0) -> Identity:
        """What is known so much later."""
        self.now += after
        self.identities.learn(self.containers.values())
        return self.identities.identify(self.containers[path])


def docker(container_id: str) -> str:
    return f"/docker/{container_id}"


def hashed(*parts: str) -> str:
    whole = "-".join(parts)
    return f"{whole[:63].strip('-')}-{hashlib.sha256(whole.encode()).hexdigest()}"


GITLAB_POD = {
    "io.kubernetes.pod.uid": "11111111-2222-3333-4444-555555555555",
    "io.kubernetes.pod.name": "runner-abc-project-1-concurrent-0",
    "io.kubernetes.pod.namespace": "ci",
    "io.kubernetes.container.name": "build",
    "job.runner.gitlab.com/id": "12345",
    "job.runner.gitlab.com/url": "https://gitlab.example.com/group/app/-/jobs/12345",
    "job.runner.gitlab.com/name": "lint",
}
OWN = {"jobmeter.repository": "me/tool", "jobmeter.job": "mine", "jobmeter.run_id": "5"}
TOLD = ("forge", "repository", "workflow", "job", "run_id")


def job_with_socket(host: Host, mounts: str = WITH_SOCKET) -> None:
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, mounts=mounts)
    host.identity(docker(A))
    host.identity(docker(A), after=2)
