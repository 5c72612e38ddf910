"""What launching a runner for each task costs, end to end: 20 tasks a second through a gateway of its own process.

    python -m bench.launch [SECONDS]

As root, with cgroups of version 1. Time is from the moment at which the forge writes its answer with the task to the
first instruction of the task's runner, and to the forge's hearing that it went well. CPU time is that of the gateway,
its starter and all keepers, which have a cgroup of their own here, without what the runners say that they used. Forge
and receiver work in this process, runners are a C program (bench/launched.c) with limits, run as `nobody`.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.support import compile_c, table
from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.gateways import TOKEN
from tests.e2e.support.launching import LaunchingGateway, open_folder
from tests.e2e.support.runners import UUID
from tests.support.forges.actions import ActionsForge, Job
from tests.support.receivers import FlakyReceiver, serving

RATE = 20
SECONDS = 10
WARM_TASKS = 20
PATIENCE_SECONDS = 30.0


class Task(Job):
    """One that knows when it was handed out, and when its result came, in seconds since 1970."""

    handed_at: float = 0.0
    ended_at: float = 0.0

    def write(self, task: Any) -> None:
        """The forge's answer is being written."""
        super().write(task)
        self.handed_at = time.time()


class Forge(ActionsForge):
    """Has tasks that know their times."""

    def add(self, number: int) -> None:
        """One more waits for a runner."""
        self.jobs[number] = Task(number)
        self.waiting.append(self.jobs[number])
        self.version += 1

    def _UpdateTask(self, uuid: str, asked: Any, answer: Any) -> None:
        super()._UpdateTask(uuid, asked, answer)
        job = self.jobs[asked.state.id]
        if isinstance(job, Task) and job.result and not job.ended_at:
            job.ended_at = time.time()


class Metered(LaunchingGateway):
    """One with a cgroup of its own, which its starter and its keepers share."""

    def __init__(self, cgroup: Cgroup, *given: Any) -> None:
        super().__init__(*given)
        self._cgroup = cgroup

    @property
    def command(self) -> list[str]:
        """Enters it first."""
        return self._cgroup.command(super().command)


class Bench:
    """A forge, a gateway before it, and tasks with numbers from 1 on."""

    def __init__(self, forge: Forge, gateway: Metered, cgroup: Cgroup, file: Path) -> None:
        self._forge, self._gateway, self._cgroup, self._file = forge, gateway, cgroup, file
        self._number = 0

    async def tasks(self, count: int) -> range:
        """RATE of them each second; returns when nothing of them is left."""
        loop = asyncio.get_running_loop()
        begun, first = loop.time(), self._number + 1
        for place in range(count):
            await asyncio.sleep(max(0.0, begun + place / RATE - loop.time()))
            self._number += 1
            self._forge.add(self._number)
        until = loop.time() + PATIENCE_SECONDS
        while self._gateway.left() or not all(job.result for job in self._forge.jobs.values()):
            if loop.time() > until:
                raise RuntimeError(f"not all tasks have ended:\n{self._gateway.log[-2000:]}")
            await asyncio.sleep(0.1)
        return range(first, self._number + 1)

    async def measure(self, count: int) -> tuple[str, ...]:
        """The cells of the row."""
        await self.tasks(WARM_TASKS)
        before = self._cgroup.cpu_seconds()
        numbers = await self.tasks(count)
        used = self._cgroup.cpu_seconds() - before
        said = {int(words[1]): words for words in map(str.split, self._file.read_text().splitlines())}
        jobs = [self._forge.jobs[number] for number in numbers]
        begun = [(float(said[job.id][0]) - job.handed_at) * 1e3 for job in jobs if isinstance(job, Task)]
        ended = [(job.ended_at - job.handed_at) * 1e3 for job in jobs if isinstance(job, Task)]
        own = used - sum(float(said[number][2]) for number in numbers)
        figures = (median(begun), quantiles(begun, n=100)[98], median(ended), quantiles(ended, n=100)[98])
        return (*(f"{one:.0f}" for one in figures), f"{own * 1e3 / count:.1f}", f"{own * RATE / count:.2f}")


async def row(seconds: int, receiver: str | None) -> tuple[str, ...]:
    """A gateway's figures, with a receiver of its runs or without."""
    with open_folder() as folder, Cgroup.create() as cgroup:
        program = compile_c("launched", folder)
        file = folder / "said"
        file.touch()
        file.chmod(0o666)
        forge = Forge({UUID: TOKEN})
        await forge.listen()
        url = f"http://127.0.0.1:{forge.port}"
        runner = {
            "command": json.dumps([str(program), "{url}", "{uuid}", "{token}", str(file)]),
            "capacity": "40",
            "limits": '{ cpu = "1", memory = "256Mi", pids = 100, timeout = "1m" }',
        }
        gateway = Metered(cgroup, folder, url, "forgejo", runner, receiver)
        try:
            await gateway.start()
            return await Bench(forge, gateway, cgroup, file).measure(RATE * seconds)
        finally:
            gateway.clean_up()
            await forge.go_away()


def main() -> None:
    """Print the table."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    head = (
        "",
        "to the runner, ms",
        "99 %",
        "to its result, ms",
        "99 %",
        "CPU a start, ms",
        f"cores at {RATE} a second",
    )
    with serving(FlakyReceiver()) as receiver:
        rows = [("no receiver", *asyncio.run(row(seconds, None)))]
        rows.append(("with a receiver", *asyncio.run(row(seconds, receiver.url))))
    table(head, rows)


if __name__ == "__main__":
    main()
