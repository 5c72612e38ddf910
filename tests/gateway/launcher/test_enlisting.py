"""Runners that are registered here, now or once the forge is there."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from jobmeter.gateway.launcher import launcher
from jobmeter.model.errors import JobmeterError
from tests.gateway.launcher.keepers import FakeKeepers
from tests.gateway.launcher.rig import LaunchRig, ends, run
from tests.support.forges.actions import actions_forge


def test_registering(tmp_path: Path) -> None:
    """Without a registration one is made with the token, once: the next gateway has it on disk."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with actions_forge() as forge:
            for number in (7, 8):
                rig = LaunchRig(
                    tmp_path, forge, "forgejo", keepers, registration_token="planted", labels=("here:host",)
                )
                async with rig.running():
                    forge.enqueue(number)
                    runner = await keepers.runner(number, "forgejo")
                    await runner.takes()
                    await runner.reports("success")
                    keepers.runner_ends(number)
                    await ends(forge, number, "success")
                    await rig.nothing_left()
            assert forge.calls["Register"] == 1

    run(main)


def test_a_forge_that_is_away_when_the_gateway_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is registered with, and asked for tasks, when it is there."""
    monkeypatch.setattr(launcher, "AGAIN_SECONDS", 0.05)

    async def main() -> None:
        async with actions_forge() as forge:
            port = forge.port
            await forge.go_away()
            keepers = FakeKeepers()
            rig = LaunchRig(
                tmp_path, forge, "forgejo", keepers, registration_token="planted", labels=("here:host",)
            )
            async with rig.running():
                assert rig.launcher.standing() == []
                await forge.listen(port)
                forge.enqueue(7)
                await keepers.runner(7, "forgejo")

    run(main)


def test_a_registration_that_is_refused(tmp_path: Path) -> None:
    """The gateway does not begin, and says whose it is."""

    async def main() -> None:
        async with actions_forge() as forge:
            forge.faults["Register"] = deque([403])
            rig = LaunchRig(
                tmp_path, forge, "forgejo", FakeKeepers(), registration_token="planted", labels=("a:host",)
            )
            with pytest.raises(JobmeterError, match=r"gateway\.toml: 'one': the forge does not register it"):
                async with rig.running():
                    pass

    run(main)
