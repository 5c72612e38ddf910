"""A network between two programs of a test that loses what it is told to lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_READ = 65536

Loses = Callable[[bytes], bool]


class Network:
    """Connections to ``there`` through a port of its own.

    While ``swallows`` is set nothing arrives on either side and nobody hears of an end, as with a cable that is
    pulled out. Of answers for which ``loses`` is true nothing arrives, and the connection ends.
    """

    def __init__(self, there: int) -> None:
        self.there = there
        self.port = 0
        self.swallows = False
        self.loses: Loses = lambda answer: False
        self.lost = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0.01)  # Who has just come is met, so that it can be sent away.
        for line in list(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            await self._pass(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.swallows:
            await asyncio.sleep(3600)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.there)
        ways = [
            asyncio.create_task(self._one_way(reader, far_writer, lambda data: False)),
            asyncio.create_task(self._one_way(far_reader, writer, self._is_lost)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: Loses) -> None:
        while data := await reader.read(_READ):
            if self.swallows:
                await asyncio.sleep(3600)
            if lost(data):
                return
            writer.write(data)
            await writer.drain()
        if self.swallows:
            await asyncio.sleep(3600)

    def _is_lost(self, answer: bytes) -> bool:
        if not self.loses(answer):
            return False
        self.lost += 1
        return True


@asynccontextmanager
async def network(there: int) -> AsyncIterator[Network]:
    """One that works until it is told otherwise."""
    between = Network(there)
    await between.listen()
    try:
        yield between
    finally:
        await between.close()
