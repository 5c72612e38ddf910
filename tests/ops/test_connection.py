"""One connection: what is a request, who is answered, and what a client cannot make of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from jobmeter.ops.connection import PROGRESS_BYTES, Bounds, Connection
from tests.ops.servers import GET, SECONDS, answered, running
from tests.support.forges.serving import Wire as Line
from tests.support.forges.serving import serving, wire

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """What a connection writes to; whether it was ended, and how."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""
        self._connection = connection

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.end("close")

    def abort(self) -> None:
        self.end("abort")

    def end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


class Talk:
    """A client's talk with an application that answers once ``let`` is set, and tells what it was sent."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.ended: list[str] = []
        self.let = asyncio.Event()
        config = uvicorn.Config(
            self._application,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
        )
        config.load()
        self.connection = Connection(config, uvicorn.server.ServerState(), app_state={})
        self.wire = Wire(self.connection)
        self.connection.connection_made(self.wire)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        while (message := await receive()).get("more_body"):
            pass
        self.ended.append(message["type"])
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self.let.wait()
        if scope["path"] != "/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def say(self, *pieces: bytes) -> None:
        """Send the pieces, each by itself, and let what they begin come to rest."""
        for piece in (*pieces, b""):
            if piece and not self.wire.ended:
                self.connection.data_received(piece)
            for _ in range(10):
                await asyncio.sleep(0)


def talking(test: Callable[[Talk], Awaitable[None]]) -> None:
    async def work() -> None:
        await test(Talk())

    asyncio.run(work())


@pytest.mark.parametrize("count, status", [(100, b"200"), (127, b"200"), (129, b"400"), (1000, b"400")])
def test_headers_are_bounded_in_number(count: int, status: bytes) -> None:
    """Each takes more memory than its bytes."""

    async def test(talk: Talk) -> None:
        talk.let.set()
        await talk.say(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * count + b"\r\n")
        assert talk.wire.written.startswith(b"HTTP/1.1 " + status)

    talking(test)


@pytest.mark.parametrize("together", [True, False])
def test_what_comes_behind_a_body_is_no_header(together: bool) -> None:
    """However it is cut into pieces, and however much it is."""

    async def test(talk: Talk) -> None:
        talk.let.set()
        trailers = b"authorization: Bearer x\r\n" + b"a: b\r\n" * 1000 + b"\r\n"
        pieces = (CHUNKED, b"1\r\nx\r\n0\r\n", trailers, GET % b"/")
        await talk.say(*([b"".join(pieces)] if together else pieces))
        assert [name for scope in talk.scopes for name, _ in scope["headers"]] == [
            b"host", b"transfer-encoding", b"host",
        ]  # fmt: skip
        assert talk.wire.written.count(b"HTTP/1.1 200") == 2

    talking(test)


def test_who_leaves_leaves_all_its_requests() -> None:
    """The one that is answered ends without a complaint, those behind it are not begun."""

    async def test(talk: Talk) -> None:
        await talk.say(GET % b"/" + GET % b"/" + CHUNKED)
        talk.wire.end("by the client")
        await talk.say()
        talk.let.set()
        await talk.say()
        assert (talk.ended, talk.wire.written) == (["http.request"], b"")

    talking(test)


def test_one_who_leaves_within_a_body_is_told_of() -> None:
    """The application waits no longer."""

    async def test(talk: Talk) -> None:
        await talk.say(CHUNKED)
        talk.wire.end("by the client")
        await talk.say()
        assert talk.ended == ["http.disconnect"]

    talking(test)


@pytest.mark.parametrize(
    "pieces, written, ended",
    [
        ((b"nonsense\r\n\r\n",), b"HTTP/1.1 400", "close"),
        ((GET % b"/", b"nonsense\r\n\r\n"), b"", "abort"),
        ((GET % b"/" + b"nonsense\r\n\r\n",), b"", "abort"),
        ((GET % b"/half", b"nonsense\r\n\r\n"), b"HTTP/1.1 200", "abort"),
        ((CHUNKED, b"nonsense"), b"HTTP/1.1 400", "close"),
        ((GET % b"/", CHUNKED, b"nonsense"), b"", "abort"),
    ],
    ids=[
        "alone",
        "behind a request",
        "in one piece",
        "behind half an answer",
        "in a body",
        "behind in a body",
    ],
)
def test_a_refusal_never_stands_in_for_another_answer(
    pieces: tuple[bytes, ...], written: bytes, ended: str
) -> None:
    """A client could not tell which request it is for: the connection ends."""

    async def test(talk: Talk) -> None:
        await talk.say(*pieces)
        assert talk.wire.written.startswith(written)
        assert bool(talk.wire.written) is bool(written)
        assert talk.wire.written.count(b"HTTP/1.1") <= 1
        assert talk.wire.ended == ended

    talking(test)


def test_after_an_answer_nonsense_is_refused() -> None:
    """And the connection ends."""

    async def test(talk: Talk) -> None:
        talk.let.set()
        await talk.say(GET % b"/", b"nonsense\r\n\r\n")
        assert talk.wire.written.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 400" in talk.wire.written
        assert talk.wire.ended == "close"

    talking(test)


def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    """For longer than it may take to read nothing, although our own buffer does not move for as long."""
    bound_seconds = 1.0
    with running(bound_seconds, 1000.0, 10) as port, socket.socket() as client:
        client.settimeout(30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", port))
        client.sendall(GET % b"/large")
        got, until = 0, time.monotonic() + 4 * bound_seconds
        while time.monotonic() < until:
            got += len(client.recv(PROGRESS_BYTES))
            time.sleep(bound_seconds / 10)
        while got < 50_000_000 and (piece := client.recv(1_000_000)):
            got += len(piece)
        assert got >= 50_000_000


def test_one_that_stops_reading_is_cut_off() -> None:
    """After its time, although it has read before."""
    with (
        running(SECONDS, 1000.0, 10) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
    ):
        client.sendall(GET % b"/large")
        got = len(client.recv(100_000))
        time.sleep(6 * SECONDS)
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1_000_000):
                got += len(piece)
        assert got < 50_000_000


def test_a_request_that_waits_behind_an_answer_is_not_late() -> None:
    """Nothing of it is read meanwhile; it has its time from then on."""
    with (
        running(SECONDS, 1000.0, 10) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
    ):
        client.sendall(GET % b"/slow" + b"GET / HTTP/1.1\r\n")
        assert answered(client)
        client.sendall(b"Host: x\r\n\r\n")
        assert answered(client)
        client.sendall(GET % b"/slow" + b"GET / HTTP/1.1\r\n")
        assert answered(client)
        begun = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - begun < 10 * SECONDS


async def _count(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers how many bytes came; below /late it begins to read after three bounds."""
    count, more = 0, True
    if scope["path"] == "/late":
        await asyncio.sleep(3 * SECONDS)
    while more:
        message = await receive()
        count, more = count + len(message.get("body", b"")), message.get("more_body", False)
    body = b"%d" % count
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _drip(line: Line, piece: bytes, pieces: int) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(pieces):
            await line.send(piece)
            await asyncio.sleep(SECONDS / 4)


