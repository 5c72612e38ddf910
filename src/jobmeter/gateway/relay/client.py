"""The runner's side of one exchange: what it asked, its body as it comes, the answer as it goes."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping, Sequence
from typing import Any, Self

from starlette.types import Receive, Scope, Send

from jobmeter.gateway.forges.port import Reply
from jobmeter.gateway.relay import headers as rules

_MAX_CALL = 200


class Gone(Exception):
    """The runner has closed its connection."""


class Room:
    """How many bytes of bodies may be held by all exchanges together."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, count: int) -> bool:
        """Whether there is room for so many more."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give_back(self, count: int) -> None:
        """So many are held no more."""
        self._left += count


class Held:
    """What one exchange holds of a room: from the begin of ``with`` to its end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._taken)

    def take(self, count: int) -> bool:
        """Whether there is room for so many bytes more."""
        if not self._room.take(count):
            return False
        self._taken += count
        return True


class Client:
    """One request of a runner. ``target`` is its path and query as they were sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        query: bytes = scope["query_string"]
        self.target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        self.pairs: list[tuple[bytes, bytes]] = scope["headers"]
        self.address: str | None = scope["client"][0] if scope.get("client") else None
        self.headers = rules.by_name(self.pairs)
        self.begun = False
        """Whether an answer has begun."""
        self.left = False
        """Whether the runner has closed its connection before all was said."""
        self.once_taken: Reply | None = None
        """What the runner is told in place of the forge's answer if that has taken all of its report."""
        self._receive = receive
        self._send = send
        self._whole = asyncio.Event()

    @property
    def call(self) -> str:
        """What it asks, for a log: its query may hold a secret."""
        return f"{self.method} {self.target.partition('?')[0][:_MAX_CALL]}"

    @property
    def milliseconds(self) -> int | None:
        """How long the runner waits for its answer, if it says so."""
        said = self.headers.get("connect-timeout-ms", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) <= 10 else None

    async def chunk(self) -> bytes | None:
        """The next piece of the body, which may be empty; None after the last. Raises Gone."""
        if self._whole.is_set():
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
            raise Gone
        if not message.get("more_body", False):
            self._whole.set()
        body: bytes = message.get("body", b"")
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Gone."""
        while (chunk := await self.chunk()) is not None:
            if chunk:
                yield chunk

    async def gone(self) -> None:
        """Return when the runner has closed its connection, once its request is whole."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True

    async def begin(self, status: int, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer."""
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(pairs)})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a piece of its body, and wait while the runner has not read what it was sent."""
        message: MutableMapping[str, Any] = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)

    async def reply(self, reply: Reply) -> None:
        """Send an answer that is whole."""
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        if reply.status != 204 and "content-length" not in dict(reply.headers):
            pairs.append((b"content-length", b"%d" % len(reply.body)))
        await self.begin(reply.status, pairs)
        await self.write(reply.body, more=False)
