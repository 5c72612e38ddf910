"""A request for work that the forge does not answer in time is waited for, and nothing is asked beside it."""

from __future__ import annotations

import asyncio
from collections import deque

from tests.gateway.relay.rig import Rig
from tests.support.forges.actions import HANG, Runner, actions_forge


def run(main):
    asyncio.run(main())


def test_nothing_is_asked_while_an_answer_may_come():
    """The runner gets empty answers in time; when it has come without a task, the forge is asked again."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=1, fetch_timeout=0.1).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.faults["FetchTask"] = deque([0.5])
            async with asyncio.timeout(0.4):
                assert [await runner.fetch() for _ in range(3)] == [[], [], []]
            assert (forge.calls["FetchTask"], forge.most_fetching) == (1, 1)
            await asyncio.sleep(0.4)
            await rig.ready()
            forge.enqueue(7)
            assert await runner.fetch() == [7]

    run(main)


def test_an_answer_that_never_comes_keeps_nobody_waiting():
    """The connection ends, and the forge is asked again; the gateway ends too."""

    async def main():
        async with (
            actions_forge(one="secret") as forge,
            Rig(forge, capacity=1, fetch_timeout=0.1).running() as rig,
        ):
            runner = Runner(rig.port, "one", "secret")
            forge.faults["FetchTask"] = deque([HANG, HANG])
            assert await runner.fetch() == []
            await rig.ready()
            await forge.go_away()
            await forge.listen()
            while forge.calls["FetchTask"] < 2:
                assert await runner.fetch() == []

    run(main)
