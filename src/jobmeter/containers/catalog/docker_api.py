"""The Docker Engine API, as Docker and Podman speak it: a list, then the stream of events.

An event of a container brings its name, image and labels, so nothing is asked for one: also a container that
lives for milliseconds is known. In an event the engine's own attributes (``name``, ``image``, ``podId`` …)
hide labels of the same name. Sources: Docker Engine API v1.41, "SystemEvents"; seen with dockerd 20.10 and
podman 4.3.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import docker.errors
import msgspec
import requests
from msgspec import Struct

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.docker_transport import CancellableAdapter, Client
from jobmeter.containers.catalog.facts import ContainerFacts, describe
from jobmeter.identity.variables import shorten
from jobmeter.model.errors import SourceUnavailable

ANSWER_SECONDS = 8.0
MAX_EVENT_BYTES = 1024 * 1024

_THERE = frozenset({"create", "start"})
_GONE = frozenset({"die", "destroy", "remove"})
_FILTERS = {"type": ["container"], "event": sorted({*_THERE, *_GONE, "rename"})}
# What engines put beside the labels.
_ATTRIBUTES = frozenset(
    {"name", "oldName", "image", "exitCode", "execDuration", "signal", "podId", "containerExitCode"}
)


class _Actor(Struct, frozen=True):
    ID: str = ""
    Attributes: dict[str, str] = {}


class _Event(Struct, frozen=True):
    Type: str = ""
    Action: str = ""
    Actor: _Actor = _Actor()
    timeNano: int = 0


class DockerSession:
    """One connection. The engine is asked for its API's version first: new ones refuse old versions."""

    def __init__(self, path: str) -> None:
        self._adapter = CancellableAdapter(path, ANSWER_SECONDS)
        self._engine = "docker"

    def run(self, book: Book, listed: Callable[[str], None]) -> None:
        """List the running containers, then follow the events from that moment until the engine ends them."""
        try:
            client = Client(self._adapter)
            answer = client.version(api_version=False)
            client.speak(str(answer["ApiVersion"]))
            self._engine = _engine_name(answer)
            since = int(time.time())
            book.replace(self._present(client.containers()))
            listed(self._engine)
            for line in _lines(client.events(since=since, filters=_FILTERS)):
                self._apply(line, book)
        except requests.Timeout:
            raise SourceUnavailable(f"it does not answer within {ANSWER_SECONDS:g} s") from None
        except requests.ConnectionError:
            raise SourceUnavailable("it broke off the connection") from None
        except docker.errors.APIError as error:
            raise SourceUnavailable(f"it answered {shorten(str(error), 200)}") from None
        except (docker.errors.DockerException, AttributeError, LookupError, TypeError, ValueError) as error:
            raise SourceUnavailable(
                f"it does not speak the Docker Engine API: {shorten(str(error), 120)}"
            ) from None
        except requests.RequestException as error:
            raise SourceUnavailable(f"its answer is broken: {type(error).__name__}") from None
        finally:
            self._adapter.close()

    def cancel(self) -> None:
        """End ``run`` at once."""
        self._adapter.cancel()

    def _present(self, entries: Iterable[Mapping[str, Any]]) -> Iterator[ContainerFacts]:
        for entry in entries:
            # The names of links to a container have a second slash.
            names = [str(name).lstrip("/") for name in entry.get("Names") or ()]
            facts = describe(
                engine=self._engine,
                container_id=str(entry["Id"]),
                name=min(names, key=lambda name: name.count("/"), default=""),
                image=str(entry.get("Image") or ""),
                labels={str(key): str(value) for key, value in (entry.get("Labels") or {}).items()},
                created=float(entry.get("Created") or 0) or None,
            )
            if facts is not None:
                yield facts

    def _apply(self, line: bytes, book: Book) -> None:
        try:
            event = msgspec.json.decode(line, type=_Event)
        except (msgspec.DecodeError, UnicodeError):
            return  # An event of a form that this version does not know.
        if event.Type != "container":
            return
        container_id, attributes = event.Actor.ID, event.Actor.Attributes
        if event.Action in _GONE:
            book.end(container_id)
        elif event.Action == "rename":
            book.rename(container_id, attributes.get("name", "").lstrip("/") or None)
        elif event.Action in _THERE:
            self._there(event, book)

    def _there(self, event: _Event, book: Book) -> None:
        container_id, attributes = event.Actor.ID, event.Actor.Attributes
        facts = describe(
            engine=self._engine,
            container_id=container_id,
            name=attributes.get("name", ""),
            image=attributes.get("image", ""),
            labels={key: value for key, value in attributes.items() if key not in _ATTRIBUTES},
            created=event.timeNano / 1e9 if event.Action == "create" and event.timeNano else None,
            pod_id=attributes.get("podId", ""),
        )
        known = book.containers.get(container_id)
        if known is not None and facts is not None:
            # The list told all labels, but not the pod.
            facts = msgspec.structs.replace(known, pod=known.pod or facts.pod)
        if facts is not None:
            book.put(facts)


def _engine_name(version: Mapping[str, Any]) -> str:
    components = version.get("Components") or ()
    return "podman" if any("podman" in str(part.get("Name")).lower() for part in components) else "docker"


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The events of a stream; one that never ends is none. Raises SourceUnavailable."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > MAX_EVENT_BYTES:
            raise SourceUnavailable(f"it sent an event of more than {MAX_EVENT_BYTES} bytes")
