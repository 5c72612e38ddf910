"""A real `jobmeter collector` process beside containers that are real cgroups, for the benchmarks of it.

Containers and collector share a pid namespace of their own, as a job and its sidecar do: what else runs on the machine
is not seen.
"""

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.support import idle_processes, plain_environ
from jobmeter.model import wire
from jobmeter.spool.journal import JournalReader
from tests.e2e.support.cgroup import Cgroup, own_cgroups

CONTAINERS = 5


@contextmanager
def containers(processes_each: int) -> Iterator[list[Cgroup]]:
    """Cgroups named as Docker names them, with idle processes in each; this process is in the first."""
    home = own_cgroups()
    with ExitStack() as stack:
        made = [
            stack.enter_context(Cgroup.create(f"docker-{secrets.token_hex(32)}")) for _ in range(CONTAINERS)
        ]
        for hierarchy, directory in made[0].paths.items():
            enter(directory)
            stack.callback(enter, home[hierarchy])
        for cgroup in made:
            stack.enter_context(idle_processes(processes_each - 1, cgroup.command))
        yield made


def enter(directory: Path) -> None:
    """Move this process into a cgroup."""
    (directory / "cgroup.procs").write_text("0")


class Sidecar:
    """The process and its journal."""

    def __init__(self, python: Path, journal: Path, *options: str) -> None:
        self.journal = journal
        self.begun = time.perf_counter()
        self._process = subprocess.Popen(
            [python, "-m", "jobmeter", "collector", f"--journal={journal}", "--log-level=error", *options],
            stdout=subprocess.DEVNULL, env=plain_environ(),
        )  # fmt: skip
        self.pid = self._process.pid

    def wait_for_samples(self, count: int) -> float:
        """Return when that many samples are in the journal, with the seconds since the start."""
        pause = 0.001 if count == 1 else 0.05
        while self.sample_count() < count:
            if self._process.poll() is not None:
                raise RuntimeError(f"the collector ended with {self._process.returncode}")
            time.sleep(pause)
        return time.perf_counter() - self.begun

    def ticks(self) -> list[wire.Tick]:
        """All samples of the journal."""
        return [record for record in JournalReader(self.journal) if isinstance(record, wire.Tick)]

    def containers(self) -> int:
        """How many containers it found on this machine."""
        found = (record for record in JournalReader(self.journal) if isinstance(record, wire.Declare))
        return len({record.container.key for record in found})

    def cgroup_files(self) -> list[str]:
        """The files of cgroups that it keeps open."""
        links = [str(link.readlink()) for link in Path(f"/proc/{self.pid}/fd").iterdir()]
        return sorted(link for link in links if link.startswith("/sys/fs/cgroup/"))

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def pss_bytes(self) -> int:
        """Its memory, what it shares divided by the number of sharers."""
        with open(f"/proc/{self.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))

    def descriptors(self) -> int:
        """Its open descriptors."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def threads(self) -> int:
        """Its threads."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())

    def stop(self) -> None:
        """End it as a runner does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def sample_count(self) -> int:
        """Samples in the journal."""
        try:
            return self.journal.read_bytes().count(b'{"kind":"sample"')
        except FileNotFoundError:
            return 0


@contextmanager
def sidecar(python: Path, journal: Path, *options: str) -> Iterator[Sidecar]:
    """A running collector, stopped at the end."""
    running = Sidecar(python, journal, *options)
    try:
        yield running
    finally:
        running.stop()
