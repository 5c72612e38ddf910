"""Keepers in a machine with cgroup v2 alone: run in the guest, it says one line of JSON for each case."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.grounds import find_grounds, prepare
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Limits
from jobmeter.supervise.keeper.task_cgroup import names_of
from tests.support import launches

TOP = Path("/sys/fs/cgroup")
SERVICE = TOP / "service"
MIB = 1024 * 1024
ALL = Limits(cpu_cores=0.5, memory_bytes=48 * MIB, pids=20)
EAT = ["python3", "-S", "-c", "held = bytearray(200 << 20)"]
STUBBORN = (
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 100; done' & while :; do sleep 100; done"
)
LOOK = "id -u; cat /proc/self/cgroup; kill -0 $PPID 2>/dev/null && echo signalled; cat /proc/$PPID/mem 2>/dev/null"


def tell(case: str, **values: object) -> None:
    """One line."""
    print(json.dumps({"case": case} | values), flush=True)


def enter(cgroup: Path, pid: int) -> None:
    """Move a process."""
    (cgroup / "cgroup.procs").write_text(str(pid))


def words(path: Path) -> list[str]:
    """Of a file of the kernel."""
    return path.read_text().split()


def prepare_in_company() -> None:
    """With another process in our own cgroup, its limits cannot be had, and nothing has changed then."""
    SERVICE.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as other:
        enter(SERVICE, other.pid)
        enter(SERVICE, os.getpid())
        try:
            prepare(ALL)
        except LaunchError as error:
            tell("in company", said=str(error), own=Path("/proc/self/cgroup").read_text())
        other.kill()


def prepare_alone() -> None:
    """Alone in it, we are moved, and what is below us can be limited."""
    prepare(ALL)
    prepare(ALL)
    own = Path("/proc/self/cgroup").read_text()
    tell(
        "alone",
        own=own,
        controllers=words(SERVICE / "cgroup.subtree_control"),
        left=words(SERVICE / "cgroup.procs"),
    )


def prepare_in_subgroup() -> None:
    """As systemd starts us with DelegateSubgroup=gateway beside a task that runs: we are in it, nothing is set yet."""
    other, leaf = TOP / "delegated", TOP / "delegated/gateway"
    leaf.mkdir(parents=True)
    (other / "jobmeter-task-former").mkdir()
    with subprocess.Popen(["sleep", "1000"]) as former:
        enter(other / "jobmeter-task-former", former.pid)
        enter(leaf, os.getpid())
        prepare(ALL)
        tell(
            "in its subgroup",
            own=Path("/proc/self/cgroup").read_text(),
            controllers=words(other / "cgroup.subtree_control"),
            tasks=names_of(find_grounds(), "jobmeter-task-"),
        )
        former.kill()


async def keep(
    keepers: RealKeepers,
    case: str,
    place: Path,
    argv: Sequence[str] | str,
    limits: Limits,
    user: str | None = None,
) -> None:
    """How one runner ends, and what it wrote."""
    task = launches.spec(place, argv, limits=limits, user=user, environ={"PATH": "/bin"})
    await keepers.start(task)
    ended = await keepers.ended(task.folder)
    await keepers.gone(task.folder)
    tell(case, ended=msgspec.to_builtins(ended), output=launches.output(task), name=task.name)


async def keep_all(place: Path) -> None:
    """Each case, one after the other; and one whose keeper is killed."""
    async with launches.running() as keepers:
        await keep(keepers, "oom", place, EAT, ALL)
        await keep(keepers, "timeout", place, STUBBORN, Limits(timeout_seconds=1.0))
        await keep(keepers, "account", place, LOOK, Limits(), "nobody")
        await keep(keepers, "survivors", place, "setsid sleep 1000 & sleep 0.5", Limits())
        await keep(
            keepers, "crowd", place, "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait", Limits(pids=5)
        )
        task = launches.spec(place, "echo ready > ready; exec sleep 1000", environ={"PATH": "/bin"})
        keeper = await keepers.start(task)
        await launches.written(Path(task.work_dir, "ready"))
        os.kill(keeper.pid, 9)
        ended = await keepers.ended(task.folder)
        cleared = await keepers.clear(task.name)
        tell("killed", ended=ended, cleared=[one.name for one in cleared])
    tell("left", directories=[path.name for path in SERVICE.iterdir() if path.is_dir()])


def main() -> None:
    """All cases."""
    prepare_in_subgroup()
    enter(TOP, os.getpid())
    prepare_in_company()
    prepare_alone()
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    asyncio.run(keep_all(place))


if __name__ == "__main__":
    main()
