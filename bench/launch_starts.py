"""What starting a runner for each task costs: 20 starts a second of a runner that only says when it began.

    python -m bench.launch_starts [SECONDS]

As root, with cgroups of version 1. Wall time is from the request to the gateway's starter to the runner's own first
instruction, and to the moment its end is known. CPU time is that of the starter and all keepers, which have a cgroup of
their own here, without what the runners used; that of the gateway's side is this process's. Runners are limited and
run as `nobody`; in the second row a receiver, which works in this process too, gets each run.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import mkdtemp
from typing import NamedTuple
from uuid import uuid4

from bench.support import table
from jobmeter.apps.keeper import starter_command
from jobmeter.supervise.keeper.keepers import RealKeepers
from jobmeter.supervise.keeper.spec import Limits, Spec
from tests.e2e.support.cgroup import Cgroup
from tests.support.receivers import FlakyReceiver, serving

RATE = 20
SECONDS = 10
RUNNER = ("date", "+%s.%N")
LIMITS = Limits(cpu_cores=1.0, memory_bytes=256 << 20, pids=100, timeout_seconds=60.0)


class Start(NamedTuple):
    """Seconds from the request to the runner, and to its known end, and what it used itself."""

    begun: float
    ended: float
    runner_cpu: float


def task(place: Path, receiver: str | None) -> Spec:
    """One of its own."""
    name = f"jobmeter-bench-{uuid4().hex[:8]}"
    folder, work_dir = place / name, place / f"{name}.work"
    folder.mkdir(mode=0o700)
    work_dir.mkdir(mode=0o777)
    return Spec(
        task_id=name, name=name, folder=str(folder), work_dir=str(work_dir), argv=RUNNER, limits=LIMITS,
        environ={"PATH": "/bin:/usr/bin"}, journal=str(place / "journals" / name), user="nobody", receiver=receiver,
    )  # fmt: skip


async def one(keepers: RealKeepers, place: Path, receiver: str | None) -> Start:
    """Start a runner and see it through."""
    told = task(place, receiver)
    requested = time.time()
    await keepers.start(told)
    ended = await keepers.ended(told.folder)
    known = time.time()
    await keepers.gone(told.folder)
    assert ended is not None
    written = float((Path(told.folder) / told.output).read_text())
    return Start(written - requested, known - requested, ended.cpu_seconds or 0.0)


async def starts(keepers: RealKeepers, place: Path, seconds: int, receiver: str | None) -> list[Start]:
    """RATE of them each second."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    running = []
    for number in range(RATE * seconds):
        await asyncio.sleep(max(0.0, begun + number / RATE - loop.time()))
        running.append(asyncio.create_task(one(keepers, place, receiver)))
    return await asyncio.gather(*running)


async def measure(place: Path, seconds: int, receiver: str | None) -> tuple[str, ...]:
    """The cells of a row."""
    with Cgroup.create() as cgroup:
        keepers = RealKeepers(cgroup.command(starter_command()))
        await asyncio.gather(*(one(keepers, place, receiver) for _ in range(5)))
        before, own = cgroup.cpu_seconds(), time.process_time()
        found = await starts(keepers, place, seconds, receiver)
        used = cgroup.cpu_seconds() - before - sum(start.runner_cpu for start in found)
        own = time.process_time() - own
        await keepers.close()
    begun, ended = [start.begun * 1e3 for start in found], [start.ended * 1e3 for start in found]
    figures = (median(begun), quantiles(begun, n=100)[98], median(ended), quantiles(ended, n=100)[98])
    return (
        *(f"{one:.0f}" for one in figures),
        f"{used * 1e3 / len(found):.1f}",
        f"{own * 1e3 / len(found):.1f}",
    )


@contextmanager
def place() -> Iterator[Path]:
    """A folder that the account may enter."""
    folder = Path(mkdtemp(prefix="jobmeter-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Print the table."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    head = (
        "",
        "to the runner, ms",
        "99 %",
        "to its end, ms",
        "99 %",
        "CPU of starter and keeper, ms",
        "of the gateway's side",
    )
    with place() as folder, serving(FlakyReceiver()) as receiver:
        rows = [("no receiver", *asyncio.run(measure(folder, seconds, None)))]
        rows.append(("with a receiver", *asyncio.run(measure(folder, seconds, receiver.url))))
    table(head, rows)


if __name__ == "__main__":
    main()
