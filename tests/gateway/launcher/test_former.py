"""What a former gateway has left: jobs are gone on with or told, all else is ended and removed, whatever is damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobmeter.gateway.launcher import launch, work_dir
from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.spec import Limits
from tests.gateway.launcher.keepers import FakeKeepers, Kind, PlayedRunner
from tests.gateway.launcher.rig import KINDS, TOKEN, UUID, Forge, LaunchRig, ends, forge_of, run
from tests.gateway.relay.rig import until
from tests.support.forges.actions import ActionsForge

NEW = "planted-token-of-a-new-registration"


async def left_at_work(
    folder: Path, forge: Forge, kind: Kind, keepers: FakeKeepers, **keys: Any
) -> PlayedRunner:
    """The runner of task 7, whose gateway has gone."""
    async with LaunchRig(folder, forge, kind, keepers, **keys).running():
        forge.enqueue(7)
        runner = await keepers.runner(7, kind)
        assert await runner.takes()
        await runner.prints("at work")
    return runner


def taken_up(runner: PlayedRunner, folder: Path, forge: Forge, kind: Kind, **keys: Any) -> LaunchRig:
    """The next gateway, which ``runner`` reaches in the place of the former one."""
    rig = LaunchRig(folder, forge, kind, keys.pop("keepers"), **keys)
    runner.actions.port = runner.gitlab.port = rig.port
    return rig


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_is_damaged(tmp_path: Path, kind: Kind) -> None:
    """A runner that needs it no more, as GitLab's, works on; the job of another one has failed. The log says so."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            runner = await left_at_work(tmp_path, forge, kind, keepers)
            (record,) = (tmp_path / "state" / "launches").glob("*/*/launch.json")
            record.write_text("{")
            rig = taken_up(runner, tmp_path, forge, kind, keepers=keepers)
            async with rig.running():
                if kind == "gitlab":
                    await runner.reports("success")
                    keepers.runner_ends(7)
                    assert await ends(forge, 7, "success") == ["at work"]
                else:
                    lines = await ends(forge, 7, "failure")
                    said = "What the gateway had kept of this job's runner was damaged when it began again."
                    assert lines == ["at work", f"jobmeter: {said}"]
                    assert keepers.stopped == [runner.spec.name]
                await rig.nothing_left()
                assert rig.log.warned[0] == {
                    "message": "what was kept of a job's launch is damaged or gone",
                    "forge": "forge",
                    "runner": "one",
                    "task": "7",
                }

    run(main)


def test_a_damaged_record_of_a_runner_that_dies(tmp_path: Path) -> None:
    """Nobody can tell GitLab without the job's token: the log names the job."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("gitlab") as forge:
            runner = await left_at_work(tmp_path, forge, "gitlab", keepers)
            (record,) = (tmp_path / "state" / "launches").glob("*/*/launch.json")
            record.unlink()
            rig = taken_up(runner, tmp_path, forge, "gitlab", keepers=keepers)
            async with rig.running():
                keepers.runner_ends(7)
                await rig.nothing_left()
                assert rig.ended == [("7", "unknown")]
                assert "the end of a job cannot be reported: its token is not known" in rig.log.texts

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_of_a_runner_that_has_not_begun(tmp_path: Path, kind: Kind) -> None:
    """It is ended, and another one is started."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running():
                forge.enqueue(7)
                await keepers.runner(7, kind)
            (record,) = (tmp_path / "state" / "launches").glob("*/*/launch.json")
            record.write_text("{")
            async with LaunchRig(tmp_path, forge, kind, keepers).running() as rig:
                runner = await keepers.runner(7, kind, 2)
                assert await runner.takes()
                await runner.reports("success")
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                await rig.nothing_left()

    run(main)


def test_a_runner_that_goes_on_after_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next gateway ends it too."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, "forgejo")
                await runner.takes()
                await runner.reports("success")
            assert keepers.stopped == []
            monkeypatch.setattr(launch, "ENDING_SECONDS", 0.05)
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                await rig.nothing_left()
                assert keepers.stopped == [runner.spec.name]
                assert rig.ended == [("7", "success")]

    run(main)


def test_limits_that_were_changed(tmp_path: Path) -> None:
    """A task keeps those with which it was begun, also for another runner that is started for it."""
    before, after = Limits(timeout_seconds=3e9), Limits(timeout_seconds=60.0, pids=9)

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            async with LaunchRig(tmp_path, forge, "forgejo", keepers, limits=before).running():
                forge.enqueue(7)
                await keepers.runner(7, "forgejo")
            async with LaunchRig(tmp_path, forge, "forgejo", keepers, limits=after).running():
                keepers.runner_ends(7)
                runner = await keepers.runner(7, "forgejo", 2)
                assert runner.spec.limits == before
                await runner.takes()
                assert (await runner.reports("success")).status == 200
                keepers.runner_ends(7)
                await ends(forge, 7, "success")
                forge.enqueue(8)
                assert (await keepers.runner(8, "forgejo")).spec.limits == after

    run(main)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dies", [False, True])
