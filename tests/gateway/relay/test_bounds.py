"""What is not held in memory: the forge and the runner have the begin of a body before its end is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jobmeter.gateway.forges import messages
from tests.gateway.relay.rig import Rig, until
from tests.support.forges.actions import PATH
from tests.support.forges.raw import Line, RawForge, Seen, raw_forge
from tests.support.forges.serving import request, wire

HALF = 40_000
LOG = PATH + "UpdateLog"
PROTO = ("Content-Type", "application/proto")


def run(main):
    asyncio.run(main())


class Counting(RawForge):
    """Counts the bytes of bodies as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.come = 0

    async def body(self, headers, reader):
        left = int(headers["content-length"])
        while left:
            taken = len(await reader.read(left))
            assert taken, "the body is cut"
            left -= taken
            self.come += taken
        return b""


@asynccontextmanager
async def counting_forge() -> AsyncIterator[Counting]:
    """One that listens."""
    forge = Counting()
    await forge.listen()
    try:
        yield forge
    finally:
        await forge.go_away()


def report() -> bytes:
    """A log of a little more than two halves, as it goes over the wire."""
    said = messages.MESSAGES["runner.v1.UpdateLogRequest"](task_id=7, rows=[{"content": "x" * 2 * HALF}])
    return request("POST", LOG, PROTO, body=said.SerializeToString())


@pytest.mark.parametrize(
    "method, target, options",
    [
        ("PUT", "/api/actions_pipeline/_apis/pipelines/workflows/7/artifacts/a/upload", {}),
        ("POST", "/acme/engine.git/git-receive-pack", {}),
        ("POST", LOG, {"read_bytes": 2 * HALF - 1}),
        ("POST", LOG, {"held_bytes": HALF - 1}),
    ],
    ids=["an artifact", "a push", "a log that is too large to be read", "a log for which there is no room"],
)
def test_a_body_goes_on_before_it_is_whole(method, target, options):
    """The second half is sent when the forge has the first one."""

    async def main():
        async with (
            counting_forge() as forge,
            Rig(forge, **options).running() as rig,
            wire(rig.port) as runner,
        ):
            written = request(method, target, PROTO, body=b"x" * 2 * HALF)
            await runner.send(written[:-HALF])
            await until(lambda: forge.come == HALF)
            await runner.send(written[-HALF:])
            assert (await runner.answer()).status == 200
            assert forge.come == 2 * HALF

    run(main)


def test_an_answer_goes_on_before_it_is_whole():
    """The second half is sent when the runner has the first one."""
    taken = asyncio.Event()

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * HALF) + b"y" * HALF)
        await taken.wait()
        await line.send(b"y" * HALF)

    async def main():
        async with raw_forge(answer) as forge, Rig(forge).running() as rig, wire(rig.port) as runner:
            await runner.send(request("GET", "/acme/engine/archive/main.tar.gz"))
            async with asyncio.timeout(10):
                await runner.reader.readuntil(b"\r\n\r\n")
                assert await runner.reader.readexactly(HALF) == b"y" * HALF
            taken.set()
            assert await runner.reader.readexactly(HALF) == b"y" * HALF

    run(main)


def test_all_bodies_that_are_held_share_the_room():
    """The second report passes unread while the first one is held; with the first one's end there is room again."""

    async def main():
        async with counting_forge() as forge, Rig(forge, held_bytes=3 * HALF).running() as rig:
            written = report()
            async with wire(rig.port) as first, wire(rig.port) as second:
                await first.send(written[:-HALF])
                await asyncio.sleep(0.05)
                await second.send(written)
                assert (await second.answer()).status == 200
                one = forge.come
                assert (one > 2 * HALF, rig.relay.unread) == (True, 1)
                await first.send(written[-HALF:])
                assert (await first.answer()).status == 200
                await second.send(written)
                assert (await second.answer()).status == 200
            assert (forge.come, rig.relay.unread) == (3 * one, 1)

    run(main)
