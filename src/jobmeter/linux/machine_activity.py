"""What happened anywhere on the machine: what did not happen there happened in no cgroup, and need not be read."""

from collections.abc import Callable
from typing import Final

from jobmeter.linux import cgroupfs
from jobmeter.linux.files import read_file
from jobmeter.model.errors import KernelFormatError

OOM_KILLS: Final = "vmstat"
CPU_PRESSURE: Final = "pressure/cpu"
MEMORY_PRESSURE: Final = "pressure/memory"
IO_PRESSURE: Final = "pressure/io"


class MachineActivity:
    """Compares counters of the whole machine below ``root``, which is /proc, with those of the last time.

    Sources: `oom_kill` of /proc/vmstat, which counts each OOM kill before its cgroups do; /proc/pressure (psi.rst),
    whose totals are of all tasks.
    """

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self._last: dict[str, object] = {}
        self._grown: frozenset[str] = frozenset()

    def grown(self) -> frozenset[str]:
        """Which of them grew since this was asked for the last time but one, or cannot be told.

        A cgroup's counter may follow the machine's a moment later, so what grew is told twice.
        """
        before, now = self._grown, set()
        for what, read in _COUNTERS.items():
            count = read(f"{self._root}/{what}")
            if count is None or count != self._last.get(what):
                now.add(what)
            self._last[what] = count
        self._grown = frozenset(now)
        return before | self._grown


def _oom_kills(path: str) -> object:
    try:
        return cgroupfs.parse_flat_keyed(read_file(path), b"oom_kill")[0]
    except (OSError, KernelFormatError):
        return None


def _stall(path: str) -> object:
    try:
        return cgroupfs.parse_pressure(read_file(path))
    except (OSError, KernelFormatError):
        return None


_COUNTERS: Final[dict[str, Callable[[str], object]]] = {
    OOM_KILLS: _oom_kills,
    CPU_PRESSURE: _stall,
    MEMORY_PRESSURE: _stall,
    IO_PRESSURE: _stall,
}
EVERYTHING: Final = frozenset(_COUNTERS)
