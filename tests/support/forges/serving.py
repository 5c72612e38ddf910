"""An application under the daemons' own server, in the event loop of a test, and a client that writes bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from jobmeter.ops.connection import DEFAULT_BOUNDS, Bounds, Connection
from jobmeter.ops.serving import listening_socket

SECONDS = 20.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    application: ASGIApp, bounds: Bounds = DEFAULT_BOUNDS, address: str = "127.0.0.1:0"
) -> AsyncIterator[int]:
    """The port on which it is served."""
    config = uvicorn.Config(
        application,
        http=type("Connection", (Connection,), {"bounds": bounds}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    listening = listening_socket(address)
    # As the daemons' own event loop does; a head and its body are two writes.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listening.close()


class Got(NamedTuple):
    """One answer as it was written; ``cut`` if the connection ended before it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool = False

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


class Wire:
    """A client's connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False, seconds: float = SECONDS) -> Got:
        """The next answer; ``head`` if it has no body, whatever its headers say."""
        async with asyncio.timeout(seconds):
            return await self._answer(head)

    async def _answer(self, head: bool) -> Got:
        first, *rest = (
            (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        )
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        got = Got(int(first.split(" ")[1]), headers, b"")
        if head or got.status in (100, 204, 304):
            return got
        try:
            return got._replace(body=await self._body({name.lower(): value for name, value in headers}))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return got._replace(cut=True)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" not in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def closed(self) -> bool:
        """Wait until the other side closes it."""
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A connection to this port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(method: str, target: str, *headers: tuple[str, str], body: bytes | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
