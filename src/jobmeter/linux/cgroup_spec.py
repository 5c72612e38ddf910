"""What is set on one cgroup: its weight, its CPU quota, its limits of memory (cgroup-v2.rst; cgroup-v1 folder)."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from jobmeter.linux import cgroupfs
from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.linux.files import read_file
from jobmeter.model.account import Spec
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.sample import ByteLimit

_Value = TypeVar("_Value")

# cpu.weight of v2 (1 to 10000) in the cpu.shares of v1 (2 to 262144), as container runtimes convert between them.
_SHARES_PER_WEIGHT = (262144 - 2) / (10000 - 1)
_MEMORY_V1 = ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes")
_MEMORY_V2 = ("memory.max", "memory.min", "memory.swap.max")


def read_spec(directories: Mapping[str, str]) -> Spec:
    """The settings of the cgroup whose directories are given by controller; ``""`` is the unified hierarchy."""
    unified = directories.get(UNIFIED)
    cpu, memory = directories.get("cpu"), directories.get("memory")
    shares, quota, period = _cpu_v1(cpu) if cpu is not None else _cpu_v2(unified)
    limit, reservation, swap = (
        _read(unified if memory is None else memory, name, cgroupfs.parse_byte_limit)
        for name in (_MEMORY_V2 if memory is None else _MEMORY_V1)
    )
    return Spec(
        cpu_shares=shares,
        cpu_period_microseconds=period,
        cpu_quota_microseconds=quota,
        memory_limit_bytes=limit,
        memory_reservation_bytes=reservation,
        memory_swap_limit_bytes=swap,
    )


def _cpu_v1(directory: str) -> tuple[int | None, ByteLimit, int | None]:
    quota = _read(directory, "cpu.cfs_quota_us", cgroupfs.parse_number)
    return (
        _read(directory, "cpu.shares", cgroupfs.parse_number),
        "unlimited" if quota is not None and quota < 0 else quota,
        _read(directory, "cpu.cfs_period_us", cgroupfs.parse_number),
    )


def _cpu_v2(directory: str | None) -> tuple[int | None, ByteLimit, int | None]:
    weight = _read(directory, "cpu.weight", cgroupfs.parse_number)
    quota, period = _read(directory, "cpu.max", cgroupfs.parse_cpu_quota) or (None, None)
    return int(2 + (weight - 1) * _SHARES_PER_WEIGHT) if weight is not None else None, quota, period


def _read(directory: str | None, name: str, parse: Callable[[bytes], _Value]) -> _Value | None:
    """What a file says; None where it is not there or cannot be understood."""
    if directory is None:
        return None
    try:
        return parse(read_file(f"{directory}/{name}"))
    except (OSError, KernelFormatError):
        return None
