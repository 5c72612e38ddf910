"""The cgroup that a command runs in: a child of our own in each hierarchy, so that no limit is escaped."""

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping

from jobmeter.linux.cgroup_mounts import UNIFIED, Hierarchy, directories
from jobmeter.model.errors import SourceUnavailable
from jobmeter.supervise.clone import clone_into

# Hierarchies of v1 that only keep accounts; a child in the cpu hierarchy would change scheduling.
_V1_ACCOUNTS = ("cpuacct", "memory", "pids")
_V2_ACCOUNTS = ("memory", "pids", "io")
_NAME = re.compile(r"jobmeter-(\d+)-(\d+)-(\d+)")
_MOVE_ROUNDS = 20
_PAUSE_SECONDS = 0.001  # Once more of it before each round.


class JobCgroup:
    """Directories by controller (``""`` is the unified hierarchy), each with its parent.

    Made by ``create``; entered by the command between fork and exec; removed by ``remove``, which
    moves survivors back to where they would have been.
    """

    def __init__(self, parents: Mapping[str, str], name: str) -> None:
        self._parents = dict(parents)
        self.directories = {controller: f"{parent}/{name}" for controller, parent in parents.items()}
        self._enabled: list[str] = []
        self._born_inside = False

    @classmethod
    def create(cls, hierarchies: Iterable[Hierarchy], own_paths: Mapping[str, str], name: str) -> "JobCgroup":
        """Make the cgroup ``name`` below our own; raises SourceUnavailable when no CPU account can be had so."""
        visible = directories(hierarchies, own_paths)
        parents = {one: visible[one] for one in (*_V1_ACCOUNTS, UNIFIED) if one in visible}
        made = cls({}, name)
        reasons: list[str] = []
        for controller, parent in parents.items():
            try:
                os.mkdir(f"{parent}/{name}")
            except OSError as error:
                reasons.append(f"{parent}: {error.strerror}")
                continue
            made._parents[controller] = parent
            made.directories[controller] = f"{parent}/{name}"
        if UNIFIED in made.directories:
            made._enable_controllers()
        if not made._accounts_cpu():
            made.remove()
            raise SourceUnavailable(
                f"no cgroup can be made for the command ({'; '.join(reasons) or 'no hierarchy is visible'})"
            )
        return made

    @classmethod
    def at(cls, made: Mapping[str, str]) -> "JobCgroup":
        """One that others have made and will remove, at these directories by controller."""
        cgroup = cls({}, "")
        cgroup.directories = dict(made)
        return cgroup

    def fork(self) -> int:
        """As os.fork(), but the child begins in the unified cgroup where the kernel can do that; for ``enter``."""
        unified = self.directories.get(UNIFIED)
        if unified is not None:
            with contextlib.suppress(OSError):
                pid = clone_into(unified)
                self._born_inside = pid == 0
                return pid
        return os.fork()

    def enter(self) -> None:
        """Move the calling process, which has one thread, in; called between fork and exec."""
        for controller, directory in self.directories.items():
            if controller != UNIFIED:
                # A thread moves itself at once; a process waits until no fork is under way.
                _write(f"{directory}/tasks", "0")
            elif not self._born_inside:
                _write(f"{directory}/cgroup.procs", "0")

    def processes(self) -> set[int]:
        """The pids in it and in cgroups below it."""
        return {
            pid for top in self.directories.values() for inner, _, _ in os.walk(top) for pid in _pids(inner)
        }

    def remove(self) -> list[str]:
        """Move what is left back to the parents and remove every directory; returns those that could not be."""
        left = []
        for controller, directory in self.directories.items():
            if not _empty_and_remove(directory, self._parents[controller]):
                left.append(directory)
        self._disable_controllers()
        return left

    def _accounts_cpu(self) -> bool:
        unified = self.directories.get(UNIFIED)
        return "cpuacct" in self.directories or (
            unified is not None and os.path.exists(f"{unified}/cpu.stat")
        )

    def _enable_controllers(self) -> None:
        """Turn accounts on for children where that is possible: in the root, which may hold processes too.

        Elsewhere the kernel refuses, except for controllers of threads (pids): with one of those a cgroup with
        processes turns into the root of a threaded tree, and no process can enter its children.
        """
        parent = self._parents[UNIFIED]
        if os.path.exists(f"{parent}/cgroup.type"):
            return  # Only the root has none.
        available = _read(f"{parent}/cgroup.controllers").split()
        enabled = _read(f"{parent}/cgroup.subtree_control").split()
        for controller in _V2_ACCOUNTS:
            if controller in available and controller not in enabled:
                with contextlib.suppress(OSError):
                    _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
                    self._enabled.append(controller)

    def _disable_controllers(self) -> None:
        parent = self._parents.get(UNIFIED)
        if parent is None or not self._enabled:
            return
        with os.scandir(parent) as entries:
            if any(entry.is_dir() for entry in entries):
                return  # Another cgroup below the same parent may need them by now.
        for controller in self._enabled:
            with contextlib.suppress(OSError):
                _write(f"{parent}/cgroup.subtree_control", f"-{controller}")


