"""One thread for one socket of an engine: connects, follows, comes back, and says once what is missing and why."""

import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.identity.variables import shorten
from jobmeter.model.errors import MissingExtra, SourceUnavailable

Status = Literal["starting", "connected", "absent", "failed"]

LIST_SECONDS = 10.0
"""So long an engine may take until it has told of all its containers."""
_PROBE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 30.0
# A connection that lasted so long was not a failed attempt.
_LASTING_SECONDS = 10.0

Pause = Callable[[float, float], float]


class Log(Protocol):
    """Where the operator reads which names and labels are missing."""

    def info(self, message: str, **fields: object) -> None:
        """Something has become right."""
        ...

    def warn(self, message: str, **fields: object) -> None:
        """Something is missing from the labels."""
        ...


class Session(Protocol):
    """One connection to an engine."""

    def run(self, book: Book, listed: Callable[[str], None]) -> None:
        """List the containers, call ``listed`` with the engine's name, then follow its events until it ends.

        Raises SourceUnavailable with the reason when it could not go on.
        """

    def cancel(self) -> None:
        """End ``run`` at once, from any thread and at any time, also more than once."""


class SocketState(Struct, frozen=True, kw_only=True):
    """One socket's health. ``since`` is in seconds since 1970, ``reason`` a sentence's end unless connected.

    ``connections`` counts how often the engine told all its containers, ``dropped`` containers there was no room
    for. ``engine`` is the kind of the socket until the engine has said what it is.
    """

    path: str
    engine: str
    status: Status
    reason: str | None
    since: float
    containers: int
    dropped: int
    connections: int


class Watcher:
    """Keeps ``book`` up to date from one socket. What it learned stays while the engine is away."""

    def __init__(
        self,
        place: EngineSocket,
        open_session: Callable[[str], Session],
        book: Book,
        log: Log,
        *,
        list_seconds: float = LIST_SECONDS,
        first_pause: float = FIRST_PAUSE_SECONDS,
        chance: Pause = random.uniform,
    ) -> None:
        self.book = book
        self._place = place
        self._open = open_session
        self._log = log
        self._list_seconds = list_seconds
        self._first_pause = self._pause = first_pause
        self._chance = chance
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._thread: threading.Thread | None = None
        self._engine: str = place.kind
        self._status: Status = "starting"
        self._reason: str | None = None
        self._since = time.time()
        self._connections = 0

    def start(self) -> None:
        """Begin; where no thread can be had that is the state, and the end."""
        thread = threading.Thread(target=self._run, name=f"catalog {self._place.path}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._enter("failed", f"no thread can be started: {error}")
        else:
            self._thread = thread

    def stop(self) -> None:
        """Make the thread end; it is not waited for."""
        self._stopping.set()
        with self._lock:
            session = self._session
        if session is not None:
            session.cancel()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the thread; True when it has ended."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def state(self) -> SocketState:
        """How it is now."""
        return SocketState(
            path=self._place.path,
            engine=self._engine,
            status=self._status,
            reason=self._reason,
            since=self._since,
            containers=self.book.present,
            dropped=self.book.dropped,
            connections=self._connections,
        )

    def _run(self) -> None:
        # Signals are for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._stopping.is_set():
            began = time.monotonic()
            if not self._attempt():
                return
            if time.monotonic() - began > _LASTING_SECONDS:
                self._pause = self._first_pause
            bound = self._pause
            self._pause = min(2 * bound, _MAX_PAUSE_SECONDS)
            self._stopping.wait(self._chance(bound / 2, bound))

    def _attempt(self) -> bool:
        """Connect and follow until it ends; False when there is no use in going on."""
        status: Status = "failed"
        reason = "the engine closed the connection"
        try:
            _probe(self._place.path)
            self._follow()
        except FileNotFoundError:
            status, reason = "absent", "there is no such socket"
        except OSError as error:
            reason = (error.strerror or str(error) or type(error).__name__).lower()
        except MissingExtra as error:  # There is no use in trying again.
            self._enter("failed", str(error))
            return False
        except SourceUnavailable as error:
            reason = str(error)
        except Exception as error:  # Whatever it is, it costs labels only.
            reason = f"unexpected: {type(error).__name__}: {shorten(str(error), 120)}"
        if not self._stopping.is_set():
            self._enter(status, reason)
        return True

    def _follow(self) -> None:
        session = self._open(self._place.path)
        with self._lock:
            self._session = session
        overdue = threading.Event()
        timer = threading.Timer(self._list_seconds, _expire, (overdue, session))
        timer.daemon = True

        def listed(engine: str) -> None:
            timer.cancel()
            self._connections += 1
            self._engine = engine
            self._enter("connected", None)

        try:
            timer.start()
            if not self._stopping.is_set():
                session.run(self.book, listed)
        except Exception:
            if overdue.is_set():
                raise SourceUnavailable(_overdue(self._list_seconds)) from None
            raise
        finally:
            timer.cancel()
            session.cancel()
            with self._lock:
                self._session = None
        if overdue.is_set():
            raise SourceUnavailable(_overdue(self._list_seconds))

    def _enter(self, status: Status, reason: str | None) -> None:
        """Be in another state, and say so if it is another one."""
        if (status, reason) == (self._status, self._reason):
            return
        unnoticed = self._status == "starting" and status == "absent" and not self._place.named
        self._status, self._reason, self._since = status, reason, time.time()
        if status == "connected":
            self._log.info(
                f"{self._described()} tells names and labels, now of containers: {self.book.present}"
            )
        elif not unnoticed:
            self._log.warn(f"names and labels from {self._described()} are missing: {reason}")

    def _described(self) -> str:
        return f"{self._engine} at {self._place.path}"


def _expire(overdue: threading.Event, session: Session) -> None:
    overdue.set()
    session.cancel()


def _overdue(seconds: float) -> str:
    return f"it has not told its containers within {seconds:g} s"


def _probe(path: str) -> None:
    """Whether anybody listens there, before a library is loaded for it. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        probe.connect(path)
