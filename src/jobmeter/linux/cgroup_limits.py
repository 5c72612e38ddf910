"""The CPU and memory limits that bind a cgroup: its own and those of every visible ancestor."""

from collections.abc import Mapping
from typing import NamedTuple

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED, ancestors
from jobmeter.linux.cgroup_spec import read_spec
from jobmeter.model.account import Bounds
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.readings import CgroupLimits
from jobmeter.model.sample import ByteLimit, Limit


class BoundBy(NamedTuple):
    """The limits, and the directories by controller of the cgroup that the CPU limit is set on."""

    limits: CgroupLimits
    cpu_limit_directories: dict[str, str]


def read_limits(directories: Mapping[str, str], tops: Mapping[str, str]) -> BoundBy:
    """The lowest limits from each directory up to its mount point ``tops[controller]``.

    A limit is None when no level could be read, "unlimited" when none of them limits.
    """
    cpu: Limit = None
    cpu_directories: dict[str, str] = {}
    memory: ByteLimit = None
    for controller, directory in directories.items():
        if controller not in ("cpu", "memory", UNIFIED):
            continue
        for level in ancestors(directory, tops[controller]):
            if controller in ("cpu", UNIFIED):
                found = _cpu_limit(level, controller)
                if _lower(found, cpu):
                    cpu, cpu_directories = found, {controller: level}
            if controller in ("memory", UNIFIED):
                found_bytes = _memory_limit(level, controller)
                if _lower(found_bytes, memory):
                    memory = found_bytes
    return BoundBy(
        CgroupLimits(cpu_cores=cpu, memory_bytes=memory), cpu_directories if cpu != "unlimited" else {}
    )


def read_bounds(
    directories: Mapping[str, str], tops: Mapping[str, str], *, with_spec: bool = False
) -> Bounds:
    """The limits that bind it, that of its processes included; ``with_spec`` also what is set on it itself."""
    found = read_limits(directories, tops).limits
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
                return cgroupfs.parse_byte_limit(_read(f"{directories[controller]}/pids.max"))
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
            return cgroupfs.parse_cpu_max(_read(f"{directory}/cpu.max"))
        quota, period = _read(f"{directory}/cpu.cfs_quota_us"), _read(f"{directory}/cpu.cfs_period_us")
        return cgroupfs.parse_cfs_quota(quota, period)
    except (OSError, KernelFormatError):
        return None


def _memory_limit(directory: str, controller: str) -> ByteLimit:
    name = "memory.max" if controller == UNIFIED else "memory.limit_in_bytes"
    try:
        return cgroupfs.parse_byte_limit(_read(f"{directory}/{name}"))
    except (OSError, KernelFormatError):
        return None


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(4096)
