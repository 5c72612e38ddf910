"""What `run` adds to a real build: gcc -O2 of generated files by make -j2, with and without.

    python -m bench.build [ROUNDS [SECONDS]]

Both at the same time, each on a processor of its own, the wrapper on that of its build; then they change places. So
what else happens on the machine hits both, and what one processor is slower cancels out. Two builds without the
wrapper show how true the ratio is. Many short builds tell more than few long ones; a short one bears more of the
wrapper's start. The share of one processor that the wrapper takes is what its summary says.
"""

import math
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from bench.support import ROOT, Cost, installation, median, plain_environ, table, timed
from jobmeter.model import summary as summaries

ROUNDS = 4
BUILD_SECONDS = 20.0
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
    """Print the ratios of wall and CPU time, and the wrapper's CPU time."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else BUILD_SECONDS
    places = sorted(os.sched_getaffinity(0))[:2]
    with TemporaryDirectory() as name, installation() as python:
        directories = Path(name) / "first", Path(name) / "second"
        files = generate_builds(directories, places, seconds)
        summary = Path(name) / "summary.json"
        wrapper = (python.parent / "jobmeter", "run", f"--json={summary}", f"--journal={name}/journal", "--")
        metered: list[list[Cost]] = []
        plain: list[list[Cost]] = []
        shares = []
        for _ in range(rounds + rounds % 2):
            places.reverse()
            metered.append(pair(directories, places, wrapper))
            used = summaries.decode(summary.read_bytes()).collector.cpu_seconds or 0.0
            shares.append(used / metered[-1][1].wall)
            plain.append(pair(directories, places))
    print(f"{files} files, {len(plain)} rounds\n")
    table(
        (
            "the second of two builds at once",
            "its seconds",
            "wall time to the first",
            "CPU time to the first",
        ),
        [row("with `jobmeter run`", metered), row("without, as the first", plain)],
    )
    print(f"\nCPU time of the wrapper: {100 * median(shares):.2f} % of one processor")


def generate_builds(directories: Sequence[Path], places: Sequence[int], seconds: float) -> int:
    """Write sources whose build takes about so many seconds; the number of files."""
    files = PROBE_FILES
    for directory in directories:
        generate(directory, files)
    files = round(files * seconds / median([one.wall for one in pair(directories, places)]))
    for directory in directories:
        generate(directory, files)
    return files


def pair(directories: Sequence[Path], places: Sequence[int], before: Sequence[str | Path] = ()) -> list[Cost]:
    """Two builds at the same time; ``before`` is what runs the second."""
    return at_once(
        partial(build, directories[0], places[0]), partial(build, directories[1], places[1], before)
    )


def row(name: str, pairs: Sequence[Sequence[Cost]]) -> tuple[str, ...]:
    """The second builds, and their ratios to the first ones."""
    return (
        name,
        f"{median([other.wall for _, other in pairs]):.2f}",
        ratios([other.wall / one.wall for one, other in pairs]),
        ratios([other.cpu / one.cpu for one, other in pairs]),
    )


def ratios(values: Sequence[float]) -> str:
    """Their geometric mean with twice its standard error; each two that changed places count as one."""
    logs = [math.log(value) for value in values]
    means = [(one + other) / 2 for one, other in zip(logs[::2], logs[1::2], strict=True)]
    error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.inf
    return f"{math.exp(statistics.mean(means)):.4f} ± {2 * error:.4f}"


if __name__ == "__main__":
    main()
