"""Docker's API as the catalog follows it: a list, events, and engines that do not behave."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.docker_api import MAX_EVENT_BYTES, DockerSession
from jobmeter.containers.catalog.facts import ContainerFacts, PodFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.containers.catalog.watcher import SocketState, Watcher
from tests.containers.catalog.support import (
    Behaviour,
    Docker,
    Notes,
    Server,
    babble,
    eventually,
    http,
    say,
    say_nothing,
)

A, B = "a" * 64, "b" * 64
LISTED = {
    "Id": A,
    "Names": ["/other/link", "/web"],
    "Image": "bb:1",
    "Created": 1700000000,
    "Labels": {"jobmeter.repository": "o/r", "name": "a label"},
    "State": "running",
}
LISTED_FACTS = ContainerFacts(
    "docker", A, "web", "bb:1", {"jobmeter.repository": "o/r", "name": "a label"}, 1700000000.0
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker.sock"


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    with Catalog([EngineSocket("docker", str(path))], Notes(), first_pause=0.01) as running:
        yield running
        assert running.close()


def connected(catalog: Catalog) -> bool:
    return catalog.states()[0].status == "connected"


def test_list_and_events(path: Path, catalog: Catalog) -> None:
    """What is there at the beginning is listed, what comes and goes is told by events alone."""
    engine = Docker([LISTED])
    with Server(path, engine):
        eventually(lambda: catalog.lookup(A) == LISTED_FACTS)
        before = catalog.version
        engine.event("create", B, name="job", image="img:2", exitCode="0", team="x")
        eventually(lambda: catalog.version > before)
        assert catalog.lookup(B) == ContainerFacts("docker", B, "job", "img:2", {"team": "x"}, 5.0)
        engine.event("rename", B, name="/new", oldName="/job", image="img:2", team="x")
        eventually(lambda: (facts := catalog.lookup(B)) is not None and facts.name == "new")
        engine.event("destroy", B, name="new", image="img:2")
        eventually(lambda: catalog.states()[0].containers == 1)
        assert catalog.lookup(B) is not None
    assert [target.partition("?")[0] for target in engine.requests] == [
        "/version",
        "/v1.41/containers/json",
        "/v1.41/events",
    ]


def test_event_of_a_listed_container(path: Path, catalog: Catalog) -> None:
    """Labels that an event hides are kept from the list; what only the event tells is added."""
    engine = Docker([LISTED])
    with Server(path, engine):
        eventually(lambda: catalog.lookup(A) is not None)
        engine.event("start", A, name="web", image="bb:1", podId="c0ffee")
        eventually(lambda: (facts := catalog.lookup(A)) is not None and facts.pod == PodFacts("c0ffee"))
        facts = catalog.lookup(A)
        assert facts is not None
        assert facts.labels == LISTED_FACTS.labels


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '"\\ud800"',
        '{"Type": "network", "Action": "create", "Actor": {"ID": "x"}}',
        '{"Type": "container", "Action": "exec_start: sh", "Actor": {"ID": "x"}}',
        '{"Type": "container", "Action": "create", "Actor": {"ID": ""}}',
        '{"Type": "container", "Action": "create", "Actor": {"ID": "x", "Attributes": [1]}}',
        '{"Type": "container", "Action": "rename", "Actor": {"ID": "x"}}',
    ],
)
def test_event_of_another_form(path: Path, catalog: Catalog, line: str) -> None:
    """Events that are of no use are passed over; the next one is understood."""
    engine = Docker([])
    with Server(path, engine):
        eventually(lambda: connected(catalog))
        engine.raw(line)
        engine.event("create", B, name="job", image="img:2")
        eventually(lambda: catalog.lookup(B) is not None)
        assert (catalog.version, catalog.states()[0].connections) == (1, 1)


def test_engine_comes_back(path: Path, catalog: Catalog) -> None:
    """While an engine is away its containers stay known; when it is back, the list is taken anew."""
    with Server(path, Docker([LISTED])):
        eventually(lambda: connected(catalog))
    eventually(lambda: not connected(catalog))
    assert catalog.lookup(A) == LISTED_FACTS
    with Server(path, Docker([{**LISTED, "Id": B}])):
        eventually(lambda: catalog.lookup(B) is not None)
        assert catalog.lookup(A) == LISTED_FACTS
        eventually(lambda: (catalog.states()[0].containers, catalog.states()[0].connections) == (1, 2))


def fail_by(behaviour: Behaviour, path: Path, list_seconds: float = 5.0) -> SocketState:
    """The state that such an engine leads to."""
    watcher = Watcher(
        EngineSocket("docker", str(path)),
        DockerSession,
        Book(),
        Notes(),
        list_seconds=list_seconds,
        first_pause=0.01,
    )
    with Server(path, behaviour):
        watcher.start()
        eventually(lambda: watcher.state().status == "failed")
        watcher.stop()
        assert watcher.join(1)
    return watcher.state()


_VERSION = b'{"ApiVersion": "1.41"}'


@pytest.mark.parametrize(
    "behaviour, reason",
    [
        (say(b""), "it broke off the connection"),
        (say(b"\x00\xff" * 500), "it broke off the connection"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "its answer is broken"),
        (say(http(b"hello")), "it does not speak the Docker Engine API"),
        (say(http(b"[1, 2]")), "it does not speak the Docker Engine API"),
        (say(http(b"{}")), "it does not speak the Docker Engine API"),
        (say(http(b'{"ApiVersion": null}')), "it does not speak the Docker Engine API"),
        (say(http(b'{"message": "no"}', "500 Internal Server Error")), "it answered"),
    ],
)
def test_nonsense(path: Path, behaviour: Behaviour, reason: str) -> None:
    """What is not the Docker Engine API is told in one sentence."""
    state = fail_by(behaviour, path)
    assert (state.reason or "").startswith(reason), state.reason
    assert "\n" not in (state.reason or "")


@pytest.mark.parametrize(
    "containers", ['{"a": 1}', "[1]", '[{"Names": []}]', "null", '[{"Id": 5, "Labels": 7}]']
)
def test_list_of_another_form(path: Path, containers: str) -> None:
    """A list that is none costs the labels, too."""

    def behave(connection: socket.socket) -> None:
        request = connection.recv(65536)
        connection.sendall(http(_VERSION if b"/version" in request else containers.encode()))

    state = fail_by(behave, path)
    assert (state.reason or "").startswith("it does not speak the Docker Engine API"), state.reason


@pytest.mark.parametrize("behaviour", [say_nothing, babble])
def test_no_end(path: Path, behaviour: Behaviour) -> None:
    """An engine that says nothing, or never comes to an end, is given up in time."""
    assert fail_by(behaviour, path, list_seconds=0.3).reason == "it has not told its containers within 0.3 s"


def test_event_without_an_end(path: Path, catalog: Catalog) -> None:
    """A line that grows and grows ends the connection, not the memory."""
    engine = Docker([])
    with Server(path, engine):
        eventually(lambda: connected(catalog))
        for _ in range(3):
            engine._events.put(b"x" * (MAX_EVENT_BYTES // 2))
        eventually(lambda: catalog.states()[0].connections == 2)


@pytest.mark.parametrize("behaviour", [say_nothing, babble, Docker([LISTED])])
def test_close(path: Path, behaviour: Behaviour) -> None:
    """In whatever a watcher waits, everything ends within a second, and what is known stays."""
    with Server(path, behaviour) as server:
        catalog = Catalog([EngineSocket("docker", str(path))], Notes())
        catalog.start()
        eventually(lambda: server.accepted >= 2)
        time.sleep(0.1)
        began = time.monotonic()
        assert catalog.close()
        assert time.monotonic() - began < 1
        assert not any(thread.name.startswith("catalog") for thread in threading.enumerate())


def test_nothing_left_open(path: Path, catalog: Catalog) -> None:
    """Connections that came and went leave no descriptor and no thread."""

    def come_and_go() -> None:
        with Server(path, Docker([LISTED])):
            eventually(lambda: connected(catalog))
        eventually(lambda: not connected(catalog))

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    come_and_go()
    eventually(lambda: threading.active_count() == 2)
    first = held()
    come_and_go()
    come_and_go()
    eventually(lambda: held() <= first)
