"""What a registration that the gateway holds itself keeps over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobmeter.gateway.figures.events import Declared, Draining
from tests.gateway.launcher.keepers import FakeKeepers, Kind
from tests.gateway.launcher.rig import KINDS, LaunchRig, forge_of
from tests.gateway.relay.rig import until


@pytest.mark.parametrize("kind", KINDS)
def test_a_drained_runner_stays_drained(tmp_path: Path, kind: Kind) -> None:
    """It begins as one, and asks for tasks when that is taken back."""

    async def main() -> None:
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, FakeKeepers()).running() as first:
                await until(lambda: bool(first.told.of(Declared)))
                assert first.launcher.drain("one", True) == 1
            async with LaunchRig(tmp_path, forge, kind, FakeKeepers()).running() as second:
                assert [one.draining for one in second.launcher.standing()] == [True]
                forge.enqueue(7)
                second.launcher.drain("one", False)
                runner = await second.keepers.runner(7, kind)
                assert await runner.takes()
                assert [one.on for one in second.told.of(Draining)] == [True, False]

    asyncio.run(main())