HALF = b"x" * (PROGRESS_BYTES // 2)


@pytest.mark.parametrize(
    "path,piece,pieces,longest,whole",
    [
        pytest.param(b"/", HALF, 20, 60.0, True, id="progress"),
        pytest.param(b"/", b"x", 20, 60.0, False, id="dripping"),
        pytest.param(b"/", HALF, 20, 2 * SECONDS, False, id="too-long"),
        pytest.param(b"/late", HALF * 100, 1, 60.0, True, id="not-read"),
    ],
)
def test_a_body_may_take_its_time_if_it_comes(
    path: bytes, piece: bytes, pieces: int, longest: float, whole: bool
) -> None:
    """As long as it makes progress, up to the longest time; while it is not read that is not its sender's fault."""
    length = len(piece) * pieces

    async def main() -> None:
        bounds = Bounds(SECONDS, 60.0, 10, body_seconds=longest)
        async with serving(_count, bounds) as port, wire(port) as line:
            head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, length)
            await line.send(head)
            await _drip(line, piece, pieces)
            got = b""
            with contextlib.suppress(ConnectionError):
                got = await line.reader.read(1000)
            assert got.endswith(b"%d" % length) == whole

    asyncio.run(main())


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x"])
def test_a_head_is_not_waited_for_as_a_body_is(sent: bytes) -> None:
    """Nor is one who says nothing."""

    async def main() -> None:
        async with serving(_count, Bounds(SECONDS, 60.0, 10, body_seconds=60.0)) as port, wire(port) as line:
            await line.send(sent)
            assert await line.closed()

    asyncio.run(main())
