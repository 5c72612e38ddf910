"""What engines and processes tell of a container comes together, is asked for once, and holds nothing else."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.attribution import DECIDE_SECONDS
from jobmeter.exporter.container import Container, Identity
from jobmeter.exporter.directory import MAX_LOOKS, Identities
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.account import Account
from jobmeter.model.job import Job
from tests.exporter.proc import ENGINE_MOUNTS, Processes
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
    """Containers in a tree of cgroups, their processes, and a clock that a test moves on."""

    root: Path
    now: float = BEGAN
    catalog: Catalog = field(default_factory=Catalog)
    containers: dict[str, Container] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "proc").mkdir()
        self.proc = Processes(self.root / "proc")
        self.identities = Identities(
            self.catalog, root=self.proc.host.root, clock=lambda: self.now, monotonic=lambda: self.now
        )

    def begin(self, path: str, *pids: int) -> Container:
        """A container at this cgroup path, with these processes."""
        ref = locate(path)
        assert ref is not None
        top = str(self.root / "cgroup")
        (self.root / "cgroup" / path.lstrip("/")).mkdir(parents=True)
        container = Container(
            ref,
            {"": top},
            started=self.now,
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
        self.containers[path].end(self.now, ended=self.now)
        self.processes(path)

    def identity(self, path: str, after: float = 0.0) -> Identity:
        """What is known so much later."""
        self.now += after
        self.identities.learn(self.containers.values())
        return self.identities.identify(self.containers[path])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def docker(container_id: str) -> str:
    return f"/docker/{container_id}"


def hashed(*parts: str) -> str:
    whole = "-".join(parts)
    return f"{whole[:63].strip('-')}-{hashlib.sha256(whole.encode()).hexdigest()}"


GITLAB = {
    "com.gitlab.gitlab-runner.job.id": "12345",
    "com.gitlab.gitlab-runner.job.url": "https://gitlab.example.com/group/app/-/jobs/12345",
    "com.gitlab.gitlab-runner.pipeline.id": "77",
    "com.gitlab.gitlab-runner.type": "build",
}
GITLAB_ENVIRON = {
    "GITLAB_CI": "true",
    "CI_PROJECT_PATH": "group/app",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_JOB_NAME": "rspec 2/3",
    "CI_NODE_INDEX": "2",
    "CI_NODE_TOTAL": "3",
    "CI_PIPELINE_ID": "77",
}
GITLAB_POD = {
    "io.kubernetes.pod.uid": "11111111-2222-3333-4444-555555555555",
    "io.kubernetes.pod.name": "runner-abc-project-1-concurrent-0",
    "io.kubernetes.pod.namespace": "ci",
    "io.kubernetes.container.name": "build",
    "job.runner.gitlab.com/id": "12345",
    "job.runner.gitlab.com/url": "https://gitlab.example.com/group/app/-/jobs/12345",
    "job.runner.gitlab.com/name": "lint",
}
ARC_POD = {
    "io.kubernetes.pod.name": "arc-set-x7k2p-runner-9qz4d",
    "io.kubernetes.container.name": "runner",
    "app.kubernetes.io/component": "runner",
    "actions.github.com/scale-set-name": "arc-set",
    "actions.github.com/organization": "octo",
}
GITHUB_ENVIRON = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/tool",
    "GITHUB_WORKFLOW": "ci",
    "GITHUB_JOB": "test",
    "GITHUB_RUN_ID": "9",
    "RUNNER_NAME": "arc-set-x7k2p-runner-9qz4d",
}
OWN = {"jobmeter.repository": "me/tool", "jobmeter.job": "mine", "jobmeter.run_id": "5"}
TOLD = ("forge", "repository", "workflow", "job", "run_id")


@pytest.mark.parametrize(
    "name, labels, environ, told, role, task_id",
    [
        ("act_runner", hashed("GITEA-ACTIONS-TASK-7", "WORKFLOW-ci", "JOB-build"), ENVIRON,
         ("gitea", "org/tool", None, "build", "31"), "job", "7"),
        ("gitea-runner", TASK, ENVIRON, ("gitea", "org/tool", None, "build", "31"), "job", "12"),
        ("forgejo-runner", TASK.replace("GITEA", "FORGEJO"), {**ENVIRON, "FORGEJO_ACTIONS": "true"},
         ("forgejo", "org/tool", None, "build", "31"), "job", "12"),
        ("gitlab-runner Docker", GITLAB, GITLAB_ENVIRON,
         ("gitlab", "group/app", ".gitlab-ci.yml", "rspec", "77"), "job", "12345"),
        ("gitlab-runner Kubernetes", GITLAB_POD, {},
         ("gitlab", "group/app", None, "lint", None), "job", "12345"),
        ("actions-runner-controller", ARC_POD, GITHUB_ENVIRON,
         ("github", "octo/tool", "ci", "test", "9"), "runner", None),
        ("actions/runner", {}, GITHUB_ENVIRON, ("github", "octo/tool", "ci", "test", "9"), None, None),
        ("jobmeter", OWN, {}, (None, "me/tool", None, "mine", "5"), None, None),
        ("jobmeter over all", {**GITLAB, **OWN}, GITLAB_ENVIRON,
         ("gitlab", "me/tool", ".gitlab-ci.yml", "mine", "5"), "job", "12345"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)  # fmt: skip
def test_runners(
    host: Host,
    name: str,
    labels: Mapping[str, str] | str,
    environ: Mapping[str, str],
    told: tuple[str | None, ...],
    role: str | None,
    task_id: str | None,
) -> None:
    """Each kind of runner, by its names or labels and the environment of a process that was executed within."""
    called, labels = (labels, {}) if isinstance(labels, str) else (name, labels)
    host.catalog.put(A, called, labels)
    host.begin(docker(A), 10, 11)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(11, docker(A), parent=6, environ=environ)
    identity = host.identity(docker(A))
    assert identity.attribution == "own"
    assert identity.job is not None
    assert tuple(getattr(identity.job, name) for name in TOLD) == told
    assert (identity.role, identity.task_id, identity.image) == (role, task_id, "bb:1")
    assert dict(identity.labels) == labels


def test_pod(host: Host) -> None:
    """A container in a pod has the pod's name and namespace."""
    path = f"/kubepods/burstable/pod11111111-2222-3333-4444-555555555555/{A}"
    host.catalog.put(A, labels=GITLAB_POD, engine="containerd")
    host.begin(path)
    identity = host.identity(path)
    assert (identity.namespace, identity.pod_name) == ("ci", "runner-abc-project-1-concurrent-0")
    assert identity.name == "build"


