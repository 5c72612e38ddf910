"""Whose job a container is that an engine within a job's container makes, whatever engine runs the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.e2e.support import guest_attribution as guest
from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.containerd import HOST as CONTAINERD_HOST
from tests.e2e.support.containerd import Containerd, running_containerd
from tests.e2e.support.docker import busybox_image, hierarchy_root
from tests.e2e.support.exporter_guests import run_in_guest
from tests.e2e.support.exporters import RunningExporter, Scrape, running_exporter
from tests.e2e.support.podman import HOST as PODMAN_HOST
from tests.e2e.support.podman import Podman, running_podman
from tests.e2e.support.vm import VirtualMachine

INFO = "jobmeter_container_info"
CPU = "jobmeter_container_cpu_usage_seconds_total"
TOTAL = "jobmeter_repository_cpu_seconds_total"
REPOSITORY = "acme/engine"
LABELS = {"jobmeter.repository": REPOSITORY, "jobmeter.job": "images"}
WRITTEN = ("/var/lib/docker", "/run", "/tmp")
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD")
IMAGE = "bb:1"
BURN = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; sleep 600"
ELSEWHERE = "/elsewhere"
DAEMON = f"""
for directory in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$directory" 2>/dev/null; done
case $1 in nesting) parent=$(sed -n "s/^.*:memory://p" /proc/self/cgroup);; *) parent={ELSEWHERE};; esac
exec dockerd --host=unix:///run/docker.sock --bridge=none --iptables=false --ip-forward=false --storage-driver=vfs \\
  --data-root=/var/lib/docker --exec-root=/run/docker --pidfile=/run/docker.pid --cgroup-parent=$parent
"""
"""Its containers' cgroups lie in that of its own container, or beside all others."""


@dataclass(frozen=True)
class Job:
    """A container of a job in which a Docker daemon runs."""

    id: str
    run: Callable[..., str]

    def docker(self, *words: str) -> str:
        """Run the docker command against the daemon within."""
        return self.run("docker", "--host=unix:///run/docker.sock", *words).strip()

    def ready(self) -> bool:
        """Whether that daemon answers."""
        try:
            self.docker("version")
        except AssertionError:
            return False
        return True


class Engine(Protocol):
    """What runs the job."""

    socket: str

    def start(self, images: Path, attribution: str) -> Job:
        """Start it."""

    def end(self) -> None:
        """End it."""


class ByPodman:
    """A container of Podman."""

    def __init__(self, podman: Podman) -> None:
        self.socket = f"docker={podman.socket}"
        self._podman = podman

    def start(self, images: Path, attribution: str) -> Job:
        """Start it."""
        flags = [f"--label={name}={value}" for name, value in LABELS.items()]
        flags += [f"--cap-add={one}" for one in CAPABILITIES]
        flags += [f"--tmpfs={path}:exec" for path in WRITTEN]
        flags += ["--security-opt=seccomp=unconfined", "--device-cgroup-rule=a *:* rwm", "--cgroupns=host"]
        mounts = ["/usr:/usr:ro", "/etc:/etc:ro", "/sys/fs/cgroup:/sys/fs/cgroup:rw", f"{images}:/src:ro"]
        flags += [f"--volume={one}" for one in mounts]
        command = ("sh", "-c", DAEMON, "sh", attribution)
        made = self._podman.run("--detach", "--name=job", *flags, PODMAN_HOST, *command)
        return Job(made, lambda *words: self._podman("exec", "job", *words))

    def end(self) -> None:
        """End it."""
        self._podman("rm", "--force", "--time=0", "job")


class ByContainerd:
    """A container of containerd."""

    def __init__(self, containerd: Containerd) -> None:
        self.socket = f"containerd={containerd.socket}"
        self._ctr = containerd.ctr
        self._commands = count()

    def start(self, images: Path, attribution: str) -> Job:
        """Start it."""
        binds = {"/usr": "/usr", "/etc": "/etc", "/sys/fs/cgroup": "/sys/fs/cgroup", str(images): "/src"}
        flags = [f"--label={name}={value}" for name, value in LABELS.items()]
        flags += [f"--cap-add=CAP_{one}" for one in CAPABILITIES]
        flags += [f"--mount=type=bind,src={one},dst={place},options=rbind:rw" for one, place in binds.items()]
        flags += [f"--mount=type=tmpfs,src=tmpfs,dst={path},options=exec:rw" for path in WRITTEN]
        self._ctr("run", "--detach", *flags, CONTAINERD_HOST, "job", "sh", "-c", DAEMON, "sh", attribution)
        return Job("job", self._run)

    def end(self) -> None:
        """End it."""
        self._ctr("task", "kill", "--signal=SIGKILL", "job")
        wait_until(lambda: "STOPPED" in self._ctr("task", "ls"), "the end of the job")
        self._ctr("task", "rm", "job")

    def _run(self, *words: str) -> str:
        return self._ctr("task", "exec", f"--exec-id=x{next(self._commands)}", "job", *words)


