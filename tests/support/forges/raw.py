"""A server that shows each request as it was written, and answers with the bytes that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

_HEAD = 256 * 1024


class Seen(NamedTuple):
    """One request: its first line, its headers as they were written, its body without chunks."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def by_name(self) -> dict[str, str]:
        """Headers by their names in lower case; of duplicates the last one."""
        return {name.lower(): value for name, value in self.headers}

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


class Line:
    """One connection; ``ended`` is set when the other side has closed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Cut it, as a machine does that has lost its memory."""
        self.writer.transport.abort()

    async def closed(self) -> bool:
        """Wait until the other side has closed it."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True


Answer = Callable[[Seen, Line], Awaitable[None]]


def response(status: int, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawForge:
    """Gives each request to ``answer``; without one it says 200 and nothing."""

    def __init__(self, answer: Answer | None = None, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.lines: list[Line] = []
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://localhost:{self.port}/"

    async def listen(self, port: int = 0) -> None:
        """Begin to answer, again too."""
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", port or self.port, limit=_HEAD, ssl=self._context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_away(self) -> None:
        """Nobody listens any more, and all connections are cut."""
        if self._server is not None:
            self._server.close()
        for line in self.lines:
            line.reset()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        line = Line(reader, writer, len(self.lines))
        self.lines.append(line)
        try:
            while (seen := await self._read(reader, line.number)) is not None:
                self.seen.append(seen)
                if self.answer is None:
                    await line.send(response(200))
                else:
                    await self.answer(seen, line)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Seen | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        seen = Seen(first, headers, b"", connection)
        return seen._replace(body=await self.body(seen.by_name, reader))

    async def body(self, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        """The body of a request with these headers."""
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body


@asynccontextmanager
async def raw_forge(
    answer: Answer | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[RawForge]:
    """One that listens."""
    forge = RawForge(answer, context)
    await forge.listen()
    try:
        yield forge
    finally:
        await forge.go_away()