def test_nothing_known(host: Host) -> None:
    """Of a container that neither an engine nor a process tells anything of."""
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ={"HOME": "/root"})
    assert host.identity(docker(A)) == Identity()
    assert host.identity(docker(A), after=100) == Identity()


def test_only_the_job_is_kept(host: Host) -> None:
    """Of an environment nothing else is held anywhere."""
    host.catalog.put(A, TASK)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ={**ENVIRON, "CI_SECRET": "not-to-be-kept"})
    assert host.identity(docker(A)).job == JOB
    gc.collect()
    held = [one for one in gc.get_objects() if isinstance(one, dict) and "not-to-be-kept" in one.values()]
    assert [one for one in held if one is not ENVIRON and "CI_SECRET" in one] == []


def test_name_after_the_processes(host: Host) -> None:
    """An engine tells of a container after the kernel; the environments are looked at again with other eyes."""
    host.begin(docker(A), 10, 11)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(11, docker(A), parent=10, environ=ENVIRON)
    assert host.identity(docker(A), after=2) == Identity()
    host.catalog.put(A, TASK)
    identity = host.identity(docker(A))
    assert (identity.name, identity.job, identity.task_id) == (TASK, JOB, "12")


def test_name_after_the_end(host: Host) -> None:
    """Also where the container was gone before."""
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5)
    host.identity(docker(A))
    host.end(docker(A))
    assert not host.identity(docker(A)).resolved
    host.catalog.put(A, labels=OWN)
    assert host.identity(docker(A)).resolved


