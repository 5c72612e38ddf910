"""What `run` adds to a real build of about a minute: gcc -O2 of generated files by make -j2, with and without.

    python -m bench.build [ROUNDS]

With and without in turns, the order changing. The noise of a shared machine is far above 1 % of the wall time, so the
CPU time of the wrapper itself, which its summary tells, is given beside it as a share of the build's wall time.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.support import ROOT, Cost, installation, median, plain_environ, ratio, table, timed
from jobmeter.model import summary as summaries

ROUNDS = 3
BUILD_SECONDS = 60.0
PROBE_FILES = 12


def generate(directory: Path, files: int) -> None:
    """Write the sources of a build."""
    timed([sys.executable, ROOT / "scripts/generate_c.py", directory, str(files)], plain_environ())


def build(directory: Path, *before: str | Path) -> Cost:
    """Build everything anew; ``before`` is what runs make."""
    return timed([*before, "/usr/bin/make", "--always-make", "-s", "-j2", "-C", directory], plain_environ())


def main() -> None:
    """Print wall times and the wrapper's CPU time."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with TemporaryDirectory() as name, installation() as python:
        directory = Path(name)
        generate(directory / "probe", PROBE_FILES)
        probe = min(build(directory / "probe").wall for _ in range(3))
        files = round(PROBE_FILES * BUILD_SECONDS / probe)
        generate(directory / "src", files)
        summary = directory / "summary.json"
        wrapper = (
            python.parent / "jobmeter", "run", f"--json={summary}", f"--journal={directory}/journal", "--",
        )  # fmt: skip
        without: list[Cost] = []
        metered: list[Cost] = []
        own: list[float] = []
        for number in range(rounds):
            for with_wrapper in (False, True) if number % 2 else (True, False):
                cost = build(directory / "src", *(wrapper if with_wrapper else ()))
                (metered if with_wrapper else without).append(cost)
                if with_wrapper:
                    own.append(
                        (summaries.decode(summary.read_bytes()).collector.cpu_seconds or 0.0) / cost.wall
                    )
    walls = [[one.wall for one in found] for found in (without, metered)]
    cpus = [[one.cpu for one in found] for found in (without, metered)]
    print(f"{files} files, {rounds} rounds\n")
    table(
        ("", "wall s, median", "CPU s, median"),
        [
            ("without", f"{median(walls[0]):.2f}", f"{median(cpus[0]):.2f}"),
            ("with `jobmeter run`", f"{median(walls[1]):.2f}", f"{median(cpus[1]):.2f}"),
            ("ratio, median of rounds", ratio(walls[1], walls[0], 4), ratio(cpus[1], cpus[0], 4)),
        ],
    )
    print(f"\nCPU time of the wrapper itself: {100 * median(own):.2f} % of the wall time")


if __name__ == "__main__":
    main()
