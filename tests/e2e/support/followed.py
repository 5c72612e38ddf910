"""The kernel's account of launched jobs, in which jobmeter has no part: cgroups followed until somebody removes them.

`python -m tests.e2e.support.followed NAME` follows those beside its own whose names have NAME in them, one after the
other, and prints a line of JSON when one is gone. It looks each millisecond, before all other processes where it may: a
reading of a cgroup without processes is the last word on it. CPU time is that of the unified hierarchy where there is
one; beside version 1 jobmeter reads the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.e2e.support.cgroup import V2, own_cgroups
from tests.e2e.support.components import jobmeter_environment

EACH_SECONDS = 0.001
_SOURCES: tuple[tuple[str, str, str, Callable[[bytes], float]], ...] = (
    (V2, "cpu.stat", "cpu_seconds", lambda text: int(text.split()[1]) / 1e6),
    ("cpuacct", "cpuacct.usage", "cpu_seconds", lambda text: int(text) / 1e9),
    ("memory", "memory.max_usage_in_bytes", "memory_peak_bytes", int),
    (V2, "memory.peak", "memory_peak_bytes", int),
)
"""Of a field the first that is there."""
_BYTES = 65536


class Account(NamedTuple):
    """Of one cgroup as it was last read; ``whole``: nothing was in it any more by then."""

    name: str
    cpu_seconds: float = 0.0
    memory_peak_bytes: float | None = None
    whole: bool = False


@contextmanager
def following(name: str) -> Iterator[Iterator[Account]]:
    """The accounts of cgroups that are gone, each as soon as it is."""
    command = [sys.executable, "-m", __spec__.name, name]
    with subprocess.Popen(command, env=jobmeter_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield (Account(**json.loads(line)) for line in process.stdout)
        finally:
            process.kill()


def follow(name: str, directories: dict[str, Path]) -> Account:
    """One that is there, until it is not."""
    account = Account(name)
    with ExitStack() as stack:
        processes = [_opened(path / "cgroup.procs", stack) for path in directories.values()]
        files = {
            field: (_opened(path, stack), parse) for path, field, parse in reversed(_sources(directories))
        }
        with suppress(OSError):
            while True:
                # Looked for first: what is read after the last of them has ended stays as it is.
                whole = not any(os.pread(one, _BYTES, 0) for one in processes)
                read = {field: parse(os.pread(one, _BYTES, 0)) for field, (one, parse) in files.items()}
                account = Account(name, whole=whole, **read)
                time.sleep(EACH_SECONDS)
    return account


def _opened(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _sources(directories: dict[str, Path]) -> list[tuple[Path, str, Callable[[bytes], float]]]:
    there = [
        (directories[key] / file, field, parse) for key, file, field, parse in _SOURCES if key in directories
    ]
    return [one for one in there if one[0].exists()]


def main(name: str) -> None:
    """Until it is killed."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    own = own_cgroups()
    parents = {key: own[key] for key in ("cpuacct", "memory", V2) if key in own}
    watched = parents.get("cpuacct", parents[V2])
    print("ready", flush=True)
    while True:
        for found in [one for one in os.listdir(watched) if name in one]:
            with suppress(FileNotFoundError):
                account = follow(found, {key: path / found for key, path in parents.items()})
                print(json.dumps(account._asdict()), flush=True)
        time.sleep(EACH_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
