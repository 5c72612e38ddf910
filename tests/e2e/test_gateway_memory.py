"""What a real gateway takes of memory while much passes, and while many are connected that ask for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.support.gateways import RunningGateway, running_gateway
from tests.support.forges.raw import Line, RawForge, Seen
from tests.support.forges.serving import request, wire

MIB = 1024 * 1024
ARTIFACT_MIB = 256
MOST_MIB = 32
CONNECTIONS = 1000
MOST_KIB_EACH = 40

pytestmark = pytest.mark.slow


class Storage(RawForge):
    """Takes what is put, and gives as much."""

    def __init__(self) -> None:
        super().__init__(self._give)
        self.taken = 0

    async def body(self, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        left = int(headers.get("content-length", 0))
        while left:
            left -= (count := len(await reader.read(min(left, MIB))))
            self.taken += count
        return b""

    async def _give(self, seen: Seen, line: Line) -> None:
        count = ARTIFACT_MIB if seen.method == "GET" and seen.target == "/artifact" else 0
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * MIB))
        for _ in range(count):
            await line.send(bytes(MIB))


@asynccontextmanager
async def before_storage(folder: Path) -> AsyncIterator[tuple[RunningGateway, Storage]]:
    """A gateway that has passed something already."""
    forge = Storage()
    await forge.listen()
    try:
        async with running_gateway(folder, forge.url) as gateway, wire(gateway.port) as line:
            await line.send(request("GET", "/"))
            assert (await line.answer()).status == 200
            yield gateway, forge
    finally:
        await forge.go_away()


async def up(gateway: RunningGateway, forge: Storage) -> None:
    """Put an artifact."""
    async with wire(gateway.port) as line:
        await line.send(request("PUT", "/artifact", ("Content-Length", str(ARTIFACT_MIB * MIB))))
        for _ in range(ARTIFACT_MIB):
            await line.send(bytes(MIB))
        assert (await line.answer()).status == 200
    assert forge.taken == ARTIFACT_MIB * MIB


async def down(gateway: RunningGateway, forge: Storage) -> None:
    """Get one."""
    async with wire(gateway.port) as line:
        await line.send(request("GET", "/artifact"))
        head = await line.reader.readuntil(b"\r\n\r\n")
        left = ARTIFACT_MIB * MIB
        assert f"content-length: {left}".encode() in head.lower()
        while left:
            count = len(await line.reader.read(MIB))
            assert count, "the artifact is cut"
            left -= count


@pytest.mark.parametrize("pass_it", [up, down], ids=["up", "down"])
def test_an_artifact_passes(tmp_path, pass_it):
    """256 MiB do not make the process grow by an eighth of that."""

    async def main():
        async with before_storage(tmp_path) as (gateway, forge):
            before = gateway.most_memory
            await pass_it(gateway, forge)
            assert (gateway.most_memory - before) / MIB < MOST_MIB

    asyncio.run(main())


def test_connections_that_are_kept(tmp_path):
    """Each takes little when something was asked over it, and all of them still answer."""

    async def main():
        async with before_storage(tmp_path) as (gateway, _), AsyncExitStack() as stack:
            before = gateway.most_memory
            lines = [await stack.enter_async_context(wire(gateway.port)) for _ in range(CONNECTIONS)]
            for _ in range(2):
                for line in lines:
                    await line.send(request("GET", "/"))
                    assert (await line.answer()).status == 200
            assert (gateway.most_memory - before) / 1024 / CONNECTIONS < MOST_KIB_EACH

    asyncio.run(main())
