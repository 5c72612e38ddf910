"""Engines that behave badly, or as a test says, on a Unix socket."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

Behaviour = Callable[[socket.socket], None]


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


class Notes:
    """A log that keeps its sentences."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def info(self, message: str, **fields: object) -> None:
        self.sentences.append(message)

    def warn(self, message: str, **fields: object) -> None:
        self.sentences.append(message)


class Server:
    """Answers each connection in a thread of its own by `behave`; all are cut at the end."""

    def __init__(self, path: Path, behave: Behaviour) -> None:
        self._path = path
        self._behave = behave
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.accepted = 0

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(16)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections:
            connection.close()
        self._path.unlink(missing_ok=True)

    def cut(self) -> None:
        """End what is open."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                self._connections.append(connection)
                self._start(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._behave(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def say(answer: bytes) -> Behaviour:
    """Answers the first request so, whatever it is."""

    def behave(connection: socket.socket) -> None:
        if connection.recv(65536):
            connection.sendall(answer)

    return behave


def babble(connection: socket.socket) -> None:
    """Never comes to an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        connection.sendall(b"\x00\xff\n" * 1000)
        time.sleep(0.01)


def http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Docker:
    """As much of the Docker Engine API as is asked for: `with Server(path, Docker(...))`."""

    VERSION: Mapping[str, Any] = {"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}

    def __init__(self, containers: list[dict[str, Any]]) -> None:
        self.containers = containers
        self.requests: list[str] = []
        self._events: queue.Queue[bytes] = queue.Queue()

    def __call__(self, connection: socket.socket) -> None:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                received += chunk
            request, _, received = received.partition(b"\r\n\r\n")
            target = request.split(b" ")[1].decode()
            self.requests.append(target)
            if target.split("?")[0].endswith("/events"):
                self._stream(connection)
                return
            answer = self.containers if "/containers/json" in target else self.VERSION
            connection.sendall(http(json.dumps(answer).encode()))

    def event(self, action: str, container_id: str, **attributes: str) -> None:
        """Tell an event."""
        actor = {"ID": container_id, "Attributes": attributes}
        self.raw(json.dumps({"Type": "container", "Action": action, "Actor": actor, "timeNano": 5 * 10**9}))

    def raw(self, line: str) -> None:
        """Send this text and the end of a line."""
        self._events.put(line.encode() + b"\n")

    def _stream(self, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.setblocking(False)
        while True:
            with contextlib.suppress(BlockingIOError):
                if not connection.recv(1):
                    return
            with contextlib.suppress(queue.Empty):
                line = self._events.get(timeout=0.02)
                connection.setblocking(True)
                connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
                connection.setblocking(False)
