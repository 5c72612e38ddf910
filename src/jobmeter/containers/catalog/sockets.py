"""Where engines listen."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from jobmeter.identity.variables import shorten
from jobmeter.model.errors import UsageError

Kind = Literal["docker", "containerd"]

_PLACES: tuple[tuple[Kind, str], ...] = (
    ("docker", "/var/run/docker.sock"),
    ("docker", "/run/podman/podman.sock"),
    ("containerd", "/run/containerd/containerd.sock"),
    ("containerd", "/run/k3s/containerd/containerd.sock"),
)
_ACCEPTED = "accepted are a path, unix:///PATH, docker=PATH and containerd=PATH"


class EngineSocket(NamedTuple):
    """A socket, and which API is spoken there; Podman speaks Docker's. ``named`` if the user did name it."""

    kind: Kind
    path: str
    named: bool = True


def default_sockets(environ: Mapping[str, str]) -> list[EngineSocket]:
    """Docker's, Podman's, containerd's and k3s' usual places, and ``$DOCKER_HOST`` where that is a socket."""
    sockets = [EngineSocket(kind, path, named=False) for kind, path in _PLACES]
    host = environ.get("DOCKER_HOST", "").strip()
    if host.startswith("unix:///"):
        sockets.insert(0, EngineSocket("docker", host.removeprefix("unix://")))
    return distinct(sockets)


def parse_socket(text: str) -> EngineSocket:
    """A socket as a user writes it; without a kind its name tells containerd from Docker. Raises UsageError."""
    word, equals, rest = text.strip().partition("=")
    named_kind, address = (word, rest) if equals and "/" not in word else ("", text.strip())
    path = address.removeprefix("unix://")
    if not path.startswith("/") or "\x00" in path or path.endswith("/"):
        raise UsageError(f"{shorten(text)} is not the socket of an engine; {_ACCEPTED}")
    if named_kind == "docker" or (not named_kind and "containerd" not in os.path.basename(path)):
        return EngineSocket("docker", path)
    if named_kind in ("", "containerd"):
        return EngineSocket("containerd", path)
    raise UsageError(f"{shorten(named_kind)} is not a kind of engine; {_ACCEPTED}")


def distinct(sockets: Iterable[EngineSocket]) -> list[EngineSocket]:
    """Each once, by where links lead to: /var/run is /run."""
    by_place: dict[str, EngineSocket] = {}
    for socket in sockets:
        by_place.setdefault(str(Path(socket.path).resolve()), socket)
    return list(by_place.values())
