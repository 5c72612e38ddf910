"""Bytes from a runner to the forge and back: as they come, or read whole where somebody must know them."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from jobmeter.gateway.forges.bodies import plain_body
from jobmeter.gateway.forges.port import Dialect, Other, Reply, Request, Unreadable
from jobmeter.gateway.relay import headers as rules
from jobmeter.gateway.relay.client import Client, Held, Room
from jobmeter.gateway.relay.leaving import unless_gone
from jobmeter.gateway.relay.upstream import Answered, Limits, Unreachable, Upstream, pieces
from jobmeter.ops.log import Log

SILENCE = Limits(silence=600.0)
"""Of what merely passes: a forge may think long before it answers, and a runner that does not wait goes."""
_LONGEST_STATUS = 599
MOST_ANSWER_BYTES = 64 * 1024 * 1024
"""Of an answer that is held: a job comes with all that its event says."""


class Whole(Struct, frozen=True, kw_only=True):
    """An answer of the forge that is held, byte for byte, with the headers that a runner gets."""

    status: int
    pairs: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def of(cls, reply: Reply) -> "Whole":
        """An answer of our own that several runners may get."""
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        pairs.append((b"content-length", b"%d" % len(reply.body)))
        return cls(status=reply.status, pairs=tuple(pairs), body=reply.body)

    def __repr__(self) -> str:
        """Without headers and body, which may hold secrets."""
        return f"Whole(status={self.status}, body of {len(self.body)} bytes)"


class Passing:
    """Passes requests of runners to one forge. ``room`` is what all bodies that are held may take together."""

    def __init__(self, upstream: Upstream, dialect: Dialect, log: Log, room: Room, most_bytes: int) -> None:
        self._upstream = upstream
        self._dialect = dialect
        self._log = log
        self._room = room
        self._most_bytes = most_bytes

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> Client | None:
        """The request, or None if it is one that nobody else shall have to make sense of, and has been answered."""
        client = Client(scope, receive, send)
        reason = rules.smuggled(client.pairs)
        if not client.target.startswith("/"):
            reason = "A request's target begins with a slash."  # It would go on the forge's own name.
        if reason is None:
            return client
        self._log.warn("a request was refused for its head", error=reason, client=client.address)
        plain = (("content-type", "text/plain; charset=utf-8"), ("connection", "close"))
        await client.reply(Reply(status=400, headers=plain, body=f"{reason}\n".encode()))
        return None

    async def stream(self, client: Client, before: bytes = b"") -> None:
        """Pass a request and its answer as they come; ``before`` is what was read of the body already."""
        await unless_gone(client, self._stream(client, before))

    def holding(self) -> Held:
        """Room for what one exchange holds."""
        return Held(self._room)

    async def read_body(self, client: Client, held: Held) -> tuple[bytes, bool]:
        """A request's body, of which ``held`` takes the room, and whether that is all of it. Raises Gone."""
        if int(rules.length(client.pairs) or 0) > self._most_bytes:
            return b"", False
        parts: list[bytes] = []
        size = 0
        whole = True
        # What runs for each report is no async generator here and below: the loop keeps an account of those.
        while whole and (chunk := await client.chunk()) is not None:
            parts.append(chunk)
            size += len(chunk)
            whole = size <= self._most_bytes and held.take(len(chunk))
        return b"".join(parts), whole

    def plain_body(self, client: Client, raw: bytes, held: Held) -> bytes:
        """The body without its content coding; ``held`` takes the room of what it is unpacked to.

        Raises Unreadable, also where there is no room for it.
        """
        body = plain_body(client.headers, raw, self._most_bytes)
        if body is not raw and not held.take(len(body)):
            raise Unreadable("There is no room to unpack a body.")
        return body

    async def ask_whole(self, client: Client, body: bytes, *, limits: Limits, uncoded: bool = False) -> Whole:
        """Ask the forge with this body in place of the client's, and hold its answer. Raises Unreachable.

        ``uncoded`` if the body is without the content coding that the client's has.
        """
        async with self._ask(client, body, limits, uncoded=uncoded) as answered:
            return await self._hold(answered)

    async def call(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes, *, limits: Limits
    ) -> Whole:
        """A request of our own. Raises Unreachable."""
        measured = [*headers, ("content-length", str(len(body)))]
        async with self._upstream.ask(method, path, measured, body, limits=limits) as answered:
            return await self._hold(answered)

    async def _hold(self, answered: Answered) -> Whole:
        _check_status(answered)
        held = bytearray()
        while chunk := await answered.chunk():
            held += chunk
            if len(held) > MOST_ANSWER_BYTES:
                raise Unreachable(f"The forge's answer has more than {MOST_ANSWER_BYTES} bytes.")
        pairs = tuple(rules.to_runner(answered.pairs, answered.status))
        return Whole(status=answered.status, pairs=pairs, body=bytes(held))

    async def answer(self, client: Client, answer: Whole | Reply) -> None:
        """Give a runner its answer."""
        if isinstance(answer, Reply):
            await client.reply(answer)
            return
        await client.begin(answer.status, answer.pairs)
        await client.write(answer.body, more=False)

    def refusal(
        self, client: Client, error: Exception, request: Request | None = None, runner: str | None = None
    ) -> Reply:
        """What a runner is told when the forge gives no answer; the operator is told too."""
        self._log.warn(
            "a request of a runner could not be passed",
            runner=runner or "unknown",
            client=client.address,
            call=client.call,
            error=str(error),
        )
        return self._dialect.refuse(request or Other(), str(error))

    async def _stream(self, client: Client, before: bytes) -> None:
        body = _chained(before, client) if rules.has_body(client.pairs) else None
        if body is None:
            async for _ in client.chunks():
                pass  # So that it is heard when the runner goes.
        try:
            async with self._ask(client, body, SILENCE) as answered:
                await self._pass_answer(client, answered, answered.chunks())
        except Unreachable as error:
            if client.left:
                return
            if not client.begun:
                await client.reply(self.refusal(client, error))
                return
            # The answer ends here without its end, and the server closes the runner's connection.
            self._log.warn(
                "an answer of the forge broke off", client=client.address, call=client.call, error=str(error)
            )

    def _ask(
        self,
        client: Client,
        body: bytes | AsyncIterator[bytes] | None,
        limits: Limits,
        *,
        uncoded: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[Answered]:
        headers = rules.to_forge(client.pairs, client.address)
        if uncoded:
            headers = [pair for pair in headers if pair[0] != "content-encoding"]
        size = str(len(body)) if isinstance(body, bytes) else rules.length(client.pairs)
        if body is not None and size is not None:
            headers.append(("content-length", size))
        return self._upstream.ask(client.method, client.target, headers, body, limits=limits)

    async def _pass_answer(
        self, client: Client, answered: Answered, chunks: AsyncIterator[bytes], before: bytes = b""
    ) -> None:
        _check_status(answered)
        await client.begin(answered.status, rules.to_runner(answered.pairs, answered.status))
        if before:
            await client.write(before, more=True)
        async for chunk in chunks:
            await client.write(chunk, more=True)
        await client.write(b"", more=False)


def _check_status(answered: Answered) -> None:
    """Raises Unreachable for one that a server cannot pass on."""
    if answered.status > _LONGEST_STATUS:
        raise Unreachable(f"The forge answered with the status {answered.status}, which HTTP does not have.")


async def _chained(before: bytes, client: Client) -> AsyncIterator[bytes]:
    async for piece in pieces(before):
        yield piece
    async for chunk in client.chunks():
        yield chunk
