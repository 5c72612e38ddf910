"""Hostile runners and hostile forges before a real gateway: bounded memory, few lines, no secret, others are served."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.gateways import TOKEN, RunningGateway, running_gateway
from tests.e2e.support.scripted_runners import SUCCESS, ActionsWorker, at_work, until
from tests.gateway.relay.test_passing import HOSTILE
from tests.support.forges.actions import PATH, ActionsForge, Runner, actions_forge
from tests.support.forges.gitlab import gitlab_forge
from tests.support.forges.raw import Line, Seen, raw_forge, response
from tests.support.forges.serving import request, wire

MIB = 1024 * 1024
STRANGERS = 6000
"""More than the gateway tells apart."""
HELD_MIB = 640
"""Twice what all bodies that are held may take, as they are put together from pieces; the service may take 1 GiB."""


@asynccontextmanager
async def bounded(gateway: RunningGateway, most_mib: int) -> AsyncIterator[None]:
    """While this lasts it grows by no more than so much, and says little."""
    memory, lines = gateway.most_memory, len(gateway.warned)
    yield
    assert (gateway.most_memory - memory) / MIB < most_mib
    assert len(gateway.warned) - lines < 10, gateway.warned


async def works(forge: ActionsForge, gateway: RunningGateway) -> None:
    """A job of an honest runner runs."""
    number = 1000 + len(forge.jobs)
    forge.enqueue(number)
    worker = ActionsWorker(gateway.port, "one", TOKEN)
    async with at_work(worker):
        await until(lambda: forge.jobs[number].result == SUCCESS)


Attack = Callable[[RunningGateway], Awaitable[None]]


async def many_identities(gateway: RunningGateway) -> None:
    """Strangers that come once."""

    async def some(first: int) -> None:
        async with wire(gateway.port) as line:
            for number in range(first, first + STRANGERS // 8):
                stranger = Runner(gateway.port, f"u{number}", f"{TOKEN}-{number}")
                await line.send(stranger.written("FetchTask"))
                assert (await line.answer()).status == 401

    await asyncio.gather(*(some(first) for first in range(0, STRANGERS, STRANGERS // 8)))


async def announced_bodies(gateway: RunningGateway) -> None:
    """20 MiB of nothing in each of forty requests at once."""
    await _large_bodies(gateway, ("Content-Length", str(20 * MIB)), bytes(MIB))


async def large_bodies(gateway: RunningGateway) -> None:
    """The same of requests that do not say how much it is."""
    await _large_bodies(gateway, ("Transfer-Encoding", "chunked"), b"100000\r\n" + bytes(MIB) + b"\r\n")


async def _large_bodies(gateway: RunningGateway, length: tuple[str, str], piece: bytes) -> None:
    headers = ("Content-Type", "application/proto"), ("x-runner-uuid", "u"), ("x-runner-token", TOKEN), length

    async def one() -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with wire(gateway.port) as line:
                await line.send(request("POST", PATH + "UpdateLog", *headers))
                for _ in range(20):
                    await line.send(piece)
                await line.answer()

    await asyncio.gather(*(one() for _ in range(40)))


async def packed_bodies(gateway: RunningGateway) -> None:
    """60 KiB that are 60 MiB when they are unpacked, sixteen at once."""
    body = gzip.compress(bytes(60 * MIB))
    headers = ("Content-Type", "application/proto"), ("Content-Encoding", "gzip"), ("x-runner-token", TOKEN)

    async def one() -> None:
        async with wire(gateway.port) as line:
            await line.send(request("POST", PATH + "UpdateLog", *headers, body=body))
            await line.answer()

    await asyncio.gather(*(one() for _ in range(16)))


async def slow_bodies(gateway: RunningGateway) -> None:
    """A thousand that begin and do not go on; each has sent 64 KiB."""
    async with contextlib.AsyncExitStack() as stack:
        headers = ("Content-Type", "application/proto"), ("x-runner-token", TOKEN)
        for number in range(1000):
            line = await stack.enter_async_context(wire(gateway.port))
            head = request("POST", PATH + "UpdateLog", *headers, ("Content-Length", str(MIB)))
            await line.send(head + bytes(64 * 1024) if number % 2 else head[:-10])
        got = await Runner(gateway.port, "one", TOKEN).call("Declare", version="v1")
        assert got.status == 200


async def no_messages(gateway: RunningGateway) -> None:
    """Bytes that are none, of every call, in both encodings."""
    runner = Runner(gateway.port, "one", TOKEN)
    for call in ("Declare", "FetchTask", "UpdateLog", "UpdateTask"):
        for kind in ("proto", "json"):
            for body in (b"\xff" * 100, b"{" * 10_000, b"planted-mask", b""):
                headers = [("Content-Type", f"application/{kind}"), *runner.headers[1:]]
                async with wire(gateway.port) as line:
                    await line.send(request("POST", PATH + call, *headers, body=body))
                    await line.answer()


ATTACKS = [
    (many_identities, 128),
    (announced_bodies, 128),
    (large_bodies, HELD_MIB),
    (packed_bodies, 128),
    (slow_bodies, 128),
    (no_messages, 32),
]


@pytest.mark.parametrize("attack,most_mib", ATTACKS)
def test_hostile_runners(tmp_path: Path, attack: Attack, most_mib: int) -> None:
    """The gateway stays within bounds, and honest runners work on."""

    async def main() -> None:
        async with (
            forgiving_forge() as forge,
            running_gateway(tmp_path, forge.url, capacity=1) as gateway,
        ):
            await works(forge, gateway)
            async with bounded(gateway, most_mib):
                await attack(gateway)
            await works(forge, gateway)

    asyncio.run(main())


@asynccontextmanager
async def forgiving_forge() -> AsyncIterator[ActionsForge]:
    """One that answers what it does not understand, as forges do."""
    async with actions_forge(one=TOKEN) as forge:
        answer = forge.answer
        assert answer is not None

        async def forgive(seen: Seen, line: Line) -> None:
            try:
                await answer(seen, line)
            except ConnectionError:
                raise
            except Exception:
                await line.send(response(400, b'{"code":"invalid_argument"}'))

        forge.answer = forgive
        yield forge


def test_what_two_servers_might_read_differently(tmp_path: Path) -> None:
    """Is refused; what follows on the connection is no request, and the forge never hears of any of it."""

    async def main() -> None:
        async with raw_forge() as forge, running_gateway(tmp_path, forge.url) as gateway:
            for one in HOSTILE:
                (said,) = one.values
                assert isinstance(said, bytes)
                async with wire(gateway.port) as line:
                    await line.send(said.replace(b"Host: a", b"Host: a\r\nX: " + TOKEN.encode()))
                    assert (await line.answer()).status == 400, said
                    await line.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert await line.closed()
            assert forge.seen == []

    asyncio.run(main())


SPLIT = 'evil"} 1\r\nplanted_series 5\nX-Planted: yes'


class Naming(ActionsForge):
    """Calls its runners so."""

    def _Declare(self, uuid: str, asked: Any, answer: Any) -> None:
        super()._Declare(uuid, asked, answer)
        answer.runner.name = SPLIT


def test_names_that_would_split_what_they_are_written_into(tmp_path: Path) -> None:
    """A runner's name, version and labels, and GitLab's marks: no line of a page, a log or a head of their own."""

    async def main() -> None:
        forge = Naming({"one": TOKEN})
        await forge.listen()
        async with running_gateway(tmp_path, forge.url) as gateway:
            runner = Runner(gateway.port, "one", TOKEN)
            assert (await runner.call("Declare", version=SPLIT, labels=[SPLIT])).status == 200
            forge.enqueue(1)
            while not await runner.fetch():
                await asyncio.sleep(0.05)
            for page in ("/metrics", "/debug/runners/list", "/debug/jobs/list"):
                lines = (await gateway.place.get(page)).splitlines()
                assert not [line for line in lines if line.startswith(("planted_series", "X-Planted"))]
            assert "planted_series" in await gateway.place.get("/metrics")
        await forge.go_away()

    asyncio.run(main())


def test_a_mark_of_gitlabs_that_would_split_a_head(tmp_path: Path) -> None:
    """It is said back by the gateway itself while the runner may get nothing."""

    async def main() -> None:
        async with (
            gitlab_forge(TOKEN, hold_seconds=0.1) as forge,
            running_gateway(tmp_path, forge.url, "gitlab", fetch_timeout="300ms") as gateway,
        ):
            said = {"token": TOKEN, "last_update": SPLIT}
            async with wire(gateway.port) as line:
                await line.send(request("POST", "/api/v4/jobs/request", body=json.dumps(said).encode()))
                got = await line.answer()
            assert got.status in (204, 503)
            assert got.values("x-planted") == []

    asyncio.run(main())


async def endless(seen: Seen, line: Line) -> None:
    """An answer that never ends."""
    await line.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"100000\r\n" + bytes(MIB) + b"\r\n"
    while not line.writer.is_closing():
        await line.send(piece)


async def packed(seen: Seen, line: Line) -> None:
    """One that is a thousand times as large when it is unpacked."""
    marks = ("Content-Type", "application/proto"), ("Content-Encoding", "gzip")
    await line.send(response(200, BOMB, *marks))


async def large_head(seen: Seen, line: Line) -> None:
    """One with a megabyte of headers."""
    await line.send(b"HTTP/1.1 200 OK\r\n" + b"X-A: planted-mask\r\n" * 60_000 + b"\r\n")


async def two_ways(seen: Seen, line: Line) -> None:
    """One that says twice how long it is."""
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX")


BOMB = gzip.compress(bytes(200 * MIB))


@pytest.mark.parametrize("answer", [endless, packed, large_head, two_ways])
def test_hostile_forges(tmp_path: Path, answer: Callable[[Seen, Line], Awaitable[None]]) -> None:
    """Runners are answered, the gateway stays within bounds and says what was wrong."""

    async def main() -> None:
        async with raw_forge(answer) as forge, running_gateway(tmp_path, forge.url) as gateway:
            runner = Runner(gateway.port, "one", TOKEN)
            async with bounded(gateway, 256):
                for call in ("FetchTask", "UpdateTask", "Declare"):
                    got = await runner.call(call)
                    assert got.status in (200, 503), got.status
                    await asyncio.sleep(0.2)
            assert gateway.warned

    asyncio.run(main())
