"""A gate, runners and a queue of which something is known, for tests and pages that show all series."""

from __future__ import annotations

import asyncio
import json

from jobmeter.gateway.gate import Gate
from jobmeter.gateway.port import Front as Port
from jobmeter.gateway.queue import Queue, Supply
from tests.gateway.fronts import Front, Messages, State


class _Full:
    name = "disk"

    async def trouble(self) -> str:
        return "no room"


class _Api:
    async def get(self, _: str) -> bytes:
        return json.dumps([{"id": 1, "runs_on": ["docker"], "status": "waiting"}]).encode()


def watched() -> tuple[Gate, dict[str, Port], list[Queue]]:
    """Looked at once."""
    gate = Gate([_Full()], Messages(), 1.0)
    queue = Queue(
        "forgejo", "forgejo", ("admin",), _Api(), lambda: [Supply(None, True, False)], Messages(),
        interval_seconds=30.0,
    )  # fmt: skip

    async def look() -> None:
        await gate.look()
        await queue.look()

    asyncio.run(look())
    return gate, {"forgejo": Front(State("a"))}, [queue]
