"""A cgroup that a test owns: an account of CPU and memory that jobmeter has no part in.

Works with cgroup v1, v2 and both side by side. Needs the standard library alone, so that it also works in
the guest of `support.vm`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

V2 = "v2"
"""The key of the unified hierarchy among the paths of a cgroup; the others are v1 controllers."""

V1_CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")
"""A process enters these hierarchies one by one, then the unified one. What it uses in between is in one
account only, so those of CPU time come last: they differ by some hundred microseconds at most.
"""

CPU_PERIOD_USEC = 100_000
REMOVAL_SECONDS = 5.0

ENTER_AND_EXEC = 'set -e; while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
"""Moves the shell into each directory before `--`, then becomes the command after it."""


def own_cgroups(proc: Path = Path("/proc")) -> dict[str, Path]:
    """The directory of the calling process in each hierarchy: a v1 controller's name or `V2` -> path."""
    mounts = _cgroup_mounts((proc / "self/mountinfo").read_text())
    directories = {}
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if controllers else [V2]:
            if controller in mounts:
                root, mount_point = mounts[controller]
                directories[controller] = mount_point / os.path.relpath(path, root)
    return directories


def _cgroup_mounts(mountinfo: str) -> dict[str, tuple[str, Path]]:
    """A v1 controller's name or `V2` -> (the path inside the hierarchy that is mounted, where)."""
    mounts = {}
    for line in mountinfo.splitlines():
        before, after = line.split(" - ", 1)
        root, mount_point = before.split()[3:5]
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            mounts[V2] = (root, Path(mount_point))
        elif kind == "cgroup":
            mounts |= {option: (root, Path(mount_point)) for option in options.split(",")}
    return mounts


