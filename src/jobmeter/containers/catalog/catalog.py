"""All that the engines of this host say of containers."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from jobmeter.containers.catalog.book import LINGER_SECONDS, MAX_CONTAINERS, Book
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket, Kind, distinct
from jobmeter.containers.catalog.watcher import (
    FIRST_PAUSE_SECONDS,
    Log,
    Session,
    SocketState,
    Watcher,
)
from jobmeter.model.errors import MissingExtra

CLOSE_SECONDS = 1.0

SessionOpener = Callable[[str], Session]


class Catalog:
    """Names, labels and images by container id, from one watcher per socket.

    ``with Catalog(default_sockets(os.environ), log) as catalog:`` — a socket that is missing, refuses, hangs,
    talks nonsense or goes away costs its own labels and nothing else. Everything may be called from any thread.
    """

    def __init__(
        self,
        sockets: Iterable[EngineSocket],
        log: Log,
        *,
        max_containers: int = MAX_CONTAINERS,
        linger_seconds: float = LINGER_SECONDS,
        first_pause: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self.sockets = tuple(distinct(sockets))
        """Each that is watched, whether an engine is there or not."""
        self._watchers = tuple(
            Watcher(
                place,
                _OPENERS[place.kind],
                Book(max_containers, linger_seconds),
                log,
                first_pause=first_pause,
            )
            for place in self.sockets
        )
        self._maps = tuple(watcher.book.containers for watcher in self._watchers)

    def start(self) -> None:
        """Begin to watch; returns at once."""
        for watcher in self._watchers:
            watcher.start()

    def lookup(self, container_id: str) -> ContainerFacts | None:
        """What is known of the container; one that ended is known a while longer. Takes no lock."""
        for containers in self._maps:
            facts = containers.get(container_id)
            if facts is not None:
                return facts
        return None

    def told_by(self, container_id: str) -> EngineSocket | None:
        """The socket of the engine that knows the container."""
        for socket, containers in zip(self.sockets, self._maps, strict=True):
            if container_id in containers:
                return socket
        return None

    @property
    def version(self) -> int:
        """Grows whenever a container is new or has changed; the same number means the same answers."""
        return sum(watcher.book.version for watcher in self._watchers)

    def states(self) -> list[SocketState]:
        """The health of each socket."""
        return [watcher.state() for watcher in self._watchers]

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """End all watchers; False when one has not ended in that time. What is known can still be looked up."""
        for watcher in self._watchers:
            watcher.stop()
        deadline = time.monotonic() + timeout
        ended = [watcher.join(deadline - time.monotonic()) for watcher in self._watchers]
        return all(ended)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_docker(path: str) -> Session:
    try:
        from jobmeter.containers.catalog.docker_api import DockerSession
    except ModuleNotFoundError as error:
        raise _missing(error, "docker") from None
    return DockerSession(path)


def _open_containerd(path: str) -> Session:
    try:
        from jobmeter.containers.catalog.containerd_api import ContainerdSession
    except ModuleNotFoundError as error:
        raise _missing(error, "grpc") from None
    return ContainerdSession(path)


def _missing(error: ModuleNotFoundError, extra: str) -> Exception:
    library = error.name or ""
    return error if library.startswith("jobmeter") else MissingExtra(library, extra)


_OPENERS: Mapping[Kind, SessionOpener] = {"docker": _open_docker, "containerd": _open_containerd}
