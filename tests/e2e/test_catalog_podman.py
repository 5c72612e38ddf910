"""Names, labels and images from a real Podman by its service, which speaks Docker's API."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.facts import PodFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.components import require_command, require_root
from tests.e2e.support.docker import DYING_WITH_THE_TESTS, _busybox_image, _hierarchy_root

IMAGE = "localhost/bb:1"
# Root may not raise limits on every machine; the file of a real host decides nothing here.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Podman with data of its own. Containers have no network."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "podman.sock"
        (directory / "containers.conf").write_text(CONFIGURATION)
        self._service: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            [*self._command(), *arguments],
            input=stdin,
            capture_output=True,
            env=self._environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def run(self, *arguments: str) -> str:
        """`podman run` of busybox without a network; flags come first."""
        return self("run", "--network=none", *arguments)

    def serve(self) -> None:
        command = [
            *DYING_WITH_THE_TESTS,
            *self._command(),
            "system",
            "service",
            "--time=0",
            f"unix://{self.socket}",
        ]
        with (self.directory / "log").open("ab") as log:
            self._service = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            )

    def leave(self) -> None:
        """End the service; containers live on."""
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            self.socket.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        root = self.directory
        return [
            "podman",
            *(f"--root={root}/root", f"--runroot={root}/run", f"--tmpdir={root}/tmp"),
            *("--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs", "--runtime=runc"),
        ]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"CONTAINERS_CONF": str(self.directory / "containers.conf")}


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    require_root("Podman with a data directory of its own")
    for command in ("podman", "runc", "catatonit", "busybox"):
        require_command(command)
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-podman-"))
    engine = Podman(directory)
    try:
        engine("import", "-", IMAGE, stdin=_busybox_image())
        engine.serve()
        yield engine
    finally:
        engine("rm", "--all", "--force", "--time=0")
        engine("pod", "rm", "--all", "--force", "--time=0")
        engine.leave()
        parents = {_hierarchy_root(own) / "libpod_parent" for own in own_cgroups().values()}
        eventually(lambda: all(remove_tree(parent) for parent in parents))  # monitors end a little later
        shutil.rmtree(directory, ignore_errors=True)


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
    container_id = podman.run("--detach", "--name=web", "--label=jobmeter.job=x", IMAGE, "sleep", "60")
    assert labels(catalog, container_id) == {"jobmeter.job": "x"}
    facts = catalog.lookup(container_id)
    assert facts is not None
    assert (facts.engine, facts.name, facts.image) == ("podman", "web", IMAGE)
    before = catalog.version
    podman.run("--rm", "--label=number=1", IMAGE, "true")
    eventually(lambda: catalog.version > before)
    with Catalog([EngineSocket("docker", str(podman.socket))], Notes()) as another:
        assert labels(another, container_id) == {"jobmeter.job": "x"}
    podman("rm", "--force", "--time=0", container_id)
    eventually(lambda: catalog.states()[0].containers == 0)


def test_pod(podman: Podman, catalog: Catalog) -> None:
    """An event tells the pod of a container."""
    pod_id = podman("pod", "create", "--name=pod1", "--share=ipc,uts", "--network=none")
    container_id = podman.run("--detach", "--pod=pod1", IMAGE, "sleep", "60")
    assert labels(catalog, container_id) == {}
    facts = catalog.lookup(container_id)
    assert facts is not None
    assert facts.pod == PodFacts(pod_id)


def test_service_comes_back(podman: Podman, catalog: Catalog) -> None:
    """Podman's containers live on without the service, and are known all the while."""
    container_id = podman.run("--detach", "--label=a=b", IMAGE, "sleep", "60")
    assert labels(catalog, container_id) == {"a": "b"}
    podman.leave()
    eventually(lambda: catalog.states()[0].status in ("absent", "failed"))
    assert labels(catalog, container_id) == {"a": "b"}
    unseen = podman.run("--detach", "--label=c=d", IMAGE, "sleep", "60")
    podman.serve()
    assert labels(catalog, unseen) == {"c": "d"}
