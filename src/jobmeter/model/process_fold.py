"""Folds the busiest and largest processes, and all that ended, into the top lists and the programs."""

from collections.abc import Callable, Mapping

from jobmeter.model.marks import are_marks
from jobmeter.model.sample import ProcessSample, ProgramSample
from jobmeter.model.summary import ProcessSummary, ProgramSummary

MAX_PROGRAMS = 500
OTHER_PROGRAMS = "(other programs)"


class _Process:
    __slots__ = (
        "container", "cpu_seconds", "name", "name_at_peak", "peak_cpu_percent", "peak_memory_bytes", "pid",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.name = ""
        self.name_at_peak = ""
        self.container: str | None = None
        self.cpu_seconds = 0.0
        self.peak_cpu_percent: float | None = None
        self.peak_memory_bytes: int | None = None


class ProcessFold:
    """Keeps a bounded number of processes: those that may still be among the first ``top``."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._processes: dict[tuple[int, float], _Process] = {}
        self._programs: dict[str, ProgramSummary] = {}

    def add(self, processes: tuple[ProcessSample, ...], programs: tuple[ProgramSample, ...]) -> None:
        """Take over what one sample says of processes."""
        for sample in processes:
            self._add_process(sample)
        for program in programs:
            self._add_program(program)
        if len(self._processes) > 50 * (self._top + 1):
            self._prune()

    def by_cpu(self, names: Mapping[str, str]) -> list[ProcessSummary]:
        """The first ``top`` by peak CPU use; ``names`` gives the container's name by key."""
        return self._list(lambda one: (one.peak_cpu_percent or 0.0, one.cpu_seconds), names)

    def by_memory(self, names: Mapping[str, str]) -> list[ProcessSummary]:
        """The first ``top`` by peak memory, under the names they had then: exec gives a process another one."""
        return self._list(lambda one: (one.peak_memory_bytes or 0, one.cpu_seconds), names, at_peak=True)

    def programs(self) -> list[ProgramSummary]:
        """All programs, those with the most CPU time first."""
        return sorted(
            self._programs.values(), key=lambda one: (-(one.cpu_seconds or 0), -one.count, one.name)
        )

    def _add_process(self, sample: ProcessSample) -> None:
        identity = (sample.pid, sample.start_seconds)
        if are_marks(sample.name, sample.cpu_seconds):
            self._processes.pop(identity, None)  # It had the name of its interpreter before.
            return
        process = self._processes.get(identity)
        if process is None:
            process = self._processes[identity] = _Process(sample.pid)
        process.name = sample.name
        process.container = sample.container
        process.cpu_seconds = max(process.cpu_seconds, sample.cpu_seconds)
        if sample.recent_seconds > 0:
            percent = 100 * sample.recent_cpu_seconds / sample.recent_seconds
            process.peak_cpu_percent = max(process.peak_cpu_percent or 0.0, percent)
        for memory in (sample.rss_bytes, sample.high_water_bytes):
            if memory is not None and memory > (process.peak_memory_bytes or 0):
                process.peak_memory_bytes = memory
                process.name_at_peak = sample.name

    def _add_program(self, sample: ProgramSample) -> None:
        name = sample.name
        if are_marks(name, sample.cpu_seconds, sample.count):
            return
        if name not in self._programs and len(self._programs) >= MAX_PROGRAMS:
            name = OTHER_PROGRAMS
        program = self._programs.get(name)
        if program is None:
            program = self._programs[name] = ProgramSummary(name=name, count=0, cpu_seconds=0.0)
        program.count += sample.count
        program.cpu_seconds = round((program.cpu_seconds or 0.0) + sample.cpu_seconds, 6)
        if sample.peak_memory_bytes is not None:
            program.peak_memory_bytes = max(program.peak_memory_bytes or 0, sample.peak_memory_bytes)

    def _prune(self) -> None:
        keep = 10 * (self._top + 1)
        ranked = list(self._processes.items())
        by_cpu = sorted(ranked, key=lambda item: item[1].peak_cpu_percent or 0.0, reverse=True)[:keep]
        by_memory = sorted(ranked, key=lambda item: item[1].peak_memory_bytes or 0, reverse=True)[:keep]
        self._processes = dict(by_cpu) | dict(by_memory)

    def _list(
        self,
        key: Callable[[_Process], tuple[float, float]],
        names: Mapping[str, str],
        at_peak: bool = False,
    ) -> list[ProcessSummary]:
        ranked = sorted(self._processes.values(), key=lambda one: (*key(one), -one.pid), reverse=True)
        return [
            ProcessSummary(
                pid=one.pid,
                name=one.name_at_peak if at_peak else one.name,
                container=names.get(one.container) if one.container else None,
                peak_cpu_percent=None if one.peak_cpu_percent is None else round(one.peak_cpu_percent, 1),
                cpu_seconds=round(one.cpu_seconds, 6),
                peak_memory_bytes=one.peak_memory_bytes,
            )
            for one in ranked[: self._top]
            if key(one)[0] > 0
        ]
