"""The CPU and memory limits that bind a cgroup: its own and those of every visible ancestor."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED, ancestors
from jobmeter.linux.cgroup_spec import read_spec
from jobmeter.linux.files import read_file
from jobmeter.model.account import Bounds
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.readings import CgroupLimits
from jobmeter.model.sample import ByteLimit, Limit


class BoundBy(NamedTuple):
    """The limits, and the directories by controller of the cgroup that the CPU limit is set on."""

    limits: CgroupLimits
    cpu_limit_directories: dict[str, str]


class Levels:
    """The limits that are set on directories; each is read once, as many cgroups lie below the same ones."""

    def __init__(self) -> None:
        self._cpu: dict[str, Limit] = {}
        self._memory: dict[str, ByteLimit] = {}

    def cpu(self, directory: str, controller: str) -> Limit:
        """In cores; None where it cannot be read."""
        if directory not in self._cpu:
            self._cpu[directory] = _cpu_limit(directory, controller)
        return self._cpu[directory]

    def memory(self, directory: str, controller: str) -> ByteLimit:
        """In bytes; None where it cannot be read."""
        if directory not in self._memory:
            self._memory[directory] = _memory_limit(directory, controller)
        return self._memory[directory]


def read_limits(
    directories: Mapping[str, str], tops: Mapping[str, str], levels: Levels | None = None
) -> BoundBy:
    """The lowest limits from each directory up to its mount point ``tops[controller]``.

    A limit is None when no level could be read, "unlimited" when none of them limits. What ``levels`` knows is not
    read again.
    """
    levels = levels or Levels()
    cpu: Limit = None
    cpu_directories: dict[str, str] = {}
    memory: ByteLimit = None
    for controller, level in _upwards("cpu", directories, tops):
        found = levels.cpu(level, controller)
        if _lower(found, cpu):
            cpu, cpu_directories = found, {controller: level}
    for controller, level in _upwards("memory", directories, tops):
        found_bytes = levels.memory(level, controller)
        if _lower(found_bytes, memory):
            memory = found_bytes
    return BoundBy(
        CgroupLimits(cpu_cores=cpu, memory_bytes=memory), cpu_directories if cpu != "unlimited" else {}
    )


def _upwards(
    controller: str, directories: Mapping[str, str], tops: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """The directories of the one hierarchy that has the controller (cgroup-v2.rst, "Mounting"), nearest first."""
    where = controller if controller in directories else UNIFIED
    if where in directories:
        for level in ancestors(directories[where], tops[where]):
            yield where, level


def read_bounds(
    directories: Mapping[str, str],
    tops: Mapping[str, str],
    levels: Levels | None = None,
    *,
    with_spec: bool = False,
) -> Bounds:
    """The limits that bind it, that of its processes included; ``with_spec`` also what is set on it itself."""
    found = read_limits(directories, tops, levels).limits
    return Bounds(
        cpu_cores=found.cpu_cores,
        memory_bytes=found.memory_bytes,
        processes=_processes_limit(directories),
        spec=read_spec(directories) if with_spec else None,
    )


def _processes_limit(directories: Mapping[str, str]) -> ByteLimit:
    for controller in ("pids", UNIFIED):
        if controller in directories:
            try:
                return cgroupfs.parse_byte_limit(read_file(f"{directories[controller]}/pids.max"))
            except (OSError, KernelFormatError):
                continue
    return None


def _lower(found: Limit, lowest: Limit) -> bool:
    if found is None:
        return False
    if lowest is None:
        return True
    if found == "unlimited":
        return False
    return lowest == "unlimited" or found < lowest


def _cpu_limit(directory: str, controller: str) -> Limit:
    try:
        if controller == UNIFIED:
            return cgroupfs.parse_cpu_max(read_file(f"{directory}/cpu.max"))
        quota = read_file(f"{directory}/cpu.cfs_quota_us")
        if cgroupfs.parse_number(quota) < 0:
            return "unlimited"
        return cgroupfs.parse_cfs_quota(quota, read_file(f"{directory}/cpu.cfs_period_us"))
    except (OSError, KernelFormatError):
        return None


def _memory_limit(directory: str, controller: str) -> ByteLimit:
    name = "memory.max" if controller == UNIFIED else "memory.limit_in_bytes"
    try:
        return cgroupfs.parse_byte_limit(read_file(f"{directory}/{name}"))
    except (OSError, KernelFormatError):
        return None
