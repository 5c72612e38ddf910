"""Names, labels and images from a real containerd."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.cgroup import own_cgroups, remove_tree
from tests.e2e.support.components import require_command, require_root
from tests.e2e.support.docker import DYING_WITH_THE_TESTS, _busybox_image, _hierarchy_root

IMAGE = "localhost/bb:1"
CONFIGURATION = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{directory}/containerd.sock"
"""


class Containerd:
    """A daemon with data of its own; containers are driven by ctr."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "containerd.sock"
        (directory / "config.toml").write_text(CONFIGURATION.format(directory=directory))
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*DYING_WITH_THE_TESTS, "containerd", "--config", str(self.directory / "config.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self._ctr("version").returncode == 0)

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)

    def signal(self, number: int) -> None:
        assert self._daemon is not None
        os.kill(self._daemon.pid, number)

    def ctr(self, *arguments: str) -> str:
        done = self._ctr(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ctr", "--address", str(self.socket), *arguments], capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    require_root("containerd")
    for command in ("containerd", "ctr", "busybox"):
        require_command(command)
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-containerd-"))
    engine = Containerd(directory)
    try:
        engine.start()
        (directory / "image.tar").write_bytes(_archive(_busybox_image()))
        for namespace in ("default", "ci"):
            engine.ctr("--namespace", namespace, "image", "import", str(directory / "image.tar"))
        yield engine
    finally:
        engine.stop()
        for hierarchy in set(own_cgroups().values()):
            remove_tree(_hierarchy_root(hierarchy) / "default")
        shutil.rmtree(directory, ignore_errors=True)


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
    command = ["container", "create", *flags, IMAGE, name, "/bin/true"]
    engine.ctr("--namespace", namespace, *command)


def test_list_and_events(containerd: Containerd, catalog: Catalog) -> None:
    """A container is told alike by the list of a new catalog and by the events of an old one."""
    create(containerd, "job1", "--label=jobmeter.repository=org/tool")
    by_event = known(catalog, "job1")
    assert (by_event.engine, by_event.name, by_event.image) == ("containerd", "job1", IMAGE)
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
    containerd.ctr("run", "--rm", "--label=x=y", IMAGE, "short", "/bin/true")
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


def _archive(layer: bytes) -> bytes:
    """An image of one layer in the form that ctr imports."""
    digest = hashlib.sha256(layer).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [IMAGE], "Layers": [f"{digest}/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as archive:
        for path, content in (
            (name, config),
            (f"{digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
