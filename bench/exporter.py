"""What the exporter costs over 10, 100 and 1,000 containers of 5 processes each, real cgroups and network namespaces.

    python -m bench.exporter [CONTAINERS ...]

Each container's processes live in cgroups of every hierarchy of the machine and in a network namespace of their own;
before each sample one process of each uses CPU time and memory, so that every account has changed. The exporter is a
process without an engine's socket; its CPU time is that of its threads by schedstat: of the one that samples, and of
those that answer. Means of ROUNDS, as some of what is read is read seldom. Beside it: the same with few descriptors;
the floor, a C program that reads the same files and does nothing with them; and, in turns, 5,000 more processes.
"""

import gzip
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.support import ROOT, Floor, compile_c, idle_processes, plain_environ, table
from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.cgroup_mounts import hierarchies_below
from jobmeter.linux.descriptors import Descriptors, raise_descriptor_limit
from jobmeter.linux.files import read_whole
from jobmeter.linux.machine_activity import MachineActivity
from jobmeter.linux.procfs import parse_net_dev

COUNTS = (10, 100, 1000)
PROCESSES = 5
MORE_PROCESSES = 5000
FEW_DESCRIPTORS = 4096
TURNS = 4
ROUNDS = 24
SETTLING_ROUNDS = (
    13  # In twelve samples every limit is looked up once, and the kernel makes an inode of its file.
)
THREE_V1 = {
    "cpuacct": ("cpuacct.usage", "cpuacct.stat"),
    "memory": ("memory.usage_in_bytes", "memory.stat", "memory.max_usage_in_bytes"),
}
ALL_V1 = {**THREE_V1, "pids": ("pids.current",), "": ("cpu.pressure",)}
THREE_V2 = {"": ("cpu.stat", "memory.current", "memory.stat", "memory.peak", "memory.events")}
ALL_V2 = {"": (*THREE_V2[""], "pids.current", "cpu.pressure", "io.stat")}
BASE = "jobmeter-bench"


