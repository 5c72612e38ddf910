"""What engines and processes tell of a container comes together, is asked for once, and holds nothing else."""

from __future__ import annotations

import gc
from pathlib import Path

import msgspec
import pytest

from jobmeter.exporter.container import Identity
from jobmeter.exporter.directory import MAX_LOOKS
from jobmeter.model.job import Job
from tests.exporter.told import (
    ENVIRON,
    GITLAB_POD,
    JOB,
    OWN,
    TASK,
    TOLD,
    A,
    B,
    C,
    Host,
    docker,
    job_with_socket,
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


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
    # Compared are texts alone: other packages' objects answer `==` in ways of their own.
    held = [one for one in gc.get_objects() if isinstance(one, dict) and type(one.get("CI_SECRET")) is str]
    assert [one for one in held if one["CI_SECRET"] == "not-to-be-kept"] == []


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


@pytest.mark.parametrize("name", ["runc:[2:INIT]", "crun"])
def test_runtime_that_takes_its_time(host: Host, name: str) -> None:
    """On a busy host it is long the runtime's, and nothing is settled until it is not."""
    host.begin(docker(A), 10)
    host.proc.put(10, docker(A), parent=5, name=name)
    for _ in range(3):
        assert host.identity(docker(A), after=2) == Identity()
    host.proc.put(10, docker(A), parent=5, environ=ENVIRON)
    assert host.identity(docker(A), after=5).job == JOB


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


def test_id_of_another(host: Host) -> None:
    """Whoever can make cgroups in its own container gets no other container's name or job by its id."""
    host.catalog.put(A, "victim", OWN)
    host.catalog.put(C, "service")
    for path in (docker(C), docker(C) + docker(A), docker(A)):
        host.begin(path)
        host.identity(path)
    assert host.identity(docker(C) + docker(A)) == Identity()
    assert (host.identity(docker(A)).name, host.identity(docker(C)).name) == ("victim", "service")


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
