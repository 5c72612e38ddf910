"""The catalog over several sockets, for readers of any thread, and where a library is not installed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.sockets import EngineSocket, Kind
from tests.containers.catalog.support import Docker, Notes, Server, eventually

A, B = "a" * 64, "b" * 64


def listed(container_id: str) -> dict[str, object]:
    return {"Id": container_id, "Names": ["/web"], "Image": "bb:1", "Labels": {}}


def test_several_sockets(tmp_path: Path) -> None:
    """Each socket costs its own labels alone."""
    paths = [tmp_path / name for name in ("docker.sock", "podman.sock", "missing.sock")]
    places = [EngineSocket("docker", str(path)) for path in paths]
    with Server(paths[0], Docker([listed(A)])), Server(paths[1], Docker([listed(B)])):
        with Catalog(places, Notes()) as catalog:
            eventually(lambda: catalog.lookup(A) is not None and catalog.lookup(B) is not None)
            assert catalog.version == 2
            eventually(
                lambda: [state.status for state in catalog.states()] == ["connected", "connected", "absent"]
            )
            assert [state.containers for state in catalog.states()] == [1, 1, 0]
            assert (catalog.lookup("c" * 64), catalog.told_by("c" * 64)) == (None, None)
            assert [catalog.told_by(one) for one in (A, B)] == list(catalog.sockets[:2]) == places[:2]
            assert catalog.close()
            assert catalog.close()
        assert catalog.lookup(A) is not None


def test_no_sockets() -> None:
    """A host without engines has an empty catalog."""
    with Catalog([], Notes()) as catalog:
        assert (catalog.lookup(A), catalog.version, catalog.states()) == (None, 0, [])


def test_close_before_start(tmp_path: Path) -> None:
    """What never began has ended."""
    assert Catalog([EngineSocket("docker", str(tmp_path / "d.sock"))], Notes()).close()


def test_readers(tmp_path: Path) -> None:
    """Readers are never disturbed by what comes and goes, and see a version that only grows."""
    path = tmp_path / "docker.sock"
    engine = Docker([listed(A)])
    faults: list[str] = []
    ending = threading.Event()
    place = EngineSocket("docker", str(path))
    with Server(path, engine), Catalog([place], Notes(), max_containers=50) as catalog:
        eventually(lambda: catalog.lookup(A) is not None)

        def read() -> None:
            version = 0
            while not ending.is_set():
                facts, now = catalog.lookup(A), catalog.version
                if facts is None or now < version:
                    faults.append(f"{facts} {now} {version}")
                version = now

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(500):
            container_id = f"{number:064x}"
            engine.event("create", container_id, name="short", image="bb:1")
            engine.event("destroy", container_id)
        eventually(lambda: catalog.version == 501)
        ending.set()
        reader.join()
        assert (faults, catalog.states()[0].dropped) == ([], 0)


@pytest.mark.parametrize(
    "kind, extra, library, ours",
    [
        ("docker", "docker", "docker", "docker_api"),
        ("containerd", "grpc", "grpc", "containerd_api"),
    ],
)
def test_library_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, extra: str, library: str, ours: str
) -> None:
    """Without the extra one sentence says what to install, and only where there is a socket to speak to."""
    for module in (ours, "docker_transport"):
        monkeypatch.delitem(sys.modules, f"jobmeter.containers.catalog.{module}", raising=False)
    for module in (library, "docker.errors"):
        monkeypatch.setitem(sys.modules, module, None)
    path, notes = tmp_path / "engine.sock", Notes()
    place = EngineSocket(kind, str(path))
    with Server(path, Docker([])), Catalog([place], notes) as catalog:
        eventually(lambda: catalog.states()[0].status == "failed")
    (sentence,) = notes.sentences
    assert f"is not installed, it comes with jobmeter's extra {extra}: pip install" in sentence