@contextmanager
def running_engine(name: str) -> Iterator[Engine]:
    """One of the two."""
    if name == "podman":
        with running_podman() as podman:
            yield ByPodman(podman)
    else:
        with running_containerd() as containerd:
            yield ByContainerd(containerd)


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """The cgroup around what an engine within has put elsewhere, which is removed."""
    yield
    for hierarchy in set(own_cgroups().values()):
        assert remove_tree(hierarchy_root(hierarchy) / ELSEWHERE.lstrip("/"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """What the daemon within imports."""
    (tmp_path / "bb.tar").write_bytes(busybox_image())
    return tmp_path


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("attribution", ["nesting", "ancestry"])
@pytest.mark.parametrize("engine", ["podman", "containerd"])
def test_docker_within_a_job(images: Path, tmp_path: Path, engine: str, attribution: str) -> None:
    """What it makes is the job's, and each second of it is in the job's total once."""
    with (
        running_engine(engine) as running,
        running_exporter(tmp_path, f"--engine-socket={running.socket}", "--interval=1s") as exporter,
    ):
        job = running.start(images, attribution)
        try:
            wait_until(job.ready, "the daemon within")
            job.docker("import", "/src/bb.tar", IMAGE)
            made = job.docker("run", "--detach", "--network=none", IMAGE, "sh", "-c", BURN)
            wait_until(lambda: exporter.shows(INFO, id=made, attribution=attribution), "whose it is")
            (told,) = exporter.shows(INFO, id=made)
            (around,) = exporter.shows(INFO, id=job.id)
            ids = [job.id, made] if attribution == "ancestry" else [job.id]
            wait_until(lambda: credited_once(exporter, ids), "its total")
            job.docker("rm", "--force", made)
        finally:
            running.end()

    assert (told["repo"], told["job"]) == (around["repo"], around["job"]) == (REPOSITORY, "images")
    assert told["parent"] == (job.id if attribution == "nesting" else "")


def credited_once(exporter: RunningExporter, ids: list[str]) -> bool:
    """Whether the total of the job is the sum over these containers, now that the work is over."""
    scrape = exporter.scrape()
    known = sum(scrape.value(CPU, id=one) for one in ids)
    return known > 0.3 and abs(sum(scrape.values(TOTAL, repo=REPOSITORY)) - known) < 0.02 * known


# --- cgroup v2 alone


@pytest.fixture(scope="module")
def said(vm: VirtualMachine) -> dict[str, Any]:
    """What the guest says."""
    return run_in_guest(vm, "guest_attribution")


@pytest.fixture(scope="module")
def scrape(said: dict[str, Any]) -> Scrape:
    """What the exporter in the guest showed."""
    return Scrape(said["scrape"])


@pytest.mark.parametrize(
    "container_id, repository, attribution, parent",
    [
        (guest.JOB, "acme/engine", "own", ""),
        (guest.NESTED, "acme/engine", "nesting", guest.JOB),
        (guest.BESIDE, "acme/engine", "ancestry", ""),
        (guest.PODMANS, "acme/tools", "own", ""),
        (guest.NOBODYS, "", "", ""),
    ],
)
def test_whose_it_is(
    scrape: Scrape, container_id: str, repository: str, attribution: str, parent: str
) -> None:
    """As seen from a cgroup namespace of the exporter's own."""
    (info,) = scrape.labels(INFO, id=container_id)

    assert (info["repo"], info["attribution"], info["parent"]) == (repository, attribution, parent)


@pytest.mark.parametrize("container_id", guest.PLACES)
def test_cpu_time(said: dict[str, Any], scrape: Scrape, container_id: str) -> None:
    """It is the kernel's account, of what is within too."""
    account = said["cpu_seconds"][container_id]

    assert account > 0.1
    assert scrape.container("cpu_usage_seconds_total", container_id) == pytest.approx(
        account, rel=0.001, abs=0.02
    )


def test_totals(said: dict[str, Any], scrape: Scrape) -> None:
    """Each second is in its job's total once."""
    seconds = said["cpu_seconds"]
    sums = {"acme/engine": seconds[guest.JOB] + seconds[guest.BESIDE], "acme/tools": seconds[guest.PODMANS]}

    for repository, expected in sums.items():
        assert scrape.value(TOTAL, repo=repository) == pytest.approx(expected, rel=0.001, abs=0.02)


def test_podman_by_crun(scrape: Scrape) -> None:
    """One container, with the limit of its scope and the process of the directory within."""
    assert scrape.container("memory_limit_bytes", guest.PODMANS) == guest.MEMORY_LIMIT_BYTES
    assert scrape.container("processes", guest.PODMANS) == 1
    assert scrape.labels(INFO, engine="podman") == scrape.labels(INFO, id=guest.PODMANS)


def test_guest_stops_in_order(said: dict[str, Any], scrape: Scrape) -> None:
    """And every file was as it is understood."""
    assert said["code"] == 0
    assert sum(scrape.values("jobmeter_exporter_read_errors_total")) == 0
