"""What a gateway takes over from one that was before it: runners at work, their ends, what was left of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.model.exits import Survivor
from tests.gateway.launcher.keepers import EXITED, FakeKeepers, Kind
from tests.gateway.launcher.rig import DETAIL, KINDS, LaunchRig, ends, forge_of, run
from tests.gateway.relay.rig import until


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_outlives_the_gateway(tmp_path: Path, kind: Kind) -> None:
    """The next one takes it up: its slot is held, its credentials are good, and its end is heard of."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as first:
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
                await runner.prints("before")
            second = LaunchRig(tmp_path, forge, kind, keepers)
            runner.actions.port = runner.gitlab.port = second.port
            async with second.running():
                assert first.ended == []
                assert second.launcher.standing()[0].tasks == ("7",)
                await runner.prints("after")
                await runner.reports("success")
                keepers.runner_ends(7)
                assert await ends(forge, 7, "success") == ["before", "after"]
                await second.nothing_left()
                assert second.ended == [("7", "success")]

    run(main)


@pytest.mark.parametrize("ended, moved", [(False, True), (False, False), (True, True)])
def test_a_gateway_that_has_another_address(tmp_path: Path, ended: bool, moved: bool) -> None:
    """The log names the jobs whose runners were given the former one, as long as they work."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            first = LaunchRig(tmp_path, forge, "forgejo", keepers)
            async with first.running():
                forge.enqueue(7)
                assert await (await keepers.runner(7, "forgejo")).takes()
            if ended:
                keepers.runner_ends(7)
            second = LaunchRig(tmp_path, forge, "forgejo", keepers, port=None if moved else first.port)
            async with second.running():
                await until(lambda: bool(second.launcher.standing()))
                await asyncio.sleep(0.2)
                told = [
                    (one["task"], one["former"], one["address"])
                    for one in second.log.warned
                    if "former" in one
                ]
                places = [f"http://127.0.0.1:{rig.port}/" for rig in (first, second)]
                assert told == [("7", *places)] * (moved and not ended)

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keeper_too", [False, True])
def test_a_runner_dies_while_there_is_no_gateway(tmp_path: Path, kind: Kind, keeper_too: bool) -> None:
    """The next one reports it, behind all of the log that the forge has."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                await runner.takes()
                for line in ("one", "two", "three"):
                    await runner.prints(line)
            if keeper_too:
                keepers.keeper_is_killed(7)
            else:
                keepers.runner_ends(7, replace(EXITED, reason="signal", detail=DETAIL))
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as second:
                lines = await ends(forge, 7, "failure")
                assert [line for line in lines if line][:3] == ["one", "two", "three"]
                assert lines[-1].startswith("jobmeter: ")
                await second.nothing_left()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_that_was_not_started_yet(tmp_path: Path, kind: Kind) -> None:
    """The next gateway starts one: the task is on disk."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            keepers.stuck = True
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as first:
                forge.enqueue(7)
                await until(lambda: first.launcher.standing()[0].tasks == ("7",))
                await until(lambda: bool(first.left))
            keepers.stuck = False
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as second:
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                await second.nothing_left()

    run(main)


def test_what_is_left_of_tasks_that_nobody_knows(tmp_path: Path) -> None:
    """Runners, cgroups and directories of them are ended and removed, and named in the log."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, "forgejo")
                await runner.takes()
            state = tmp_path / "state" / "forge" / "state.json"
            state.write_text('{"schema": "jobmeter.gateway/1", "tasks": [], "names": []}')
            cgroup = runner.spec.name.removesuffix("7") + "8"
            keepers.cgroups.add(cgroup)
            keepers.survivors = (Survivor(9, "sleep"),)
            (tmp_path / "work" / f"{cgroup.removesuffix('8')}9").mkdir()
            (tmp_path / "work" / "of-somebody-else").mkdir()
            rig = LaunchRig(tmp_path, forge, "forgejo", keepers)
            runner.actions.port = rig.port
            async with rig.running():
                assert (await runner.actions.state(7)).status == 401
                await until(lambda: [Path(one).name for one in rig.left] == ["of-somebody-else"])
                assert keepers.stopped == [runner.spec.name]
                ended = [one for one in rig.log.warned if "processes" in one]
                assert {(one["task"], *one["processes"]) for one in ended} == {  # type: ignore[misc]
                    ("7", "sleep (9)"),
                    ("8", "sleep (9)"),
                }

    run(main)