def test_renamed(host: Host) -> None:
    """The new name is shown, and believed."""
    host.catalog.put(A, "web", {"team": "a"})
    host.begin(docker(A))
    assert host.identity(docker(A)).name == "web"
    host.catalog.put(A, TASK, {"team": "a"})
    identity = host.identity(docker(A))
    assert (identity.name, identity.task_id, identity.attribution) == (TASK, "12", "own")


def test_forgotten_by_its_engine(host: Host) -> None:
    """A container whose engine goes away or forgets it keeps its name."""
    host.catalog.put(A, "web")
    host.begin(docker(A))
    host.identity(docker(A))
    host.catalog.facts.clear()
    host.catalog.version += 1
    assert host.identity(docker(A)).name == "web"


def test_same_name_of_two_engines(host: Host) -> None:
    """An id that the user chose is looked up with the engine that its cgroup tells."""
    host.catalog.put("web", "web", OWN, engine="containerd")
    host.begin("/lxc/web")
    host.begin("/default/web")
    assert host.identity("/lxc/web") == Identity()
    assert host.identity("/default/web").resolved


def test_nothing_is_asked_twice(host: Host) -> None:
    """The same object comes back while nothing changed, and neither the catalog nor a process is asked."""
    host.catalog.put(A, TASK)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ=ENVIRON)
    host.identity(docker(A))
    before = host.identity(docker(A), after=2)
    asked, processes = host.catalog.asked, host.containers[docker(A)].processes
    host.containers[docker(A)].processes = pytest.fail  # type: ignore[method-assign]
    assert host.identity(docker(A), after=1000) is before
    assert host.catalog.asked == asked
    host.containers[docker(A)].processes = processes  # type: ignore[method-assign]


def looks(host: Host, path: str, seconds: int, *, works: bool = True) -> int:
    """How often the processes are looked at, when it is asked every second."""
    count, processes = 0, host.containers[path].processes

    def counted() -> list[int]:
        nonlocal count
        count += 1
        return processes()

    host.containers[path].processes = counted  # type: ignore[method-assign]
    for _ in range(seconds):
        if works:
            host.work(path)
        host.identity(path, after=1)
    host.containers[path].processes = processes  # type: ignore[method-assign]
    return count


def test_pace(host: Host) -> None:
    """One of nobody is looked into ever more seldom, one that a runner claims every few seconds, an idle one never."""
    host.begin(docker(A), 10)
    host.begin(docker(B), 20)
    host.catalog.put(B, TASK)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(20, docker(B), parent=5)
    assert 10 < looks(host, docker(A), 60) < 25
    assert looks(host, docker(A), 600) < 15
    assert 100 < looks(host, docker(B), 600) < 150
    assert looks(host, docker(A), 600, works=False) == looks(host, docker(B), 600, works=False) == 0


def test_runtime_before_the_process(host: Host) -> None:
    """A process is the runtime's at first: what it becomes is looked at too."""
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, environ={"_LIBCONTAINER_INITPIPE": "3"})
    assert host.identity(docker(A)) == Identity()
    host.proc.put(10, docker(A), parent=5, environ=ENVIRON)
    assert host.identity(docker(A), after=0.5).job == JOB


def test_runner_that_works_beside_itself(host: Host) -> None:
    """Steps that a runner's daemon runs as its children, one job after the other, do not make its container theirs."""
    host.begin(docker(A), 10, 11)
    host.proc.put(10, docker(A), parent=5, environ={"GITEA_INSTANCE_URL": "https://git.example"})
    host.proc.put(11, docker(A), parent=10, environ=ENVIRON)
    assert host.identity(docker(A), after=2).attribution is None


def test_job_that_plays_another(host: Host) -> None:
    """What the runner executes is believed before what that starts."""
    host.catalog.put(A, TASK)
    host.begin(docker(A), 10, 11, 12)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(11, docker(A), parent=12, environ={**ENVIRON, "GITHUB_REPOSITORY": "evil/other"})
    host.proc.put(12, docker(A), parent=6, environ=ENVIRON)
    assert host.identity(docker(A)).job == JOB


