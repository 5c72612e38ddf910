"""A tick over 1,000 idle processes, read from /proc, against a C program that only makes the same reads.

    python -m bench.tick

In a pid namespace of their own both read in turns: a listing of /proc, the kept /proc/PID/stat of each process, the
files of the host.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.support import Floor, idle_processes, in_own_pid_namespace, milliseconds, ratio, table
from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.group import Group
from jobmeter.metering.host import HostReader
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.meter import Meter, boot_seconds
from jobmeter.metering.one_group import OneGroup
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model.sample import ContainerInfo
from jobmeter.model.summarize import RunFold
from jobmeter.spool.journal import Journal
from jobmeter.spool.recorder import Recorder

ROUNDS = 30
TICKS_OF_ROUND = 20
HOST_FILES = ("/proc/stat", "/proc/meminfo")


class Run:
    """The meter of `jobmeter run --source proc`, wired as in jobmeter.apps.run, with its recorder and journal."""

    def __init__(self, journal: Path) -> None:
        membership = Descent(os.getpid())
        self.watch = ProcessWatch(
            ProcessTable(max_descriptors=16384, wanted=membership.admit),
            membership,
            started_after=boot_seconds(),
        )
        self.recorder = Recorder("bench", RunFold())
        self.recorder.add_sink(Journal(str(journal), print).write)
        self.meter = Meter(
            self.watch,
            OneGroup(Group(ContainerInfo(key=JOB, name=JOB))),
            HostReader(),
            source="proc",
            declare=self.recorder.declare,
            warn=self.recorder.warn,
        )
        self._elapsed = 0.0

    def tick(self) -> None:
        """Read everything."""
        self._elapsed += 1.0
        self._sample = self.meter.tick(self._elapsed, self._elapsed)

    def recorded_tick(self) -> None:
        """Read everything, fold it into the summary, append it to the journal."""
        self.tick()
        self.recorder.sample(self._sample)


def cpu_seconds(call: Callable[[], None], times: int) -> float:
    """CPU seconds of one call, of so many."""
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


def main() -> None:
    """Start the benchmark where nothing else is seen."""
    in_own_pid_namespace("bench.tick", benchmark)


def benchmark() -> None:
    """Print CPU time per tick and its ratio to the floor."""
    with TemporaryDirectory() as directory, idle_processes() as pids:
        run = Run(Path(directory) / "journal")
        run.recorded_tick()
        files = [f"/proc/{pid}/stat" for pid in pids]
        floor = Floor(Path(directory), [*HOST_FILES, *files], lists_proc=True)
        costs: dict[str, list[float]] = {"C": [], "read": [], "recorded": []}
        for _ in range(ROUNDS):
            costs["C"].append(floor.cpu_seconds(TICKS_OF_ROUND))
            costs["read"].append(cpu_seconds(run.tick, TICKS_OF_ROUND))
            costs["recorded"].append(cpu_seconds(run.recorded_tick, TICKS_OF_ROUND))
        floor.close()
        print(f"{len(run.watch.members())} processes, {ROUNDS} rounds of {TICKS_OF_ROUND} ticks each\n")
        run.meter.close()
    names = {
        "C": "the reads alone, in C",
        "read": "a tick",
        "recorded": "a tick, summed up and in the journal",
    }
    table(
        ("per tick", "CPU ms", "to C"),
        [(names[key], milliseconds(cost), ratio(cost, costs["C"])) for key, cost in costs.items()],
    )


if __name__ == "__main__":
    main()