def cgroup_name(pid_namespace: int, pid: int, start_ticks: int) -> str:
    """The name of a run's cgroup, which says whose it is: a wrapper is known by pid and start time."""
    return f"jobmeter-{pid_namespace}-{pid}-{start_ticks}"


def remove_stale(hierarchies: Iterable[Hierarchy], own_paths: Mapping[str, str], pid_namespace: int) -> None:
    """Remove what wrappers left that were killed: cgroups below our own whose owner is gone."""
    for parent in set(directories(hierarchies, own_paths).values()):
        try:
            names = os.listdir(parent)
        except OSError:
            continue
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            if int(match[1]) != pid_namespace:
                # Of another pid namespace: only an empty one of a namespace that is gone is surely left over.
                if not _namespace_lives(int(match[1])):
                    _remove_tree(f"{parent}/{name}")
            elif not _alive(int(match[2]), int(match[3])):
                _empty_and_remove(f"{parent}/{name}", parent)


def own_start_ticks(pid: int, root: str = "/proc") -> int | None:
    """The start time of a process in clock ticks since boot; None when there is none."""
    try:
        with open(f"{root}/{pid}/stat", "rb", buffering=0) as file:
            line = file.read(1024)
        return int(line[line.rfind(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _namespace_lives(inode: int, root: str = "/proc") -> bool:
    """True unless every process seen is in another pid namespace; one that cannot be told counts as in it."""
    for name in os.listdir(root):
        if name.isdecimal():
            try:
                if os.stat(f"{root}/{name}/ns/pid").st_ino == inode:
                    return True
            except FileNotFoundError:
                continue
            except OSError:
                return True
    return False


def _alive(pid: int, start_ticks: int) -> bool:
    return own_start_ticks(pid) == start_ticks


def _empty_and_remove(directory: str, parent: str) -> bool:
    """Move all processes to ``parent`` and remove the tree; what was forked meanwhile is moved in the next round.

    The kernel does not move a process that is about to exit (``cgroup_migrate_add_task``): it gets the time to,
    0.2 s at most in all.
    """
    for attempt in range(_MOVE_ROUNDS):
        time.sleep(attempt * _PAUSE_SECONDS)
        found = [pid for inner, _, _ in os.walk(directory) for pid in _pids(inner)]
        for pid in found:
            with contextlib.suppress(OSError):
                _write(f"{parent}/cgroup.procs", str(pid))
        if not found and _remove_tree(directory):
            return True
    return not os.path.isdir(directory)


def _pids(directory: str) -> list[int]:
    try:
        return [int(pid) for pid in _read(f"{directory}/cgroup.procs").split() if pid != "0"]
    except OSError:
        return []


def _remove_tree(directory: str) -> bool:
    try:
        for inner, _, _ in os.walk(directory, topdown=False):
            os.rmdir(inner)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
