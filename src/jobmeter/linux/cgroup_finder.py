"""Finds the directories of a container's cgroup, as seen from wherever the meter runs.

Three views are tried: a host's cgroup file system that was mounted for us, our own mounts, and the
container's own view through /proc/PID/root (same uid and no fewer capabilities, or CAP_SYS_PTRACE).
A directory counts only when it holds the process it was looked up for.
"""

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct

from jobmeter.linux.cgroup_mounts import UNIFIED, Hierarchy, directories, hierarchies_below, parse_mountinfo
from jobmeter.model.errors import KernelFormatError, SourceUnavailable

_MAX_DIRECTORIES = 4096
_MAX_INNER = 64


class CgroupPlace(Struct, frozen=True):
    """Directories by controller (``""`` is unified), the mount points that bound them, and the view they are of."""

    directories: dict[str, str]
    tops: dict[str, str]
    view: str


class CgroupFinder:
    """Looks cgroups up. ``host_path`` is a host's /sys/fs/cgroup mounted for us, if any."""

    def __init__(self, root: str = "/proc", host_path: str | None = None) -> None:
        self._root = root
        self._own = self._own_mounts()
        self._host = hierarchies_below(host_path) if host_path else []
        self._host_path = host_path

    def find(self, pid: int, paths: Mapping[str, str], container_path: str) -> CgroupPlace | None:
        """The cgroup of the container at ``container_path`` that ``pid`` is in; None where none is readable.

        ``paths`` is what /proc/PID/cgroup says, by controller; the container's directory may lie above.
        """
        container_paths = {key: _cut(path, container_path) for key, path in paths.items()}
        for view, hierarchies in (("host", self._host), ("own", self._own)):
            place = self._place(view, hierarchies, directories(hierarchies, container_paths), pid)
            if place is not None:
                return place
        return self._by_name(pid, container_path) or self._through_root(pid)

    def _own_mounts(self) -> list[Hierarchy]:
        try:
            with open(f"{self._root}/self/mountinfo", errors="replace") as file:
                return parse_mountinfo(file.read())
        except (OSError, KernelFormatError):
            return []

    def _place(
        self, view: str, hierarchies: list[Hierarchy], found: Mapping[str, str], pid: int
    ) -> CgroupPlace | None:
        """The directories that really hold the process; one that does not is another namespace's."""
        tops = {one: hierarchy.mount_point for hierarchy in hierarchies for one in hierarchy.controllers}
        held = {key: path for key, path in found.items() if path != tops[key] and _holds(path, pid)}
        if view == "root":
            held = {key: path for key, path in found.items() if _holds(path, pid)}
        if "cpuacct" not in held and UNIFIED not in held:
            return None
        return CgroupPlace(held, {key: tops[key] for key in held}, view)

    def _by_name(self, pid: int, container_path: str) -> CgroupPlace | None:
        """In a host's file system whose paths we see only from within a cgroup namespace: by the last name."""
        name = os.path.basename(container_path)
        if not name or not self._host:
            return None
        found: dict[str, str] = {}
        for hierarchy in self._host:
            for directory in _walk(hierarchy.mount_point, _MAX_DIRECTORIES):
                if os.path.basename(directory) == name and _holds(directory, pid):
                    found.update(dict.fromkeys(hierarchy.controllers, directory))
                    break
        return self._place("host", self._host, found, pid)

    def _through_root(self, pid: int) -> CgroupPlace | None:
        base = f"{self._root}/{pid}/root/sys/fs/cgroup"
        try:
            hierarchies = hierarchies_below(base)
        except SourceUnavailable:
            return None
        found = {one: hierarchy.mount_point for hierarchy in hierarchies for one in hierarchy.controllers}
        return self._place("root", hierarchies, found, pid)


def _cut(path: str, container_path: str) -> str:
    """The container's part of a process's path, where it lies below the container's directory."""
    return container_path if path == container_path or path.startswith(container_path + "/") else path


def _holds(directory: str, pid: int) -> bool:
    wanted = str(pid)
    for inner in _walk(directory, _MAX_INNER):
        try:
            with open(f"{inner}/cgroup.procs") as file:
                if wanted in file.read().split():
                    return True
        except OSError:
            continue
    return False


def _walk(top: str, limit: int) -> Iterator[str]:
    """Directories from ``top`` downwards, breadth first, at most ``limit``."""
    waiting = [top]
    for _ in range(limit):
        if not waiting:
            return
        directory = waiting.pop(0)
        yield directory
        try:
            with os.scandir(directory) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
