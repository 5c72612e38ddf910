"""What the benchmarks share: C programs, idle processes, a plain installation, medians, tables."""

import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).parent.parent
IDLE_PROCESSES = 1000


def compile_c(name: str, directory: Path, *options: str) -> Path:
    """Compile ``bench/NAME.c`` into a directory; where there is no compiler, the program must be on the path."""
    if shutil.which("gcc") is None and (found := shutil.which(name)):
        return Path(found)
    program = directory / name
    subprocess.run(["gcc", "-O2", "-Wall", *options, "-o", program, ROOT / f"bench/{name}.c"], check=True)
    return program


@contextmanager
def idle_processes(
    count: int = IDLE_PROCESSES, enter: Callable[[Sequence[str]], Sequence[str]] = list
) -> Iterator[list[int]]:
    """So many sleeping processes below one parent; ``enter`` may change the command that starts them."""
    with TemporaryDirectory() as directory:
        program = compile_c("idlers", Path(directory))
        parent = subprocess.Popen(
            enter([str(program), str(count)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert parent.stdin
        assert parent.stdout
        try:
            pids = [parent.pid]
            while (line := parent.stdout.readline().strip()).isdecimal():
                pids.append(int(line))
            if line != "ready":
                raise RuntimeError(f"only {len(pids) - 1} of {count} processes could be started")
            yield pids
        finally:
            parent.stdin.close()  # They end with their parent.
            parent.wait()
            parent.stdout.close()


def in_own_pid_namespace(module: str, benchmark: Callable[[], None]) -> None:
    """Start the module again as the first process of a pid namespace, and there call the benchmark."""
    if os.getpid() == 1:
        benchmark()
    else:
        command = [sys.executable, "-m", module, *sys.argv[1:]]
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", *command], check=True)


class Floor:
    """The C program that makes the reads of a tick and nothing else."""

    def __init__(self, directory: Path, files: Sequence[str], *, lists_proc: bool) -> None:
        program = compile_c("tick_floor", directory)
        self._process = subprocess.Popen(
            [program, "list" if lists_proc else "nolist", *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def cpu_seconds(self, ticks: int) -> float:
        """CPU seconds of one tick, of so many."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{ticks}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the program."""
        self._process.communicate()


@contextmanager
def installation() -> Iterator[Path]:
    """The Python of a virtual environment with jobmeter and msgspec alone, compiled as pip leaves it.

    An environment of developers holds more, and `typing_extensions` alone makes msgspec start 8 ms later.
    """
    with TemporaryDirectory(prefix="jobmeter-bench-") as directory:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
        packages = Path(sysconfig.get_path("purelib", "venv", {"base": directory, "platbase": directory}))
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/jobmeter", packages / "jobmeter", ignore=ignore)
        shutil.copytree(Path(msgspec.__file__).parent, packages / "msgspec", ignore=ignore)
        python = Path(directory) / "bin/python"
        subprocess.run([python, "-m", "compileall", "-q", packages], check=True)
        script = Path(directory) / "bin/jobmeter"
        script.write_text(f"#!{python}\nimport sys\nfrom jobmeter.__main__ import entry\nsys.exit(entry())\n")
        script.chmod(0o755)
        yield python


def plain_environ(**more: str) -> dict[str, str]:
    """The environment without what makes Python behave otherwise than installed, or a forge be seen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JOBMETER"))}
    return {name: value for name, value in kept.items() if not name.startswith("GITHUB_")} | more


class Cost(NamedTuple):
    """What a command and all it waited for took, in seconds."""

    wall: float
    cpu: float


def timed(argv: Sequence[str | Path], environ: Mapping[str, str]) -> Cost:
    """Run a command to its end; its output is thrown away."""
    begun = time.perf_counter()
    pid = os.posix_spawn(
        argv[0], [os.fspath(word) for word in argv], environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)],
    )  # fmt: skip
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begun
    if status != 0:
        raise RuntimeError(f"{argv} ended with status {status}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def milliseconds(seconds: Sequence[float]) -> str:
    """Median and lowest, in milliseconds."""
    return f"{median(seconds) * 1e3:.2f} (lowest {min(seconds) * 1e3:.2f})"


def beyond(costs: Sequence[float], floor: Sequence[float]) -> str:
    """What each costs beyond its floor of the same round: the median, and between the lowest, in milliseconds."""
    middle = median([one - other for one, other in zip(costs, floor, strict=True)])
    return f"{middle * 1e3:.1f} (lowest {(min(costs) - min(floor)) * 1e3:.1f})"


def ratio(costs: Sequence[float], floor: Sequence[float], digits: int = 2) -> str:
    """The median of the ratios to the floor of the same round."""
    return f"{median([one / other for one, other in zip(costs, floor, strict=True)]):.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
