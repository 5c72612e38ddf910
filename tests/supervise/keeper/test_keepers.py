"""Starting keepers and watching them: refusals, and whoever is killed in between."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.apps.keeper import starter_command
from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Limits, Spec
from tests.e2e.support.components import require_root
from tests.support import launches
from tests.support.launches import PREFIX, kept, running, spec, written

WAITING = "echo ready > ready; exec sleep 1000"


@pytest.fixture
def place() -> Iterator[Path]:
    require_root("a cgroup of the test's own")
    with launches.place() as folder:
        yield folder


def again(task: Spec) -> Spec:
    """The same task in the same folder, which has what the first start left."""
    return replace(task, argv=("sh", "-c", "exit 6"))


def starter_of(keepers: RealKeepers) -> int:
    assert keepers._starter is not None
    return keepers._starter.pid


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"user": "nobody-at-all"}, "there is no account 'nobody-at-all' on this machine"),
        ({"work_dir": "/nowhere"}, "the runner cannot enter /nowhere: No such file or directory"),
        ({"work_dir": "/root", "user": "nobody"}, "the runner cannot enter /root: Permission denied"),
        ({"folder": "/nowhere"}, "no runner can be kept here: /nowhere: No such file or directory"),
        ({"name": "a/b"}, r"no cgroup can be made for the task: .*/a/b: No such file or directory"),
        ({"environ": {"A": "x" * 200_000}}, "command and environment of the runner are longer than 131072 bytes"),
        (
            {"limits": Limits(memory_bytes=-5)},
            r"the limit memory of the task cannot be set: .*/memory.*: Invalid argument",
        ),
    ],
)  # fmt: skip
def test_refusals(place, fields, sentence) -> None:
    """One sentence, and nothing is left: no cgroup, no journal, nothing that says that there is a keeper."""
    task = spec(place, ["true"], **fields)

    async def main() -> None:
        async with running() as keepers:
            with pytest.raises(LaunchError, match=f"^{sentence}$"):
                await keepers.start(task)
            assert keepers.kept(task.folder) is None
            assert await keepers.ended(task.folder) is None
            assert list(place.glob("journals/*")) == []

    asyncio.run(main())


def test_a_task_is_started_once(place) -> None:
    """A second keeper is refused while the first is there, whoever asks, and disturbs nothing."""
    task = spec(place, WAITING)

    async def main() -> None:
        async with running() as keepers, running() as others:
            first = await keepers.start(task)
            with pytest.raises(LaunchError, match="is there already: its task runs or was left"):
                await others.start(task)
            assert others.kept(task.folder) == first
            keepers.stop(first)
            assert await others.ended(task.folder) is not None
            assert (await kept(keepers, again(task))).code == 6

    asyncio.run(main())


def test_the_next_gateway_takes_up(place) -> None:
    """Keepers outlive the starter and the gateway; the next one is told of the end, of one before it too."""
    task, earlier = spec(place, "read line < go; exit 5"), spec(place, "exit 7")
    os.mkfifo(Path(task.work_dir, "go"))

    async def main() -> None:
        async with running() as former:
            keeper = await former.start(task)
            await kept(former, earlier)
            await former.close()
            async with running() as keepers:
                assert keepers.alive(keeper)
                assert keepers.kept(task.folder) == keeper
                assert keepers.left(PREFIX) == [task.name]
                assert keepers.end(task.folder) is None
                waiting = asyncio.create_task(keepers.ended(task.folder))
                await asyncio.to_thread(Path(task.work_dir, "go").write_text, "\n")
                ended, before = await waiting, await keepers.ended(earlier.folder)
                assert ended is not None
                assert before is not None
                assert (ended.code, before.code) == (5, 7)
                await keepers.gone(task.folder)
                assert not keepers.alive(keeper)

    asyncio.run(main())


def test_a_keeper_that_is_killed(place) -> None:
    """Who waits is woken without an end; what is left of the task is ended, named and removed."""
    task = spec(place, f"sleep 1001 & {WAITING}")

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            await written(Path(task.work_dir, "ready"))
            waiting = asyncio.create_task(keepers.ended(task.folder))
            await asyncio.sleep(0.05)
            os.kill(keeper.pid, signal.SIGKILL)
            assert await waiting is None
            assert not keepers.alive(keeper)
            assert keepers.left(PREFIX) == [task.name]
            survivors = await keepers.clear(task.name, keeper)
            assert [one.name for one in survivors] == ["sleep", "sleep"]
            assert keepers.left(PREFIX) == []
            assert await keepers.clear(task.name) == ()
            assert (await kept(keepers, again(task))).code == 6

    asyncio.run(main())


@pytest.mark.parametrize("noticed", [False, True])
def test_a_starter_that_is_killed(place, noticed) -> None:
    """The next start has another one, whether it is known by then or not; keepers at work go on."""
    task = spec(place, WAITING)

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            first = starter_of(keepers)
            os.kill(first, signal.SIGKILL)
            os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
            if noticed:
                await asyncio.sleep(0.05)
            assert (await kept(keepers, spec(place, "exit 8"))).code == 8
            assert starter_of(keepers) != first
            assert keepers.alive(keeper)
            keepers.stop(keeper)
            assert await keepers.ended(task.folder) is not None

    asyncio.run(main())


def test_a_starter_that_cannot_work(place) -> None:
    """It is tried twice."""

    async def main() -> None:
        keepers = RealKeepers(["false"])
        with pytest.raises(LaunchError, match="the process that starts runners ends again and again"):
            await keepers.start(spec(place, ["true"]))
        await keepers.close()

    asyncio.run(main())


def test_the_starter_has_no_secret(monkeypatch) -> None:
    """Of the gateway's environment it has what Python and a connection need; it ends with the gateway."""
    monkeypatch.setenv("JOBMETER_PUSH_TOKEN", "Secret")

    async def main() -> None:
        keepers = RealKeepers(starter_command())
        keepers.open()
        pid = starter_of(keepers)
        while b"jobmeter.apps.keeper" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            await asyncio.sleep(0.01)
        names = {one.partition(b"=")[0] for one in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert b"PATH" in names
        assert not any(name.startswith(b"JOBMETER") for name in names)
        await keepers.close()
        assert not Path(f"/proc/{pid}").exists()

    asyncio.run(main())


def test_many_at_once_leave_nothing(place) -> None:
    """Thirty tasks, all at once: each has its end, and no descriptor of ours is left."""
    tasks = [spec(place, f"exit {number}") for number in range(30)]

    async def main() -> None:
        async with running() as keepers:
            await kept(keepers, spec(place, ["true"]))
            before = len(os.listdir("/proc/self/fd"))
            ends = await asyncio.gather(*(kept(keepers, one) for one in tasks))
            assert [one.code for one in ends] == [*range(30)]
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())
