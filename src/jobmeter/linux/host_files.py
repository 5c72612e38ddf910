"""Text of /proc about the whole machine into values; sources are proc_stat(5) and proc_meminfo(5)."""

from collections.abc import Collection, Mapping
from typing import Final

from jobmeter.linux.procfs import TICKS_PER_SECOND
from jobmeter.model.errors import KernelFormatError

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The kernel's, in its order. Time of guests comes behind them and is in ``user`` and ``nice`` already."""


def parse_cpu_modes(text: bytes) -> Mapping[str, float]:
    """Seconds that all CPUs together have spent in each mode, of the first line of /proc/stat."""
    line = text.partition(b"\n")[0]
    name, *fields = line.split() or [b""]
    try:
        if name != b"cpu":
            raise ValueError
        ticks = [int(field) for field in fields[: len(CPU_MODES)]]
        return {mode: ticks[index] / TICKS_PER_SECOND for index, mode in enumerate(CPU_MODES)}
    except (ValueError, IndexError, OverflowError):
        raise KernelFormatError(f"not the first line of /proc/stat: {line[:80]!r}") from None


def parse_memory(text: bytes, names: Collection[str]) -> Mapping[str, int]:
    """Lines of /proc/meminfo in bytes, those of ``names`` that are there."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        known = name.decode("ascii", "replace")
        if known in names:
            try:
                found[known] = int(value.split()[0]) * 1024
            except (ValueError, IndexError):
                raise KernelFormatError(f"not a line of /proc/meminfo: {line[:80]!r}") from None
    return found
