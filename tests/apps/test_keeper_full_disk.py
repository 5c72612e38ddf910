"""A keeper whose disk is full: the receiver has its run's end, and the gateway is told the end if there is any room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.end import Ended
from jobmeter.supervise.keeper.spec import Spec
from tests.support import launches
from tests.support.disks import SmallDisk, small_disk
from tests.support.launches import running, spec, written
from tests.support.receivers import FlakyReceiver, serving


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with launches.place() as place, small_disk(place / "state") as small:
        yield small


async def ended_when_full(disk: SmallDisk, task: Spec, *, room: bool) -> Ended | None:
    """How the runner ended; without ``room`` there is none for its end either."""
    async with running() as keepers:
        await keepers.start(task)
        await written(Path(task.work_dir) / "begun")
        if not room:
            (Path(task.folder) / ".ended.json.new").unlink()
        disk.fill()
        (Path(task.work_dir) / "go").mkdir()
        ended = await keepers.ended(task.folder)
        await keepers.gone(task.folder)
        return ended


@pytest.mark.parametrize("room", [True, False])
def test_the_receiver_has_the_end(disk: SmallDisk, tmp_path: Path, room: bool) -> None:
    """Its journal is incomplete, and the gateway is told the end if there is any room for it."""
    script = "echo > begun; while [ ! -e go ]; do sleep 0.05; done; exit 4"
    with serving(FlakyReceiver()) as receiver:
        task = replace(spec(disk.folder, script, receiver=receiver.url), work_dir=str(tmp_path))
        ended = asyncio.run(ended_when_full(disk, task, room=room))
        assert (ended is not None and ended.code == 4) == room
        (records,) = receiver.runs.values()
        assert (records[-1]["kind"], records[-1]["exit"]["code"]) == ("end", 4)
        said = "The gateway was not told how the runner ended: No space left on device."
        assert (said in [one.get("text") for one in records]) == (not room)


def test_a_disk_that_is_full_before(disk: SmallDisk, tmp_path: Path) -> None:
    """Nothing is started, and the reason has a place."""
    task = replace(spec(disk.folder, "exit 0"), work_dir=str(tmp_path))
    disk.fill()

    async def main() -> None:
        async with running() as keepers:
            with pytest.raises(LaunchError, match=f"{task.folder}.*: No space left on device"):
                await keepers.start(task)
        assert [path.name for path in Path(task.folder).iterdir()] in ([], ["output.log"])

    asyncio.run(main())
