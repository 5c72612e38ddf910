"""Memory, descriptors and threads of the collector over 5 containers and 1,000 processes, after 200 and 2,000 ticks.

    python -m bench.memory

A real collector at 50 ms, once with the accounts of cgroups and once with /proc alone.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.sidecar import CONTAINERS, containers, sidecar
from bench.support import IDLE_PROCESSES, in_own_pid_namespace, installation, table

AFTER = (200, 1000, 2000)


def main() -> None:
    """Start the benchmark where nothing else is seen."""
    in_own_pid_namespace("bench.memory", benchmark)


def benchmark() -> None:
    """Print PSS, descriptors, threads."""
    rows = []
    with (
        TemporaryDirectory() as directory,
        installation() as python,
        containers(IDLE_PROCESSES // CONTAINERS),
    ):
        for source in ("auto", "proc"):
            journal = Path(directory) / source
            with sidecar(python, journal, "--interval=50ms", f"--source={source}") as collector:
                for ticks in AFTER:
                    collector.wait_for_samples(ticks)
                    rows.append(
                        (source, str(ticks), f"{collector.pss_bytes() / 2**20:.2f}",
                         str(collector.descriptors()), str(collector.threads()))
                    )  # fmt: skip
    table(("--source", "ticks", "PSS MiB", "descriptors", "threads"), rows)


if __name__ == "__main__":
    main()
