"""A receiver that keeps the contract of streaming and pushing, and fails as it is told to."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

RESET, CUT, LOST, HANG, ODD = "reset", "cut", "lost", "hang", "odd"
"""No answer; the connection cut within the body; stored but no answer; nothing for long; an answer that is none."""

Fault = str | int | tuple[int, dict[str, str]]
"""One of the words above, or a status that is answered, with headers."""


class Asked(NamedTuple):
    """One request: its path with the query, its headers, its body as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class FlakyReceiver(ThreadingHTTPServer):
    """Stores parts and summaries; each request takes one of ``faults``, and all take ``always`` if it is set.

    ``tell`` gives the answer to a question, by its path with the query.
    """

    daemon_threads = True

    def __init__(self, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.max_body_bytes = 1 << 30
        self.asked: list[Asked] = []
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.pushed: list[dict[str, Any]] = []
        self.tell: Callable[[str], bytes] = lambda path: b"{}"
        self.connections = 0
        self.lock = threading.Lock()
        self.release = threading.Event()
        self.scheme = "http"

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self.scheme}://localhost:{self.server_address[1]}"

    def secure(self, certificate: Path, key: Path) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https"

    def sequences(self, run_uid: str) -> list[int]:
        """The numbers of all records of a run, in the order they came in."""
        return [record["sequence"] for record in self.runs.get(run_uid, [])]

    def take(self, run_uid: str, text: bytes, *, gap: bool) -> tuple[int, dict[str, Any]]:
        """Store a part: status and answer, as the contract has it."""
        stored = self.runs.get(run_uid, [])
        following = stored[-1]["sequence"] + 1 if stored else 0
        new = [json.loads(line) for line in text.splitlines()]
        if new and new[0]["sequence"] > following and not gap:
            return 409, {"status": 409, "detail": "records are missing", "next_sequence": following}
        for record in new:
            assert record["run_uid"] == run_uid
            if record["sequence"] >= following:
                self.runs.setdefault(run_uid, []).append(record)
                following = record["sequence"] + 1
        return 200, {"run_uid": run_uid, "next_sequence": following, "ended": False}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: FlakyReceiver
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            fault = server.faults.popleft() if server.faults else server.always
        length = int(self.headers["Content-Length"] or 0)
        if fault == CUT:
            self.rfile.read(length // 2)
            self._break()
            return
        body = self.rfile.read(length)
        with server.lock:
            server.asked.append(Asked(self.path, dict(self.headers), body))
        if fault == RESET:
            self._break()
        elif fault == HANG:
            server.release.wait(120)
            self._break()
        elif fault == LOST:
            self._work(body)
            self._break()
        elif fault == ODD:
            self._answer(200, b"<html>welcome</html>", {})
        elif isinstance(fault, int):
            self._answer(fault, b'{"detail": "told to"}', {})
        elif isinstance(fault, tuple):
            self._answer(fault[0], b'{"detail": "told to"}', fault[1])
        elif server.token is not None and self.headers["Authorization"] != f"Bearer {server.token}":
            said = f"the token of {self.headers['Authorization']} is not known"
            self._answer(401, json.dumps({"detail": said}).encode(), {"WWW-Authenticate": "Bearer"})
        elif length > server.max_body_bytes:
            self._answer(413, b"{}", {})
        elif self.command == "GET":
            self._answer(200, server.tell(self.path), {})
        else:
            status, answer = self._work(body)
            self._answer(status, json.dumps(answer).encode(), {})

    def _work(self, body: bytes) -> tuple[int, dict[str, Any]]:
        path, _, query = self.path.partition("?")
        if self.headers["Content-Encoding"] == "gzip":
            body = zlib.decompress(body, wbits=31)
        with self.server.lock:
            if path.endswith("/parts"):
                return self.server.take(path.split("/")[-2], body, gap="gap=true" in query)
            self.server.pushed.append(json.loads(body))
            return 201, {"id": len(self.server.pushed)}

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        """RST instead of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def serving(receiver: FlakyReceiver) -> Iterator[FlakyReceiver]:
    """Serve until the end of the block."""
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost, which is its own authority, and its key."""
    place, key = directory / "ca.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", place],
        check=True, capture_output=True,
    )  # fmt: skip
    return place, key


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
