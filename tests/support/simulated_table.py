"""A ProcessTable over a simulated kernel, in which processes go on living between two reads of one scan."""

from __future__ import annotations

from collections.abc import Callable

from jobmeter.linux.process_table import ProcessTable, _Entry
from jobmeter.linux.procfs import parse_stat
from jobmeter.model.readings import ProcessReading
from tests.support.kernel import Kernel


class SimulatedTable(ProcessTable):
    """The scan is the real one; only the three methods that touch files are replaced.

    ``meanwhile`` is called before each of them. A kept descriptor fails once its process is gone, also
    when its pid was given away again.
    """

    def __init__(
        self,
        kernel: Kernel,
        meanwhile: Callable[[], None],
        wanted: Callable[[ProcessReading], bool] | None = None,
    ) -> None:
        super().__init__("nowhere", wanted=wanted)
        self._kernel = kernel
        self._meanwhile = meanwhile

    def _list(self, again: bool = False) -> set[int] | None:
        self._meanwhile()
        return set(self._kernel.listed())

    def _read(self, entry: _Entry) -> bytes | None:
        self._meanwhile()
        task = self._kernel.tasks.get(entry.reading.pid)
        if (
            task is None
            or parse_stat(self._kernel.stat(task.pid)).start_seconds != entry.reading.start_seconds
        ):
            return None
        return self._kernel.stat(task.pid)

    def _open(self, pid: int) -> _Entry | None:
        self._meanwhile()
        if pid not in self._kernel.tasks:
            return None
        line = self._kernel.stat(pid)
        return _Entry(None, line, parse_stat(line))
