"""Start of the collector to its first sample, and what `run` adds to /bin/true, both beyond Python's own start.

    python -m bench.start

All in turns in one run; the floor is `python -c pass`. CPU time of the collector is what its first sample says.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.sidecar import CONTAINERS, containers, sidecar
from bench.support import (
    IDLE_PROCESSES,
    Cost,
    beyond,
    in_own_pid_namespace,
    installation,
    milliseconds,
    plain_environ,
    table,
    timed,
)

ROUNDS = 31
HEAD = ("", "wall ms", "CPU ms", "wall beyond Python's", "CPU beyond Python's")
PYTHON = "`python -c pass`"


def first_sample(python: Path, directory: Path, number: int) -> Cost:
    """A collector's start up to the appearance of its first sample in the journal."""
    with sidecar(python, directory / f"journal-{number}", "--interval=5s") as collector:
        wall = collector.wait_for_samples(1)
    return Cost(wall, collector.ticks()[0].sample.meter.cpu_seconds)


def rows(costs: Mapping[str, list[Cost]]) -> list[tuple[str, ...]]:
    """The rows of a table; `PYTHON` is the floor."""
    walls = {name: [one.wall for one in found] for name, found in costs.items()}
    cpus = {name: [one.cpu for one in found] for name, found in costs.items()}
    return [
        (
            name,
            milliseconds(walls[name]),
            milliseconds(cpus[name]),
            beyond(walls[name], walls[PYTHON]),
            beyond(cpus[name], cpus[PYTHON]),
        )
        for name in costs
    ]


def main() -> None:
    """Print the tables; the collector's where nothing else is seen."""
    if os.getpid() != 1:
        measure_run()
    in_own_pid_namespace("bench.start", measure_collector)


def measure_run() -> None:
    """What the wrapper adds to a command that does nothing."""
    with TemporaryDirectory() as directory, installation() as python:
        environ = plain_environ(XDG_STATE_HOME=directory)
        jobmeter = python.parent / "jobmeter"
        commands: dict[str, list[str | Path]] = {
            PYTHON: [python, "-c", "pass"],
            "`jobmeter run /bin/true`": [jobmeter, "run", "/bin/true"],
            "`jobmeter run --source=proc /bin/true`": [jobmeter, "run", "--source=proc", "/bin/true"],
            "`jobmeter run --quiet /bin/true`": [jobmeter, "run", "--quiet", "/bin/true"],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                costs[name].append(timed(command, environ))
    print(f"{ROUNDS} rounds\n")
    table(HEAD, rows(costs))


def measure_collector() -> None:
    """From the start of the collector to its first sample."""
    with TemporaryDirectory() as directory, installation() as python:
        for processes in (2 * CONTAINERS, IDLE_PROCESSES):
            name = f"collector, {CONTAINERS} containers, {processes} processes"
            costs: dict[str, list[Cost]] = {PYTHON: [], name: []}
            with containers(processes // CONTAINERS):
                for number in range(ROUNDS):
                    costs[PYTHON].append(timed([python, "-c", "pass"], plain_environ()))
                    costs[name].append(first_sample(python, Path(directory), processes + number))
            print()
            table(HEAD, rows(costs))


if __name__ == "__main__":
    main()
