"""Text of /proc about the whole machine into values; the source is proc_stat(5)."""

from collections.abc import Mapping
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