class Fleet:
    """Containers that work when they are told to."""

    def __init__(self, program: Path, count: int) -> None:
        self._tops = sorted({hierarchy.mount_point for hierarchy in hierarchies_below("/sys/fs/cgroup")})
        self.directories = [
            [f"{top}/{BASE}/{number:064x}" for top in self._tops] for number in range(1, count + 1)
        ]
        for one in self.directories:
            for path in one:
                os.makedirs(path, exist_ok=True)
        _share_cpusets(self._tops)
        self._process = subprocess.Popen(
            [str(program), str(PROCESSES), "net"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say("".join(" ".join(one) + "\n" for one in self.directories) + "\n", "ready")

    def work(self) -> None:
        """One process of each container does something."""
        self._say("\n", "done")

    def networks(self) -> list[str]:
        """The files that count what each of them sends and receives."""
        pids = (Path(one[0], "cgroup.procs").read_text().split()[0] for one in self.directories)
        return [f"/proc/{pid}/net/dev" for pid in pids]

    def close(self) -> None:
        """End them, and remove what was made."""
        self._process.communicate()
        time.sleep(0.5)
        for one in (*self.directories, [f"{top}/{BASE}" for top in self._tops]):
            for path in one:
                _remove(path)

    def _say(self, text: str, answer: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(text)
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != answer:
            raise RuntimeError("the containers could not be made")


def _share_cpusets(tops: Sequence[str]) -> None:
    """A cpuset of version 1 takes nobody before it has CPUs and memory."""
    for top in tops:
        for directory in (f"{top}/{BASE}", *Path(top, BASE).glob("*/")):
            for name in ("cpuset.cpus", "cpuset.mems"):
                file = Path(str(directory), name)
                if file.exists():
                    file.write_text(Path(top, name).read_text())


def _remove(path: str) -> None:
    for _ in range(100):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)


class Exporter:
    """A process of `jobmeter exporter`."""

    def __init__(self, *flags: str, descriptors: int = 20_000) -> None:
        command = [
            "prlimit", f"--nofile={descriptors}", sys.executable, "-m", "jobmeter", "exporter",
            "--listen=127.0.0.1:0", "--engine-socket=none", "--interval=1h", "--log-format=text", *flags,
        ]  # fmt: skip
        environ = plain_environ(PYTHONPATH=str(ROOT / "src"))
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        assert self._process.stderr
        self.pid = self._process.pid
        line = self._process.stderr.readline()
        self._url = f"http://{line.partition('listen=')[2].split()[0].strip(chr(39))}"

    def scrape(self) -> bytes:
        """A gzipped answer of fresh values."""
        request = urllib.request.Request(f"{self._url}/metrics", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def cpu_seconds(self) -> dict[int, float]:
        """By thread."""
        found = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
        return found

    def pss_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no Pss")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


class Measured(NamedTuple):
    """Of one kind of exporter over one number of containers; seconds of CPU time."""

    sample: float
    scrape: float
    series: int
    zipped_bytes: int
    pss_bytes: int
    descriptors: int


@contextmanager
def exporter(*flags: str, descriptors: int = 20_000) -> Iterator[Exporter]:
    started = Exporter(*flags, descriptors=descriptors)
    try:
        yield started
    finally:
        started.close()


def measure(fleet: Fleet, *flags: str, descriptors: int = 20_000) -> Measured:
    """One exporter over the fleet: the first scrapes settle, then ROUNDS of work, sample, scrape."""
    with exporter(*flags, descriptors=descriptors) as one:
        rounds(fleet, one, SETTLING_ROUNDS)
        samples, scrapes = rounds(fleet, one, ROUNDS)
        page = one.scrape()
        text = gzip.decompress(page)
        ours = b'jobmeter_container_start_time_seconds{id="' + b"0" * 48
        seen = sum(line.startswith(ours) for line in text.splitlines())
        if seen != len(fleet.directories):
            raise RuntimeError(f"the exporter saw {seen} of {len(fleet.directories)} containers")
        return Measured(
            fmean(samples), fmean(scrapes), sum(not line.startswith(b"#") for line in text.splitlines()),
            len(page), one.pss_bytes(), one.descriptors(),
        )  # fmt: skip


def rounds(fleet: Fleet, one: Exporter, count: int) -> tuple[list[float], list[float]]:
    """CPU seconds of samples and of scrapes."""
    samples, scrapes = [], []
    sampler = _sampler(one)
    for _ in range(count):
        time.sleep(1.05)  # What is not older than a second is fresh enough.
        fleet.work()
        before = one.cpu_seconds()
        one.scrape()
        after = one.cpu_seconds()
        spent = {thread: after[thread] - before.get(thread, 0.0) for thread in after}
        samples.append(spent.pop(sampler))
        scrapes.append(sum(spent.values()))
    return samples, scrapes


def ratio_with_more_processes(fleet: Fleet) -> float:
    """What a sample costs beside so many more processes on the machine, against the same exporter without, in turns."""
    with exporter() as one:
        rounds(fleet, one, SETTLING_ROUNDS)
        with_more, without = list[float](), list[float]()
        for _ in range(TURNS):
            without += rounds(fleet, one, ROUNDS // 2)[0]
            with idle_processes(MORE_PROCESSES):
                with_more += rounds(fleet, one, ROUNDS // 2)[0]
        return fmean(with_more) / fmean(without)


def _sampler(one: Exporter) -> int:
    """The thread that reads: the first that the process starts beside its main one. Its number may be lower."""

    def start_ticks(thread: int) -> int:
        return int(Path(f"/proc/{one.pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[19])

    return min((thread for thread in one.cpu_seconds() if thread != one.pid), key=start_ticks)


def _by_controller() -> dict[str, str]:
    """Mount points."""
    return {
        one: hierarchy.mount_point
        for hierarchy in hierarchies_below("/sys/fs/cgroup")
        for one in hierarchy.controllers
    }


def reading_of_three(fleet: Fleet) -> float:
    """CPU seconds to read CPU time, memory and network of all containers alone, in this process."""
    tops = _by_controller()
    wanted = ("cpuacct", "memory") if "cpuacct" in tops else ("",)
    descriptors, errors, machine = Descriptors.of_process(), dict[str, int](), MachineActivity()
    readers = [
        AccountReader({one: f"{tops[one]}/{BASE}/{number:064x}" for one in wanted}, descriptors, errors)
        for number in range(1, len(fleet.directories) + 1)
    ]
    networks = [descriptors.keep(path) for path in fleet.networks()]
    costs = []
    for _ in range(ROUNDS):
        fleet.work()
        time.sleep(0.05)
        begun = time.process_time()
        grown = machine.grown()
        for reader, fd in zip(readers, networks, strict=True):
            reader.read(grown=grown)
            if fd is not None:
                parse_net_dev(read_whole(fd))
        costs.append(time.process_time() - begun)
    for reader, fd in zip(readers, networks, strict=True):
        reader.close()
        if fd is not None:
            descriptors.give_back(fd)
    return fmean(costs)


def floor(fleet: Fleet, files: Mapping[str, Sequence[str]]) -> float:
    """CPU seconds of a C program that reads these files, by controller, of all containers, and their network."""
    tops = _by_controller()
    paths = [
        f"{tops[controller]}/{BASE}/{number:064x}/{name}"
        for number in range(1, len(fleet.directories) + 1)
        for controller, names in files.items()
        for name in names
    ]
    there = [path for path in paths if os.path.exists(path)]
    with TemporaryDirectory() as directory:
        program = Floor(Path(directory), [*there, *fleet.networks()], lists_proc=False)
        costs = []
        for _ in range(ROUNDS):
            fleet.work()
            time.sleep(0.05)
            costs.append(program.cpu_seconds(1))
        program.close()
    return fmean(costs)


def main() -> None:
    """Print the table."""
    counts = tuple(map(int, sys.argv[1:])) or COUNTS
    raise_descriptor_limit()
    rows: list[tuple[str, ...]] = []
    ratio = 0.0
    with TemporaryDirectory() as directory:
        program = compile_c("fleet", Path(directory))
        for count in counts:
            fleet = Fleet(program, count)
            try:
                rows.append(_row(count, "jobmeter", measure(fleet)))
                cadvisor = measure(fleet, "--dialect=jobmeter", "--dialect=cadvisor")
                rows.append(_row(count, "jobmeter + cadvisor", cadvisor))
                if count == max(counts):
                    few = measure(fleet, descriptors=FEW_DESCRIPTORS)
                    rows.append(_row(count, f"jobmeter, at most {FEW_DESCRIPTORS:,} descriptors", few))
                    rows += _others(fleet)
                    ratio = ratio_with_more_processes(fleet)
            finally:
                fleet.close()
    head = (
        "containers", "shown", "CPU ms a sample", "CPU ms a scrape", "series", "kB gzipped", "PSS MiB", "descriptors"
    )  # fmt: skip
    table(head, rows)
    print(f"\nbeside {MORE_PROCESSES:,} more processes, in turns: {ratio:.3f} of the CPU time of a sample")


def _others(fleet: Fleet) -> list[tuple[str, ...]]:
    """Of CPU, memory and network alone, and the floors of both."""
    v1 = "cpuacct" in _by_controller()
    return [
        (f"{len(fleet.directories):,}", what, f"{seconds * 1e3:.1f}", *[""] * 5)
        for what, seconds in (
            ("C, the files of a whole sample", floor(fleet, ALL_V1 if v1 else ALL_V2)),
            ("CPU, memory, network alone", reading_of_three(fleet)),
            ("C, the files of these three", floor(fleet, THREE_V1 if v1 else THREE_V2)),
        )
    ]


def _row(count: int, shown: str, found: Measured) -> tuple[str, ...]:
    return (
        f"{count:,}", shown, f"{found.sample * 1e3:.1f}", f"{found.scrape * 1e3:.1f}", f"{found.series:,}",
        f"{found.zipped_bytes / 1e3:.0f}", f"{found.pss_bytes / 2**20:.1f}", f"{found.descriptors:,}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
