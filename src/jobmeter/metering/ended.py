"""Processes that ended since the last tick: all of them by program, the busiest and largest one by one."""

import heapq

from jobmeter.model.exit_ledger import Ended
from jobmeter.model.process_fold import OTHER_PROGRAMS
from jobmeter.model.rates import MIN_SPAN_SECONDS
from jobmeter.model.sample import ProcessSample, ProgramSample

# Names of one sample; a job that starts thousands of programs of different names must not make a record too large.
_MAX_PROGRAMS = 500


class EndedProcesses:
    """Collects what ended between two samples; at most ``top`` of the busiest and of the largest are kept."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._programs: dict[str, ProgramSample] = {}
        self._processes: list[ProcessSample] = []

    def count(self, name: str, cpu_seconds: float, memory_bytes: int | None) -> None:
        """One process of a program ended."""
        if name not in self._programs and len(self._programs) >= _MAX_PROGRAMS:
            name = OTHER_PROGRAMS
        before = self._programs.get(name)
        peak = max(memory_bytes or 0, (before.peak_memory_bytes or 0) if before else 0)
        self._programs[name] = ProgramSample(
            name=name,
            count=1 + (before.count if before else 0),
            cpu_seconds=round(cpu_seconds + (before.cpu_seconds if before else 0.0), 6),
            peak_memory_bytes=peak or None,
        )

    def add(self, ended: Ended, group: str, start_seconds: float) -> None:
        """A process of which there is an exit record ended; ``start_seconds`` is since boot."""
        cpu_seconds = ended.user_seconds + ended.system_seconds
        self.count(ended.name, cpu_seconds, ended.high_water_bytes or None)
        spans = ended.lifetime_seconds >= MIN_SPAN_SECONDS
        # Times in exit records are sampled ticks, so they may come to more than there was time for.
        possible = min(cpu_seconds, ended.lifetime_seconds * ended.threads)
        self._processes.append(
            ProcessSample(
                pid=ended.pid,
                start_seconds=start_seconds,
                name=ended.name,
                container=group,
                cpu_seconds=round(cpu_seconds, 6),
                recent_cpu_seconds=round(possible, 6) if spans else 0.0,
                recent_seconds=round(ended.lifetime_seconds, 6) if spans else 0.0,
                high_water_bytes=ended.high_water_bytes or None,
            )
        )
        if len(self._processes) > 4 * (self._top + 1):
            self._processes = self._best()

    def take_programs(self) -> tuple[ProgramSample, ...]:
        """The programs since the last call."""
        taken, self._programs = tuple(self._programs.values()), {}
        return taken

    def take_processes(self) -> list[ProcessSample]:
        """The busiest and the largest since the last call."""
        taken, self._processes = self._best(), []
        return taken

    def _best(self) -> list[ProcessSample]:
        busiest = heapq.nlargest(self._top, self._processes, key=lambda one: one.cpu_seconds)
        largest = heapq.nlargest(self._top, self._processes, key=lambda one: one.high_water_bytes or 0)
        return list({id(one): one for one in (*busiest, *largest)}.values())
