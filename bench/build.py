"""What `run` adds to a real build of about a minute: gcc -O2 of generated files by make -j2, with and without.

    python -m bench.build [ROUNDS]

Both at the same time, each on a processor of its own, the wrapper on that of its build; then they change places. So
what else happens on the machine hits both; two builds without the wrapper show how much it still matters. The share of
one processor that the wrapper takes is what its summary says.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from bench.support import ROOT, Cost, installation, median, plain_environ, table, timed
from jobmeter.model import summary as summaries

ROUNDS = 4
BUILD_SECONDS = 60.0
PROBE_FILES = 12


def generate(directory: Path, files: int) -> None:
    """Write the sources of a build."""
    timed([sys.executable, ROOT / "scripts/generate_c.py", directory, str(files)], plain_environ())


def build(directory: Path, processor: int, before: Sequence[str | Path] = ()) -> Cost:
    """Build everything anew on one processor; ``before`` is what runs make."""
    make = ("/usr/bin/make", "--always-make", "-s", "-j2", "-C", directory)
    return timed(["/usr/bin/taskset", "--cpu-list", str(processor), *before, *make], plain_environ())


def at_once(*calls: Callable[[], Cost]) -> list[Cost]:
    """The results of calls made at the same time."""
    results: dict[int, Cost] = {}
    threads = [
        Thread(target=lambda at=at, call=call: results.update({at: call()})) for at, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[at] for at in range(len(calls))]


def main() -> None:
    """Print wall times and the wrapper's CPU time."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with TemporaryDirectory() as name, installation() as python:
        plain, metered, summary = Path(name) / "plain", Path(name) / "metered", Path(name) / "summary.json"
        for directory in (plain, metered):
            generate(directory, PROBE_FILES)
        probe = at_once(partial(build, plain, first), partial(build, metered, second))
        files = round(PROBE_FILES * BUILD_SECONDS / median([one.wall for one in probe]))
        for directory in (plain, metered):
            generate(directory, files)
        wrapper = (python.parent / "jobmeter", "run", f"--json={summary}", f"--journal={name}/journal", "--")
        metered_pairs: list[list[Cost]] = []
        plain_pairs: list[list[Cost]] = []
        shares = []
        for number in range(rounds):
            one, other = (first, second) if number % 2 else (second, first)
            metered_pairs.append(at_once(partial(build, plain, one), partial(build, metered, other, wrapper)))
            plain_pairs.append(at_once(partial(build, plain, one), partial(build, metered, other)))
            used = summaries.decode(summary.read_bytes()).collector.cpu_seconds or 0.0
            shares.append(used / metered_pairs[-1][1].wall)
    print(f"{files} files, {rounds} rounds\n")
    table(
        ("the second of two builds at once", "its wall time, s", "to the first, median", "lowest", "highest"),
        [row("with `jobmeter run`", metered_pairs), row("without, as the first", plain_pairs)],
    )
    print(f"\nCPU time of the wrapper: {100 * median(shares):.2f} % of one processor")


def row(name: str, pairs: Sequence[Sequence[Cost]]) -> tuple[str, ...]:
    """The second builds, and their ratios to the first ones."""
    ratios = [other.wall / one.wall for one, other in pairs]
    return (
        name,
        f"{median([other.wall for _, other in pairs]):.2f}",
        *(f"{each:.4f}" for each in (median(ratios), min(ratios), max(ratios))),
    )


if __name__ == "__main__":
    main()
