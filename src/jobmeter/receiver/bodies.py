"""Reads the bodies of requests: each bounded in size, all together in memory; inflated when they are compressed."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeVar

from starlette.types import Message, Receive, Scope

from jobmeter.ops.application import Disconnected
from jobmeter.ops.problems import Problem, TooLarge, Unavailable

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_INFLATED_BYTES = 32 * 1024 * 1024
SMALL_BYTES = 64 * 1024
MAX_HELD_BYTES = 64 * 1024 * 1024
_LARGE_AT_ONCE = 2
Made = TypeVar("Made")
Stored = TypeVar("Stored")
_CODINGS = {b"": False, b"identity": False, b"gzip": True, b"x-gzip": True}


class Body:
    """The body as it came, and what is in it."""

    def __init__(self, sent: bytes, gzipped: bool) -> None:
        self.sent = sent
        self.gzipped = gzipped

    def content(self, limit: int = MAX_INFLATED_BYTES) -> bytes:
        """The body without its compression. Raises problems 400 and 413."""
        if self.gzipped:
            return _inflated(self.sent, limit)
        if len(self.sent) > limit:
            raise TooLarge(limit)
        return self.sent


class Intake:
    """Bounds the memory of all bodies whose requests are not answered yet.

    A quarter is kept for small ones, so that they find room while large ones come slowly.
    """

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self._held = 0

    def counting(self, receive: Receive) -> "Counted":
        """``receive`` of one request, counted."""
        return Counted(self, receive)

    def take(self, size: int, all_of_it: int) -> None:
        """Take room for so many bytes more of a request with so many in all. Raises a problem 503."""
        self._held += size
        if size and self._held > (self._limit if all_of_it <= SMALL_BYTES else self._limit * 3 // 4):
            raise Unavailable("Too much is being sent at once; try again soon.")

    def give_back(self, size: int) -> None:
        """So many bytes are not held any more."""
        self._held -= size


class Counted:
    """``receive`` of one request, whose body is counted by the intake until the context ends."""

    def __init__(self, intake: Intake, receive: Receive) -> None:
        self._intake = intake
        self._receive = receive
        self._size = 0

    async def __call__(self) -> Message:
        """The next message of the request. Raises a problem 503 when there is no room for it."""
        message = await self._receive()
        size = len(message.get("body", b""))
        self._size += size
        self._intake.take(size, self._size)
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._intake.give_back(self._size)


class Handling:
    """Makes something of bodies and stores it: of small ones at once, of large ones in a thread, few at a time.

    A body of some kilobytes may be a thousand times as large inside.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def handle(
        self, body: Body, make: Callable[[bytes], Made], store: Callable[[Made], Awaitable[Stored]]
    ) -> Stored:
        """What ``store`` gives for what ``make`` makes of the content."""
        if len(body.sent) <= SMALL_BYTES:
            content = body.sent if not body.gzipped else _small_content(body)
            if content is not None:
                return await store(make(content))
        async with self._room:
            return await store(await asyncio.to_thread(lambda: make(body.content())))


def _small_content(body: Body) -> bytes | None:
    with suppress(TooLarge):
        return body.content(SMALL_BYTES)
    return None


async def read_body(scope: Scope, receive: Receive) -> Body:
    """The whole body. Raises problems 413 and 415, and Disconnected; the server ends what comes too slowly."""
    gzipped = _announced(scope)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message["body"]
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        return Body(body, gzipped)
    pieces, size = [], 0
    while message["type"] == "http.request":
        pieces.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        if not message.get("more_body", False):
            return Body(b"".join(pieces), gzipped)
        message = await receive()
    raise Disconnected


def _announced(scope: Scope) -> bool:
    """Whether the body is compressed; what can be refused by its headers is refused."""
    length = coding = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            coding = value.strip().lower()
    gzipped = _CODINGS.get(coding)
    if gzipped is None:
        raise Problem(
            415,
            f"The Content-Encoding {coding.decode('latin-1')[:40]!r} is not known; accepted are gzip and identity.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    if length.isdigit() and int(length[:16]) > MAX_BODY_BYTES:
        raise TooLarge(MAX_BODY_BYTES)
    return gzipped


def _inflated(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise Problem(400, f"The body is not what its Content-Encoding gzip says: {error}.") from None
    if len(content) > limit:
        raise TooLarge(limit, "The body without its compression")
    if not inflater.eof:
        raise Problem(400, "The body is not what its Content-Encoding gzip says: it ends too early.")
    if inflater.unused_data:
        raise Problem(
            400, "The body is not what its Content-Encoding gzip says: there is more after its end."
        )
    return content