def test_many_processes(host: Host) -> None:
    """So many are read at once, and the rest the next times."""
    pids = range(10, 10 + 3 * MAX_LOOKS)
    host.catalog.put(A, TASK)
    host.begin(docker(A), *pids)
    for pid in pids:
        host.proc.put(pid, docker(A), parent=5, environ=ENVIRON if pid == pids[-1] else {})
    assert not host.identity(docker(A)).resolved
    for _ in range(5):
        host.identity(docker(A), after=2)
    assert host.identity(docker(A), after=2).resolved


def test_processes_that_come_and_go(host: Host) -> None:
    """Nothing is held of processes that are gone."""
    host.catalog.put(A, TASK)
    host.begin(docker(A))
    for pid in range(100, 300):
        host.processes(docker(A), pid)
        host.proc.put(pid, docker(A), parent=5)
        host.work(docker(A))
        host.identity(docker(A), after=10)
    assert list(host.identities._known[docker(A)].looked) == [299]


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


def test_id_of_another(host: Host) -> None:
    """Whoever can make cgroups in its own container gets no other container's name or job by its id."""
    host.catalog.put(A, "victim", OWN)
    host.catalog.put(C, "service")
    for path in (docker(C), docker(C) + docker(A), docker(A)):
        host.begin(path)
        host.identity(path)
    assert host.identity(docker(C) + docker(A)) == Identity()
    assert (host.identity(docker(A)).name, host.identity(docker(C)).name) == ("victim", "service")


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


def job_with_socket(host: Host, mounts: str = WITH_SOCKET) -> None:
    host.catalog.put(A, labels=OWN)
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, mounts=mounts)
    host.identity(docker(A))
    host.identity(docker(A), after=2)


def test_made_through_the_socket(host: Host) -> None:
    """By the only job that was there, which can reach the engine."""
    job_with_socket(host)
    host.catalog.put(B, "anything")
    host.begin(docker(B))
    assert host.identity(docker(B)).attribution is None
    identity = host.identity(docker(B), after=DECIDE_SECONDS)
    assert (identity.attribution, identity.job) == ("only_job", host.identity(docker(A)).job)
    assert identity.name == "anything"


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


@pytest.mark.parametrize(
    "value", ["a\nb\0c", "caf\udce9", "\x1b[31mred", "x" * 10_240, '"\\', "\u202e", " "], ids=repr
)
def test_hostile_text(host: Host, value: str) -> None:
    """Whatever stands in names, labels and environments: one line, in valid UTF-8, bounded, storable."""
    labels = {f"jobmeter.{name}": value for name in ("repository", "workflow", "job", "task_id", "role")}
    host.catalog.put(A, value, {**labels, value: value})
    host.catalog.put(B, TASK)
    host.begin(docker(A))
    host.begin(docker(B), 10)
    raw = value.encode("utf-8", "surrogateescape").replace(b"\0", b"")
    host.proc.put(10, docker(B), parent=5, environ=b"GITEA_ACTIONS=true\0GITHUB_REPOSITORY=%s\0" % raw)
    for path in (docker(A), docker(B)):
        identity = host.identity(path)
        assert msgspec.json.decode(msgspec.json.encode(identity), type=Identity) == identity
        assert max(map(len, _texts(identity))) <= 1024
        assert all(line.isprintable() or "\u202e" in line for line in _texts(identity))


def _texts(identity: Identity) -> list[str]:
    job = identity.job or Job()
    fields = [getattr(job, name) for name in TOLD]
    found = [
        identity.name,
        identity.image,
        identity.task_id,
        *identity.labels,
        *identity.labels.values(),
        *fields,
    ]
    return [text for text in found if text is not None]


def test_forget(host: Host) -> None:
    """Nothing is held of what is shown no more."""
    job_with_socket(host)
    host.identities.forget(host.containers.pop(docker(A)))
    host.identities.learn(())
    assert host.identities._known == {}
