"""Runners that the forge refuses."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.relay.refusals import Refusals
from tests.gateway.relay.rig import Clock, Messages, Rig
from tests.support.forges.actions import Runner, actions_forge


@pytest.mark.parametrize(
    "history, told",
    [
        pytest.param("a a a", [("a", 0)], id="once"),
        pytest.param("a . b a b", [("a", 0), ("b", 2)], id="each-runner"),
        pytest.param("a +a a", [("a", 0), ("a", 2)], id="again-after-it-was-taken"),
        pytest.param("a/b b", [("a", 0), ("b", 1)], id="not-many-at-a-time"),
    ],
)
def test_a_line_for_each_runner(history: str, told: list[tuple[str, int]]) -> None:
    """Ten seconds pass after each; who is passed over has its line the next time."""
    now, log = [0.0], Messages()
    refusals = Refusals(log, lambda: now[0])
    for step, what in enumerate(history.split()):
        now[0] = 10.0 * step
        for one in what.split("/"):
            if one.startswith("+"):
                refusals.taken(one[1:])
            elif one != ".":
                refusals.refused(one, f"{one}@{step}", "192.0.2.7", "no")
    assert log.warned == [
        {
            "message": "the forge refuses a runner",
            "runner": f"{one}@{at}",
            "client": "192.0.2.7",
            "error": "no",
        }
        for one, at in told
    ]


@pytest.mark.parametrize("call", ["FetchTask", "Declare"])
def test_a_runner_that_the_forge_does_not_know(call: str) -> None:
    """It has its line at the first request, by the name that its series would have, and no secret is in it."""

    async def main() -> None:
        clock = Clock()
        async with actions_forge(one="secret") as forge, Rig(forge, clock=clock).running() as rig:
            stranger = Runner(rig.port, "6f1d2c3b-uuid", "guessed")
            for _ in range(3):
                assert (await stranger.call(call)).status == 401
                clock.ahead += 5
            said = [one for one in rig.log.warned if one["message"] == "the forge refuses a runner"]
            assert [one["runner"] for one in said] == ["6f1d2c3b"]
            assert "guessed" not in repr(said)

    asyncio.run(main())