@dataclass(frozen=True)
class Cgroup:
    """One child of the caller's own cgroup in each hierarchy.

    `paths` maps a v1 controller's name or `V2` to the directory there.
    Values that the kernel does not offer are None.
    """

    paths: Mapping[str, Path]

    @classmethod
    def create(cls, name: str | None = None, controllers: Iterable[str] = V1_CONTROLLERS) -> Cgroup:
        """Make a cgroup in the unified hierarchy and in those of `controllers`, named uniquely by default."""
        name = name or f"jobmeter-test-{uuid4().hex[:12]}"
        own = own_cgroups()
        paths = {key: own[key] / name for key in (*controllers, V2) if key in own}
        for path in paths.values():
            path.mkdir(exist_ok=True)  # co-mounted v1 controllers share their directory
        return cls(paths)

    # --- what runs inside

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` preceded by what moves it into this cgroup first; pid and standard streams stay the same."""
        return ["/bin/sh", "-c", ENTER_AND_EXEC, "sh", *map(str, self.paths.values()), "--", *argv]

    def spawn(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start `argv` inside; `options` are those of `subprocess.Popen`."""
        return subprocess.Popen(self.command(argv), **options)

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run `argv` inside to its end; `options` are those of `subprocess.run`."""
        return subprocess.run(self.command(argv), check=False, **options)

    def pids(self) -> set[int]:
        """Every process inside, in any hierarchy, those of child cgroups included."""
        return {pid for path in self.paths.values() for directory in _tree(path) for pid in _pids(directory)}

    def children(self) -> list[Path]:
        """The cgroups below this one, in all hierarchies."""
        return [directory for path in self.paths.values() for directory in _tree(path) if directory != path]

    # --- accounts

    def cpu_seconds(self) -> float:
        """CPU time used so far: `cpuacct.usage` where there is one, else `cpu.stat`."""
        nanoseconds = self.cpuacct_usage_ns()
        return nanoseconds / 1e9 if nanoseconds is not None else self.cpu_stat()["usage_usec"] / 1e6

    def cpuacct_usage_ns(self) -> int | None:
        """CPU time by cgroup v1."""
        return self._number("cpuacct", "cpuacct.usage")

    def cpu_stat(self) -> dict[str, int]:
        """CPU time by cgroup v2 (`usage_usec`, `user_usec`, `system_usec`; more with the cpu controller)."""
        return self._table(V2, "cpu.stat")

    def throttling(self) -> dict[str, int]:
        """`cpu.stat` where CPU is limited (`nr_throttled`; v1 `throttled_time`, v2 `throttled_usec`)."""
        return self._table("cpu" if "cpu" in self.paths else V2, "cpu.stat")

    def memory_bytes(self) -> int | None:
        """Memory charged now."""
        return self._either_number("memory.usage_in_bytes", "memory.current")

    def memory_peak_bytes(self) -> int | None:
        """The most memory ever charged, page cache included."""
        return self._either_number("memory.max_usage_in_bytes", "memory.peak")

    def memory_stat(self) -> dict[str, int]:
        """`memory.stat`, empty without a memory controller."""
        return self._table("memory" if "memory" in self.paths else V2, "memory.stat")

    def oom_kills(self) -> int | None:
        """Processes killed for want of memory."""
        if "memory" in self.paths:
            return self._table("memory", "memory.oom_control").get("oom_kill")
        return self._table(V2, "memory.events").get("oom_kill")

    # --- limits

    def limit_cpu(self, cores: float) -> None:
        """Allow `cores` of CPU, by CFS quota."""
        quota = round(cores * CPU_PERIOD_USEC)
        if "cpu" in self.paths:
            (self.paths["cpu"] / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_USEC))
            (self.paths["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self.paths[V2] / "cpu.max").write_text(f"{quota} {CPU_PERIOD_USEC}")

    def limit_memory(self, limit_bytes: int) -> None:
        """Allow `limit_bytes` of memory."""
        self._limit_file("memory", "memory.limit_in_bytes", "memory.max").write_text(str(limit_bytes))

    def limit_pids(self, count: int) -> None:
        """Allow `count` processes and threads."""
        self._limit_file("pids", "pids.max", "pids.max").write_text(str(count))

    # --- the end

    def remove(self) -> None:
        """Kill what still runs inside and remove the cgroup with all its children."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while not self._try_remove():
            if time.monotonic() > deadline:
                raise TimeoutError(f"cgroup not empty after {REMOVAL_SECONDS} s: {dict(self.paths)}")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _try_remove(self) -> bool:
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return all(remove_tree(path) for path in self.paths.values())

    def _limit_file(self, controller: str, v1_file: str, v2_file: str) -> Path:
        return self.paths[controller] / v1_file if controller in self.paths else self.paths[V2] / v2_file

    def _either_number(self, v1_file: str, v2_file: str) -> int | None:
        return self._number("memory", v1_file) if "memory" in self.paths else self._number(V2, v2_file)

    def _number(self, key: str, file: str) -> int | None:
        text = self._text(key, file)
        return int(text) if text is not None else None

    def _table(self, key: str, file: str) -> dict[str, int]:
        pairs = (line.split() for line in (self._text(key, file) or "").splitlines())
        return {name: int(value) for name, value in pairs}

    def _text(self, key: str, file: str) -> str | None:
        if key not in self.paths:
            return None
        try:
            return (self.paths[key] / file).read_text()
        except FileNotFoundError:
            return None


def remove_tree(path: Path) -> bool:
    """Remove an empty cgroup and its empty children; false if a process is still inside."""
    try:
        for directory in reversed(_tree(path)):
            directory.rmdir()
    except FileNotFoundError:
        return not path.exists()
    except OSError:  # EBUSY: a process is still inside
        return False
    return True


def _tree(path: Path) -> list[Path]:
    """The directory `path` and all below it, parents first."""
    return [Path(directory) for directory, _, _ in os.walk(path)]


def _pids(directory: Path) -> list[int]:
    try:
        return [int(pid) for pid in (directory / "cgroup.procs").read_text().split()]
    except OSError:  # the cgroup went away, or cannot hold processes
        return []
