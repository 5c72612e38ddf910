"""A start that lacks descriptors for a while ends no runner that works, and frightens nobody for nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobmeter.gateway.launcher import kept_runner
from jobmeter.gateway.launcher.site import Site
from jobmeter.model.errors import JobmeterError
from tests.gateway.launcher.keepers import FakeKeepers, Kind
from tests.gateway.launcher.rig import KINDS, LaunchRig, ends, forge_of, run
from tests.gateway.launcher.test_former import left_at_work, taken_up
from tests.gateway.relay.rig import until

EMFILE = OSError(24, "Too many open files")
DAMAGED = "what was kept of a job's launch is damaged or gone"


@pytest.mark.parametrize("kind", KINDS)
def test_a_keeper_that_cannot_be_asked_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Its runner works on, and is watched as soon as that can be done."""
    monkeypatch.setattr(kept_runner, "AGAIN_SECONDS", 0.01)

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            runner = await left_at_work(tmp_path, forge, kind, keepers)
            keepers.fails("kept", EMFILE, EMFILE)
            rig = taken_up(runner, tmp_path, forge, kind, keepers=keepers)
            async with rig.running():
                await until(lambda: not keepers.faults["kept"])
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                await rig.nothing_left()
                assert keepers.stopped == []
                assert rig.log.texts.count("a job's runner cannot be watched now") == 1

    run(main)


def test_a_record_that_cannot_be_read_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway does not start, which may be tried again; the runner works on."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            runner = await left_at_work(tmp_path, forge, "forgejo", keepers)
            with monkeypatch.context() as patch:

                def read(site: Site, task_id: str) -> None:
                    raise EMFILE

                patch.setattr(Site, "read", read)
                with pytest.raises(
                    JobmeterError, match="launch of job 7 cannot be read: Too many open files"
                ):
                    async with taken_up(runner, tmp_path, forge, "forgejo", keepers=keepers).running():
                        pass
            rig = taken_up(runner, tmp_path, forge, "forgejo", keepers=keepers)
            async with rig.running():
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
            assert keepers.stopped == []

    run(main)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_gateway_that_was_killed_as_it_began_a_launch(tmp_path: Path, damaged: bool) -> None:
    """The job is begun anew; where its folder alone is there nothing is said of damage."""

    async def main() -> None:
        async with forge_of("forgejo") as forge:
            keepers = FakeKeepers()
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running():
                forge.enqueue(7)
                await keepers.runner(7, "forgejo")
            (record,) = (tmp_path / "state" / "launches").glob("*/*/launch.json")
            if damaged:
                record.write_text("{")
            else:
                record.unlink()
            shutil.rmtree(tmp_path / "work")
            keepers = FakeKeepers()
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                runner = await keepers.runner(7, "forgejo")
                assert await runner.takes()
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                await rig.nothing_left()
                assert (DAMAGED in rig.log.texts) == damaged

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gateway_that_was_killed_as_it_removed_a_launch(tmp_path: Path, kind: Kind) -> None:
    """The job's result is known: nothing is missing."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
                await runner.reports("success")
                await ends(forge, 7, "success")
            (record,) = (tmp_path / "state" / "launches").glob("*/*/launch.json")
            record.unlink()
            keepers = FakeKeepers()
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as rig:
                await rig.nothing_left()
                assert rig.ended == [("7", "success")]
                assert DAMAGED not in rig.log.texts

    run(main)
