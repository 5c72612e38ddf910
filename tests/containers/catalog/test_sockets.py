"""Where engines listen: usual places, and what a user may write."""

from pathlib import Path

import pytest

from jobmeter.containers.catalog.sockets import EngineSocket, default_sockets, distinct, parse_socket
from jobmeter.model.errors import UsageError

DOCKER = "/var/run/docker.sock"


@pytest.mark.parametrize(
    "host, first",
    [
        ("", EngineSocket("docker", DOCKER, named=False)),
        ("tcp://127.0.0.1:2375", EngineSocket("docker", DOCKER, named=False)),
        ("unix://", EngineSocket("docker", DOCKER, named=False)),
        ("unix:///home/me/docker.sock", EngineSocket("docker", "/home/me/docker.sock")),
        ("unix:///var/run/docker.sock", EngineSocket("docker", DOCKER)),
        ("unix:///run/docker.sock", EngineSocket("docker", "/run/docker.sock")),
    ],
)
def test_default_sockets(host: str, first: EngineSocket) -> None:
    """$DOCKER_HOST comes first where it is a socket; no place is watched twice."""
    sockets = default_sockets({"DOCKER_HOST": host})
    assert sockets[0] == first
    assert [socket.path for socket in sockets[-3:]] == [
        "/run/podman/podman.sock",
        "/run/containerd/containerd.sock",
        "/run/k3s/containerd/containerd.sock",
    ]
    assert len(sockets) == 4 + (first.path == "/home/me/docker.sock")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/run/docker.sock", EngineSocket("docker", "/run/docker.sock")),
        ("unix:///run/podman/podman.sock", EngineSocket("docker", "/run/podman/podman.sock")),
        (" /run/containerd/containerd.sock ", EngineSocket("containerd", "/run/containerd/containerd.sock")),
        ("containerd=/x/c.sock", EngineSocket("containerd", "/x/c.sock")),
        ("docker=/x/containerd.sock", EngineSocket("docker", "/x/containerd.sock")),
        ("docker=unix:///x/a=b.sock", EngineSocket("docker", "/x/a=b.sock")),
        ("/x/a=b.sock", EngineSocket("docker", "/x/a=b.sock")),
    ],
)
def test_parse_socket(text: str, expected: EngineSocket) -> None:
    """A path or an address, with or without the kind of the engine."""
    assert parse_socket(text) == expected


@pytest.mark.parametrize(
    "text, beginning",
    [
        ("", "'' is not the socket of an engine"),
        ("docker.sock", "'docker.sock' is not the socket of an engine"),
        ("tcp://127.0.0.1:2375", "'tcp://127.0.0.1:2375' is not the socket of an engine"),
        ("docker=", "'docker=' is not the socket of an engine"),
        ("/run/", "'/run/' is not the socket of an engine"),
        ("crio=/run/crio.sock", "'crio' is not a kind of engine"),
    ],
)
def test_no_socket(text: str, beginning: str) -> None:
    """One sentence names the value and what is accepted."""
    with pytest.raises(UsageError) as raised:
        parse_socket(text)
    assert str(raised.value) == (
        f"{beginning}; accepted are a path, unix:///PATH, docker=PATH and containerd=PATH"
    )


def test_distinct(tmp_path: Path) -> None:
    """Two names of one place are one, and the first is kept."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    sockets = [EngineSocket("docker", str(tmp_path / place / "d.sock")) for place in ("link", "run")]
    assert distinct(sockets) == sockets[:1]
