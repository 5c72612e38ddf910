"""Requests for work in each encoding, packed or not: what must be other for the forge is, and all else is as it was."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable

import msgspec
import pytest

from tests.gateway.relay.rig import Rig
from tests.support.forges.actions import PATH
from tests.support.forges.raw import Line, Seen, raw_forge, response
from tests.support.forges.serving import request, wire

ASKED = {
    "json": b'{"tasksVersion":"5","taskCapacity":"9","later":[{}]}',
    "proto": b"\x08\x05\x10\x09\xa2\x06\x02hi",
}
CUT = {
    "json": b'{"tasksVersion":"5","taskCapacity":"2","later":[{}]}',
    "proto": b"\x08\x05\x10\x02\xa2\x06\x02hi",
}
ANSWERED = {
    "json": b'{"task":{"id":"7","later":1},"additionalTasks":[{"id":"8"}],"tasksVersion":"6","more":true}',
    "proto": b"\x0a\x02\x08\x07\x10\x06\x1a\x02\x08\x08\xa2\x06\x02hi",
}
EMPTY = {"json": b'{"tasksVersion":"5"}', "proto": b"\x10\x05"}
PACKINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress]


@pytest.mark.parametrize("encoding", ["json", "proto"])
@pytest.mark.parametrize("pack", PACKINGS)
def test_what_is_unknown_survives(encoding, pack):
    """The capacity is cut to the free slots; the answer is the forge's, byte for byte, and each of its tasks counts."""
    answers = [pack(EMPTY[encoding]), pack(ANSWERED[encoding])]
    coding = [("Content-Encoding", "gzip")] if pack is gzip.compress else []
    head = [
        ("Content-Type", f"application/{encoding}"),
        ("x-runner-uuid", "u"),
        ("x-runner-token", "t"),
        *coding,
    ]
    waiting = iter(answers)

    async def answer(_: Seen, line: Line) -> None:
        await line.send(response(200, next(waiting), head[0], *coding))

    async def main():
        async with raw_forge(answer) as forge, Rig(forge, capacity=2).running() as rig:
            for said in answers:
                async with wire(rig.port) as line:
                    await line.send(request("POST", PATH + "FetchTask", *head, body=pack(ASKED[encoding])))
                    assert (await line.answer()).body == said
                await rig.ready()
            assert rig.held == ["7", "8"]
            sent = forge.seen[1]
            assert "content-encoding" not in sent.by_name
            decode = msgspec.json.decode if encoding == "json" else bytes
            assert decode(sent.body) == decode(CUT[encoding])

    asyncio.run(main())
