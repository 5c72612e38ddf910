"""A tick of the collector over 5 containers whose cgroups are read, against the same reads in C.

    python -m bench.containers

A real collector at 50 ms: reading, summing up, encoding, the journal, and what of the scan of processes falls on a
tick. Between its ticks the caches of the processor go cold, so the C program waits as long between its own; back to
back both find them warm: there the collector ticks at marks, one after another. CPU time is that of schedstat.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.sidecar import CONTAINERS, Sidecar, containers, sidecar
from bench.support import Floor, in_own_pid_namespace, installation, milliseconds, ratio, table
from jobmeter.supervise.marks import send_mark

ROUNDS = 20
TICKS_OF_ROUND = 40
INTERVAL_SECONDS = 0.05
SOCKET = "@jobmeter-bench"


def paced(collector: Sidecar, floor: Floor) -> tuple[float, float]:
    """CPU seconds of a tick of both, each after a pause."""
    begun, before = collector.cpu_seconds(), collector.sample_count()
    reads = []
    for _ in range(TICKS_OF_ROUND):
        time.sleep(INTERVAL_SECONDS)
        reads.append(floor.cpu_seconds(1))
    return (collector.cpu_seconds() - begun) / (collector.sample_count() - before), sum(reads) / len(reads)


def back_to_back(collector: Sidecar, floor: Floor) -> tuple[float, float]:
    """CPU seconds of a tick of both without a pause."""
    begun, before = collector.cpu_seconds(), collector.sample_count()
    for number in range(TICKS_OF_ROUND):
        send_mark(SOCKET, f"mark {number}")
    spent = collector.cpu_seconds() - begun
    return spent / (collector.sample_count() - before), floor.cpu_seconds(TICKS_OF_ROUND)


def main() -> None:
    """Start the benchmark where nothing else is seen."""
    in_own_pid_namespace("bench.containers", benchmark)


def benchmark() -> None:
    """Print CPU time per tick."""
    with TemporaryDirectory() as directory, installation() as python, containers(2):
        options = ("--interval=50ms", "--source=cgroup", f"--mark-socket={SOCKET}")
        with sidecar(python, Path(directory) / "journal", *options) as collector:
            collector.wait_for_samples(TICKS_OF_ROUND)
            files = collector.cgroup_files()
            floor = Floor(Path(directory), ["/proc/stat", "/proc/meminfo", *files], lists_proc=True)
            costs: dict[str, list[tuple[float, float]]] = {"every 50 ms": [], "back to back": []}
            for _ in range(ROUNDS):
                costs["every 50 ms"].append(paced(collector, floor))
                costs["back to back"].append(back_to_back(collector, floor))
            floor.close()
            if collector.containers() != CONTAINERS:
                raise RuntimeError(f"the collector saw {collector.containers()} containers")
    print(f"{CONTAINERS} containers, {len(files)} files of cgroups, {ROUNDS} rounds\n")
    rows = []
    for name, pairs in costs.items():
        ticks, floors = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        rows.append((name, milliseconds(ticks), milliseconds(floors), ratio(ticks, floors)))
    table(("a tick", "the collector, CPU ms", "the reads in C, CPU ms", "ratio"), rows)


if __name__ == "__main__":
    main()
