"""Starts that come to nothing: the gateway knows soon, nothing of them lives or comes true later, a next one works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper import keepers as module
from jobmeter.supervise.keeper.end import Kept
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.start import MAX_MESSAGE_BYTES, Start
from tests.e2e.support.components import require_root
from tests.supervise.keeper.dying import STEPS
from tests.support import launches
from tests.support.fake_host import open_descriptors
from tests.support.launches import PREFIX, kept, running, spec

SOON_SECONDS = 2.0
STORM = 40
WAITING = "echo ready >> ready; exec sleep 1000"


@pytest.fixture
def place() -> Iterator[Path]:
    require_root("a cgroup of the test's own")
    with launches.place() as folder:
        yield folder


def processes(keepers: RealKeepers) -> list[str]:
    """All of tasks of ours, and all that the starter has forked; what is dead waits for init alone."""
    assert keepers._starter is not None
    found = []
    for one in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[:2]
            ours = parent == str(keepers._starter.pid) or PREFIX in Path(f"/proc/{one}/cgroup").read_text()
            if ours and state not in "ZX":
                found.append(f"{one} {Path(f'/proc/{one}/cmdline').read_bytes()!r}")
    return found


def files(task: Spec) -> set[str]:
    """What is kept of a start, but for what its runner wrote."""
    return {path.name for path in Path(task.folder).iterdir()} - {"output.log"}


async def nothing_is_left(keepers: RealKeepers, *tasks: Spec) -> None:
    """No cgroup, no process, no file that says that there was a keeper."""
    assert keepers.left(PREFIX) == []
    for task in tasks:
        assert files(task) == set()
        assert not Path(task.journal).exists()
    # A process that was killed is in its last moments, without a command line, before it is dead.
    deadline = time.monotonic() + SOON_SECONDS
    while processes(keepers) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert processes(keepers) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_keeper_is_killed_at(place: Path, step: str) -> None:
    """Its start fails at once, or is tried again where nothing was begun; the next one finds its place clean."""
    task, mark = spec(place, WAITING), place / "mark"
    mark.touch()

    async def main() -> None:
        keepers = RealKeepers([sys.executable, "-m", "tests.supervise.keeper.dying", step, str(mark)])
        keepers.open()
        try:
            begun = time.monotonic()
            if step == "it is not there yet":
                keeper = await keepers.start(task)
            else:
                with pytest.raises(
                    LaunchError, match=r"^what keeps the runner was killed before it had started it$"
                ):
                    await keepers.start(task)
                assert time.monotonic() - begun < SOON_SECONDS + 2.0  # Python's own start is in it.
                await nothing_is_left(keepers, task)
                keeper = await keepers.start(task)
            assert not mark.exists()
            keepers.stop(keeper)
            assert await keepers.ended(task.folder) is not None
            await keepers.gone(task.folder)
            assert keepers.left(PREFIX) == []
        finally:
            for name in keepers.left(PREFIX):
                await keepers.clear(name)
            await keepers.close()

    asyncio.run(main())


def test_a_start_that_is_given_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a starter that does not work nothing comes true when it does again; the next start has another one."""
    monkeypatch.setattr(module, "START_SECONDS", 0.5)
    task = spec(place, WAITING)

    async def main() -> None:
        async with running() as keepers:
            await kept_in_time(keepers, spec(place, ["true"]), monkeypatch)
            assert keepers._starter is not None
            stuck = keepers._starter.pid
            os.kill(stuck, signal.SIGSTOP)
            with pytest.raises(LaunchError, match=r"^the runner was not started within 0 s$"):
                await keepers.start(task)
            with contextlib.suppress(ProcessLookupError):
                os.kill(stuck, signal.SIGCONT)
            await asyncio.sleep(0.3)
            await nothing_is_left(keepers, task)
            await kept_in_time(keepers, task_like(task), monkeypatch)

    asyncio.run(main())


def task_like(task: Spec) -> Spec:
    """The same one with a runner that ends."""
    return replace(task, argv=("true",))


async def kept_in_time(keepers: RealKeepers, task: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """One start that has all the time that it needs."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "START_SECONDS", 30.0)
        await kept(keepers, task)


@pytest.mark.parametrize("leave", [socket.socket.close, lambda ours: ours.shutdown(socket.SHUT_WR)])
def test_a_keeper_that_is_ready_and_not_told_to_go_on(leave: Callable[[socket.socket], None]) -> None:
    """It does not start its runner."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    start = Start(theirs)
    start.here()
    ours.recv(MAX_MESSAGE_BYTES)

    def hear_and_leave() -> None:
        ours.recv(MAX_MESSAGE_BYTES)
        leave(ours)

    told = threading.Thread(target=hear_and_leave)
    told.start()
    with pytest.raises(LaunchError, match=r"^the start was given up$"):
        start.ready(Kept(pid=1, start_ticks=1, name="a", cgroups={}, run_uid="b", started_at=0.0))
    told.join()
    ours.close()
    start.close()


def test_a_gateway_that_leaves_before_it_has_let_the_runner_start(place: Path) -> None:
    """The keeper ends by itself and takes all away: a start that nobody waits for is none."""
    task = spec(place, WAITING)

    async def main() -> None:
        async with running() as keepers:
            await kept(keepers, spec(place, ["true"]))
            start = asyncio.create_task(keepers.start(task))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            start.cancel()
            await asyncio.wait({start})
            await asyncio.sleep(0.5)
            assert not Path(task.work_dir, "ready").exists()
            await nothing_is_left(keepers, task)

    asyncio.run(main())


async def kill_sometime(keepers: RealKeepers, dice: random.Random) -> None:
    """Kill the keepers that the starter has, or the starter."""
    await asyncio.sleep(dice.uniform(0.0, 0.03))
    assert keepers._starter is not None
    starter = keepers._starter.pid
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{starter}/task/{starter}/children").read_text().split()
        for pid in [str(starter)] if dice.random() < 0.25 else children:
            os.kill(int(pid), signal.SIGKILL)


def test_a_storm_of_kills(place: Path) -> None:
    """Each start has its answer soon, and when all are over nothing of any is left."""
    dice = random.Random(14)
    tasks = [spec(place, WAITING) for _ in range(STORM)]
    started: list[Spec] = []

    async def start(keepers: RealKeepers, task: Spec) -> None:
        killing = asyncio.create_task(kill_sometime(keepers, dice))
        begun = time.monotonic()
        try:
            await keepers.start(task)
            started.append(task)
        except LaunchError:
            assert files(task) == set(), "a start that failed leaves nothing"
        await killing
        assert time.monotonic() - begun < SOON_SECONDS + 1.0

    async def main() -> None:
        async with running() as keepers:
            await kept(keepers, spec(place, ["true"]))
            before = open_descriptors()
            for task in tasks:
                await start(keepers, task)
            for task in started:
                keeper = keepers.kept(task.folder)
                assert keeper is not None
                keepers.stop(keeper)
                if await keepers.ended(task.folder) is None:
                    await keepers.clear(task.name, keeper)
                await keepers.gone(task.folder)
            await nothing_is_left(keepers, *(one for one in tasks if one not in started))
            assert open_descriptors() == before
            assert 0 < len(started) < STORM

    asyncio.run(main())
