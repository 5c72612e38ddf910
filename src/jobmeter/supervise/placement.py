"""Where the command runs: in a cgroup of its own where that may be made, and what bounds it."""

import os
from collections.abc import Callable, Mapping

from jobmeter.linux import procfs
from jobmeter.linux.cgroup_limits import BoundBy, read_limits
from jobmeter.linux.cgroup_mounts import Hierarchy, directories, parse_mountinfo
from jobmeter.linux.cgroup_reader import CgroupReader
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.supervise.job_cgroup import JobCgroup, cgroup_name, own_start_ticks, remove_stale


class Placement:
    """Our own place in the hierarchies, and the command's cgroup below it once it was made."""

    def __init__(self, hierarchies: list[Hierarchy], own_paths: Mapping[str, str]) -> None:
        self._hierarchies = hierarchies
        self._own_paths = own_paths
        self._own = directories(hierarchies, own_paths)
        self.cgroup: JobCgroup | None = None

    @classmethod
    def find(cls, root: str = "/proc") -> "Placement":
        """Where this process is; nowhere when /proc does not tell."""
        try:
            with open(f"{root}/self/mountinfo", errors="replace") as file:
                hierarchies = parse_mountinfo(file.read())
            with open(f"{root}/self/cgroup", "rb") as file:
                paths = procfs.parse_cgroup(file.read())
        except (OSError, KernelFormatError):
            return cls([], {})
        return cls(hierarchies, paths)

    def make_cgroup(self) -> None:
        """Make a cgroup for the command, after removing what killed wrappers left. Raises SourceUnavailable."""
        namespace = os.stat("/proc/self/ns/pid").st_ino
        remove_stale(self._hierarchies, self._own_paths, namespace)
        pid = os.getpid()
        name = cgroup_name(namespace, pid, own_start_ticks(pid) or 0)
        self.cgroup = JobCgroup.create(self._hierarchies, self._own_paths, name)

    def fork(self) -> int:
        """Fork, into the command's cgroup as far as the kernel can."""
        return self.cgroup.fork() if self.cgroup is not None else os.fork()

    def enter(self) -> None:
        """Move the calling process into the command's cgroup, if there is one."""
        if self.cgroup is not None:
            self.cgroup.enter()

    def reader(self) -> CgroupReader | None:
        """The account of the command's cgroup, if there is one."""
        return CgroupReader(self.cgroup.directories) if self.cgroup is not None else None

    def bounds(self) -> tuple[BoundBy, CgroupReader | None]:
        """The limits that bind us, and the account of the cgroup they are set on, which others share."""
        tops = {
            one: hierarchy.mount_point for hierarchy in self._hierarchies for one in hierarchy.controllers
        }
        bound = read_limits(self._own, tops)
        places = {
            one: path for one, path in self._own.items() if one in ("memory", "")
        } | bound.cpu_limit_directories
        return bound, CgroupReader(places) if places else None

    def remove(self) -> list[str]:
        """Remove the command's cgroup; returns the directories that could not be removed."""
        cgroup, self.cgroup = self.cgroup, None
        return cgroup.remove() if cgroup is not None else []


def try_cgroup(placement: Placement, warn: Callable[[str], None] | None) -> None:
    """Make a cgroup where it may be; ``warn`` says why not, where the user asked for one."""
    try:
        placement.make_cgroup()
    except SourceUnavailable as error:
        if warn is not None:
            warn(f"{error}; CPU time is taken from /proc instead.")