def test_a_new_registration_of_the_same_runner(tmp_path: Path, kind: Kind, dies: bool) -> None:
    """It goes on with the tasks of the former one: at GitLab by their own tokens, else where its uuid is the same."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            runner = await left_at_work(tmp_path, forge, kind, keepers)
            if isinstance(forge, ActionsForge):
                forge.tokens[UUID] = NEW
            else:
                forge.token = NEW
            rig = taken_up(runner, tmp_path, forge, kind, keepers=keepers, registered=(UUID, NEW))
            async with rig.running():
                assert rig.launcher.standing()[0].tasks == ("7",)
                if not dies:
                    await runner.reports("success")
                keepers.runner_ends(7)
                lines = await ends(forge, 7, "failure" if dies else "success")
                assert len([line for line in lines if line]) == (2 if dies else 1)
                await rig.nothing_left()
                assert rig.ended == [("7", "failure" if dies else "success")]

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_that_is_not_here_any_more(tmp_path: Path, kind: Kind) -> None:
    """It is ended, and its job has failed; where the forge cannot be told the log says that and why."""
    other = "0a1b2c3d-0000-4000-8000-000000000002"

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            runner = await left_at_work(tmp_path, forge, kind, keepers)
            rig = taken_up(
                runner, tmp_path, forge, kind, keepers=keepers, registered=(other, NEW), name="another"
            )
            async with rig.running():
                await rig.nothing_left()
                assert keepers.stopped == [runner.spec.name]
                warned = [one for one in rig.log.warned if one.get("task") == "7"]
                if kind == "gitlab":
                    lines = await ends(forge, 7, "failure")
                    assert lines[-1] == "jobmeter: The gateway does not know the runner of this job any more."
                    assert [one["message"] for one in warned] == [
                        "a job is given up: its registration is gone"
                    ]
                else:
                    assert forge.jobs[7].ending is None
                    assert {
                        "message": "a job is given up and the forge cannot be told: its registration is gone",
                        "runner": "one",
                        "repository": "org/repo",
                    }.items() <= warned[0].items()
                (ended,) = [one for one in rig.log.informed if one["message"] == "a job has ended"]
                assert ended["task"] == "7"
                assert TOKEN not in str(rig.log.warned)
            state = (tmp_path / "state" / "forge" / "state.json").read_text()
            assert '"tasks":[]' in state

    run(main)


@pytest.mark.parametrize("fault", [RecursionError(), LaunchError("it is mounted")])
def test_one_that_resists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    """What is left of a job and cannot be removed is said, and all others are removed."""
    real = work_dir.remove

    def remove(path: Path, *args: Any) -> Any:
        if path.name.endswith("-7"):
            raise fault
        return real(path, *args)

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            runner = await left_at_work(tmp_path, forge, "forgejo", keepers)
            keepers.runner_ends(7)
            (tmp_path / "state" / "forge" / "state.json").write_text(
                '{"schema": "jobmeter.gateway/1", "tasks": [], "names": []}'
            )
            prefix = runner.spec.name.removesuffix("7")
            keepers.cgroups |= {prefix + "5", prefix + "6"}
            for number in (8, 9):
                (tmp_path / "work" / f"{prefix}{number}").mkdir()
            monkeypatch.setattr(work_dir, "remove", remove)
            keepers.fails("clear", LaunchError("processes of it do not end"))
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                await until(lambda: len(keepers.cgroups) <= 1)
                await until(lambda: [path.name for path in rig.work.iterdir()] == [f"{prefix}7"])
                await asyncio.sleep(0.05)
                told = [one["message"] for one in rig.log.warned if one["task"] == "7"]
                assert any(str(one).startswith("what is left of a job cannot be removed") for one in told)
                assert rig.log.texts.count("what is left of a job cannot be ended") == 1

    run(main)


def test_places_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway begins all the same, and says so."""

    def left(self: Any, prefix: str) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(FakeKeepers, "left", left)

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of("forgejo") as forge:
            (tmp_path / "work").mkdir()
            async with LaunchRig(tmp_path, forge, "forgejo", keepers).running() as rig:
                forge.enqueue(7)
                assert await (await keepers.runner(7, "forgejo")).takes()
                assert rig.log.warned[0]["error"] == "Too many open files"

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_was_lost_with_a_gateway(tmp_path: Path, kind: Kind) -> None:
    """A runner that was given its task, and asks the next gateway without a sign of it, is given it again."""

    async def main() -> None:
        keepers = FakeKeepers()
        async with forge_of(kind) as forge:
            async with LaunchRig(tmp_path, forge, kind, keepers).running():
                forge.enqueue(7)
                runner = await keepers.runner(7, kind)
                assert await runner.takes()
            async with taken_up(
                runner, tmp_path, forge, kind, keepers=keepers, sign_seconds=0.5
            ).running() as rig:
                assert not await runner.takes()  # It may be at work, and about to say so.
                await asyncio.sleep(0.5)
                assert await runner.takes()
                assert not await runner.takes()
                assert "a job that never reached its runner is handed out again" in rig.log.texts
                await runner.prints("at work")
                await asyncio.sleep(0.5)
                assert not await runner.takes()
                await runner.reports("success")
                keepers.runner_ends(7)
                await until(lambda: rig.ended == [("7", "success")])

    run(main)
