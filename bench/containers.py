"""A tick of the collector over 5 containers whose cgroups are read, against the same reads in C.

    python -m bench.containers

A real collector at 50 ms: reading, summing up, encoding, the journal, and the scan of processes once a second.
Its CPU time is read from /proc/PID/schedstat, between rounds of the C program over the files it keeps open.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.sidecar import CONTAINERS, containers, sidecar
from bench.support import Floor, installation, milliseconds, ratio, table

ROUNDS = 20
TICKS_OF_ROUND = 40


def main() -> None:
    """Print CPU time per tick."""
    with TemporaryDirectory() as directory, installation() as python, containers(2):
        journal = Path(directory) / "journal"
        with sidecar(python, journal, "--interval=50ms", "--source=cgroup") as collector:
            collector.wait_for_samples(TICKS_OF_ROUND)
            files = collector.cgroup_files()
            floor = Floor(Path(directory), ["/proc/stat", "/proc/meminfo", *files], lists_proc=False)
            costs: dict[str, list[float]] = {"floor": [], "tick": []}
            for number in range(1, ROUNDS + 1):
                begun, ticks = collector.cpu_seconds(), collector.sample_count()
                collector.wait_for_samples((number + 1) * TICKS_OF_ROUND)
                spent, ticks = collector.cpu_seconds() - begun, collector.sample_count() - ticks
                costs["tick"].append(spent / ticks)
                costs["floor"].append(floor.cpu_seconds(200))
            floor.close()
    print(
        f"{CONTAINERS} containers, {len(files)} files of cgroups, {ROUNDS} rounds of {TICKS_OF_ROUND} ticks\n"
    )
    names = {"floor": "the reads alone, in C", "tick": "the collector"}
    table(
        ("per tick", "CPU ms", "to C"),
        [(names[key], milliseconds(cost), ratio(cost, costs["floor"])) for key, cost in costs.items()],
    )


if __name__ == "__main__":
    main()
