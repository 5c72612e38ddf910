"""Sends answers, the large ones in pieces as they are read, and bounds what all of them hold together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.types import Message, Send

from jobmeter.ops.problems import Unavailable

PIECE_BYTES = 256 * 1024
MAX_HELD_BYTES = 64 * 1024 * 1024


class Outlet:
    """Bounds the memory of large answers that their readers have not taken yet."""

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def holding(self, size: int, *, begun: bool) -> AsyncIterator[None]:
        """Room for so many bytes. An answer that has ``begun`` waits for it; another one is refused: a problem 503."""
        while self._held and self._held + size > self._limit:
            if not begun:
                raise Unavailable("Too much is being read at once; try again soon.")
            async with self._changed:
                await self._changed.wait()
        self._held += size
        try:
            yield
        finally:
            self._held -= size
            async with self._changed:
                self._changed.notify_all()


class Answer:
    """``send`` of one request. It begins with its first body, so that it can still be refused until then.

    ``status`` is 0 until it has begun. ``headers`` are those it has unless others of the same names were said.
    """

    def __init__(self, send: Send, outlet: Outlet, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._send = send
        self._headers = headers
        self._outlet = outlet
        self._start: Message | None = None
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Send a message. Raises a problem 503 when there is no room for a large body."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if len(message.get("body", b"")) > PIECE_BYTES:
            await self._send_in_pieces(message)
            return
        await self._begin()
        await self._send(message)

    async def _begin(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            self.status = start["status"]
            if self._headers:
                said = {name for name, _ in start["headers"]}
                start["headers"] = [*start["headers"], *(one for one in self._headers if one[0] not in said)]
            await self._send(start)

    async def _send_in_pieces(self, message: Message) -> None:
        """The server waits before each until most of the one before is taken."""
        body = memoryview(message["body"])
        async with self._outlet.holding(len(body), begun=bool(self.status)):
            await self._begin()
            for place in range(0, len(body), PIECE_BYTES):
                more = place + PIECE_BYTES < len(body) or message.get("more_body", False)
                piece = bytes(body[place : place + PIECE_BYTES])
                await self._send({"type": "http.response.body", "body": piece, "more_body": more})
