"""One socket's watcher: what it does with each way in which an engine fails, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.containers.catalog.watcher import Watcher
from jobmeter.model.errors import MissingExtra, SourceUnavailable
from tests.containers.catalog.support import Notes, Server, eventually, say_nothing

A = ContainerFacts("docker", "a", "web", "bb:1", {}, None)

Act = Callable[["Session", Book, Callable[[str], None]], None]


class Session:
    """A connection that does as the test says, until it is cancelled."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self.cancelled = threading.Event()

    def run(self, book: Book, listed: Callable[[str], None]) -> None:
        self._act(self, book, listed)

    def cancel(self) -> None:
        self.cancelled.set()


def follow(session: Session, book: Book, listed: Callable[[str], None]) -> None:
    book.replace([A])
    listed("docker")
    session.cancelled.wait(30)


def hang(session: Session, book: Book, listed: Callable[[str], None]) -> None:
    session.cancelled.wait(30)


def drop(session: Session, book: Book, listed: Callable[[str], None]) -> None:
    book.replace([A])
    listed("docker")


def fail(error: Exception) -> Act:
    def act(session: Session, book: Book, listed: Callable[[str], None]) -> None:
        raise error

    return act


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sock"


@pytest.fixture
def notes() -> Notes:
    return Notes()


Start = Callable[..., Watcher]


@pytest.fixture
def start(path: Path, notes: Notes) -> Iterator[Start]:
    """Starts a watcher whose sessions do these things, the last of them again and again."""
    watchers: list[Watcher] = []

    def begin(*acts: Act, named: bool = True) -> Watcher:
        rest = list(acts)
        watcher = Watcher(
            EngineSocket("docker", str(path), named),
            lambda _: Session(rest.pop(0) if len(rest) > 1 else rest[0]),
            Book(),
            notes,
            list_seconds=0.2,
            first_pause=0.01,
        )
        watchers.append(watcher)
        watcher.start()
        return watcher

    yield begin
    for watcher in watchers:
        watcher.stop()
        assert watcher.join(1)


def test_connected(path: Path, start: Start, notes: Notes) -> None:
    """What the engine tells is in the book, and the log says so once."""
    with Server(path, say_nothing):
        watcher = start(follow)
        eventually(lambda: watcher.state().status == "connected")
        state = watcher.state()
        assert (state.engine, state.reason, state.containers, state.connections) == ("docker", None, 1, 1)
        assert notes.sentences == [f"docker at {path} tells names and labels, now of containers: 1"]


def test_absent_then_there(path: Path, start: Start, notes: Notes) -> None:
    """A socket that appears later is found; its absence is said once, however often it is looked for."""
    watcher = start(follow)
    eventually(lambda: watcher.state().status == "absent")
    time.sleep(0.1)
    with Server(path, say_nothing):
        eventually(lambda: watcher.state().status == "connected")
    assert notes.sentences == [
        f"names and labels from docker at {path} are missing: there is no such socket",
        f"docker at {path} tells names and labels, now of containers: 1",
    ]


def test_usual_place_without_an_engine(start: Start, notes: Notes) -> None:
    """Nobody hears that an engine is missing that nobody named."""
    watcher = start(follow, named=False)
    eventually(lambda: watcher.state().status == "absent")
    assert notes.sentences == []


def test_refused(path: Path, start: Start) -> None:
    """A socket without anybody behind it, and a file that is none."""
    path.touch()
    watcher = start(follow)
    eventually(lambda: watcher.state().status == "failed")
    assert watcher.state().reason == "connection refused"


@pytest.mark.parametrize(
    "act, reason",
    [
        (hang, "it has not told its containers within 0.2 s"),
        (drop, "the engine closed the connection"),
        (fail(SourceUnavailable("it talks nonsense")), "it talks nonsense"),
        (fail(KeyError("x")), "unexpected: KeyError: \"'x'\""),
        (fail(PermissionError(13, "Permission denied")), "permission denied"),
    ],
)
def test_failure_and_return(path: Path, start: Start, act: Act, reason: str) -> None:
    """Whatever went wrong, the watcher says why, keeps what it knows and comes back."""
    with Server(path, say_nothing):
        watcher = start(follow_once, act, follow)
        eventually(lambda: watcher.state().status == "failed" and watcher.state().reason == reason)
        assert watcher.book.containers == {"a": A}
        eventually(lambda: watcher.state().status == "connected")
        assert watcher.state().reason is None


def follow_once(session: Session, book: Book, listed: Callable[[str], None]) -> None:
    book.replace([A])
    raise SourceUnavailable("for a start")


def test_not_installed(path: Path, start: Start, notes: Notes) -> None:
    """Without the library there is one sentence, and no second attempt."""
    with Server(path, say_nothing):
        watcher = start(fail(MissingExtra("docker", "docker")))
        assert watcher.join(5)
    (sentence,) = notes.sentences
    assert sentence.startswith(f"names and labels from docker at {path} are missing: docker is not installed")


def test_pauses(path: Path, notes: Notes) -> None:
    """Pauses double up to 30 s, and each is a random part of the upper half of its bound."""
    asked: list[tuple[float, float]] = []

    def chance(least: float, most: float) -> float:
        asked.append((least, most))
        return 0.0

    place = EngineSocket("docker", str(path))
    watcher = Watcher(place, lambda _: Session(follow), Book(), notes, chance=chance)
    watcher.start()
    eventually(lambda: len(asked) > 8)
    watcher.stop()
    assert watcher.join(1)
    assert asked[:9] == [(bound / 2, bound) for bound in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)]


@pytest.mark.parametrize("act", [follow, hang])
def test_stop(path: Path, start: Start, act: Act) -> None:
    """In whatever it waits, the thread ends at once, and twice is as good as once."""
    with Server(path, say_nothing):
        watcher = start(act)
        time.sleep(0.05)
        began = time.monotonic()
        watcher.stop()
        watcher.stop()
        assert watcher.join(1)
        assert time.monotonic() - began < 0.5


def test_stop_while_pausing(start: Start) -> None:
    """A pause is ended, too."""
    watcher = start(follow)
    eventually(lambda: watcher.state().status == "absent")
    watcher.stop()
    assert watcher.join(1)
