"""One tick: everything that is read at one moment, as a sample."""

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from jobmeter.linux.taskstats import ExitRecords
from jobmeter.metering.group import Group, Source
from jobmeter.metering.host import HostReader
from jobmeter.metering.processes import ProcessWatch
from jobmeter.model.errors import SourceUnavailable
from jobmeter.model.rates import MIN_SPAN_SECONDS
from jobmeter.model.readings import ExitRecord
from jobmeter.model.sample import ContainerInfo, ContainerSample, CpuSource, Sample

# Where cgroups give the numbers, the scan of processes serves only the lists: it may cost this share of one CPU.
_SCAN_SHARE = 0.01
# Accounts are read again when the CPU was taken from us for so long meanwhile.
_DISTURBED_SECONDS = 0.003
_READINGS = 4
# But a new container is found by a scan only.
_SCAN_AT_LEAST_EVERY_SECONDS = 10.0
# /proc lacks half a clock tick each of the user and the system time of a live process, as a rule.
_CUT_SECONDS = 0.01
_CUT_SHARE, _CUT_AT_LEAST_SECONDS = 0.01, 0.05
# The CPU use of a process spans at least this time, so the lists say nothing new before; less the jitter of ticks.
_SCAN_SECONDS_APART = MIN_SPAN_SECONDS - 0.02


def open_exit_records(source: Source, warn: Callable[[str], None]) -> ExitRecords | None:
    """Listen to the kernel's exit records where that is possible; ``warn`` says why not, where they were asked for."""
    if source == "proc":
        return None
    try:
        return ExitRecords()
    except SourceUnavailable as error:
        if source == "exit_records":
            warn(f"{error}; CPU time is taken from another source instead.")
        return None


class Groups(Protocol):
    """The groups that are metered, which may come and go."""

    def refresh(self, elapsed: float) -> Iterable[ContainerInfo]:
        """Look at what the last scan found; returns what must be declared anew."""

    def live(self) -> Iterable[Group]:
        """The groups to read at this tick, enclosing ones first."""

    @property
    def orphan_reaper(self) -> int | None:
        """The pid that inherits orphans of several groups, if one does."""


class Meter:
    """Takes samples. ``declare`` is told of each container before its first sample, ``warn`` of what is missing.

    ``scans`` counts how often processes were read.
    """

    def __init__(
        self,
        watch: ProcessWatch,
        groups: Groups,
        host: HostReader,
        *,
        source: Source = "auto",
        exit_records: ExitRecords | None = None,
        declare: Callable[[float, ContainerInfo], None],
        warn: Callable[[str], None],
        cpu_clock: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._groups = groups
        self._host = host
        self._source = source
        self._exit_records = exit_records
        self._declare = declare
        self._warn = warn
        self._cpu_clock = cpu_clock
        self._clock = clock
        self._fastest_reading = math.inf
        self._next_scan = 0.0
        self.scans = 0
        self._unattributed_seconds = 0.0
        self._unattributed_last = 0.0
        self._complete = True
        self._said: set[str] = set()

    def tick(
        self, elapsed: float, due: float, late_ticks: int = 0, *, scan: bool = False, final: bool = False
    ) -> Sample:
        """Read everything now; ``elapsed`` and ``due`` are seconds since the start.

        With ``scan`` the processes are read in any case. The ``final`` tick reads them too, and counts those still
        there among the programs.
        """
        # The accounts first, at the moment that the sample is stamped with: the scan takes a while.
        groups = list(self._groups.live())
        elapsed += self._read_accounts(groups)
        for group in groups:
            if group.lost_tail:
                self.mark_incomplete(
                    f"{group.info.name} ended between two ticks: what it used after the last of them is missing."
                )
            if group.turned_off:
                self._warn(
                    f"A controller was turned off for the cgroup of {group.info.name}: from then on "
                    f"{', '.join(sorted(group.turned_off))} cannot be read."
                )
        host = self._host.read()
        scanned = scan or final or self._scan_is_due(elapsed)
        if scanned:
            self._scan(elapsed)
        for info in self._groups.refresh(elapsed):
            self._declare(elapsed, info)
        known = set(map(id, groups))
        groups += [group for group in self._groups.live() if id(group) not in known]
        containers = [group.sample(self._watch, self._source, scanned) for group in groups]
        samples = tuple(one for one in containers if one is not None)
        sources = {one.cpu_source for one in samples}
        self._note_limits(sources)
        if final:
            self._note_cut_times(samples)
            self._watch.end_all()
        return Sample(
            elapsed_seconds=round(elapsed, 6),
            due_seconds=round(due, 6),
            host=host,
            containers=samples,
            processes=self._watch.take_processes() if scanned else (),
            programs=self._watch.take_programs() if scanned else (),
            unattributed_cpu_seconds=self._unattributed(sources),
            cpu_complete=self._complete,
            meter=self._host.meter(self._read_errors(), late_ticks),
        )

    def _read_accounts(self, groups: Sequence[Group]) -> float:
        """Read them at one moment; returns how much later than now that was.

        A busy machine may take the CPU away from us in between, for longer than an interval: then what was read
        does not belong to the moment that it is stamped with, and is read again.
        """
        begun = before = self._clock()
        for _ in range(_READINGS):
            before = self._clock()
            for group in groups:
                group.read()
            took = (self._clock() - before) / (len(groups) or 1)
            self._fastest_reading = min(self._fastest_reading, took)
            disturbed = (took - 2 * self._fastest_reading) * len(groups) > _DISTURBED_SECONDS
            if not disturbed or any(group.gone for group in groups):
                break
        late = before - begun
        return late if late >= _DISTURBED_SECONDS else 0.0

    def mark_incomplete(self, sentence: str) -> None:
        """CPU time may be missing from now on, for the given reason."""
        self._complete = False
        if sentence not in self._said:
            self._said.add(sentence)
            self._warn(sentence)

    def _scan_is_due(self, elapsed: float) -> bool:
        if self._source in ("proc", "exit_records") or elapsed >= self._next_scan:
            return True
        return not all(group.accounts_cpu() for group in self._groups.live())

    def _scan(self, elapsed: float) -> None:
        begun = self._cpu_clock()
        try:
            self._watch.scan(elapsed, self._groups.orphan_reaper, self._read_records)
        except SourceUnavailable as error:
            self._warn(f"{error}; processes are missing from the result.")
        # The first one opens everything and says nothing of what the next will cost.
        cost = self._cpu_clock() - begun if self.scans else 0.0
        self.scans += 1
        self._next_scan = elapsed + max(
            _SCAN_SECONDS_APART, min(cost / _SCAN_SHARE, _SCAN_AT_LEAST_EVERY_SECONDS)
        )

    def _read_records(self) -> Iterable[ExitRecord]:
        if self._exit_records is None:
            return ()
        records = self._exit_records.read()
        self._watch.records_lost = bool(self._exit_records.lost)
        return records

    def _unattributed(self, sources: set[CpuSource | None]) -> float:
        """A counter of what belongs to no container; where cgroups account for all of them, theirs is whole."""
        now = self._watch.unattributed_seconds
        if sources - {"cgroup"}:
            self._unattributed_seconds += max(0.0, now - self._unattributed_last)
        self._unattributed_last = now
        return round(self._unattributed_seconds, 6)

    def _note_limits(self, sources: set[CpuSource | None]) -> None:
        if "proc" in sources:
            self._note_limits_of_proc()
        if "exit_records" in sources:
            self.mark_incomplete(
                "CPU time by exit records is close but not exact: the kernel writes a record shortly before "
                "the process is gone."
            )
        lost = self._exit_records.lost if self._exit_records else 0
        if lost:
            self._warn("The kernel dropped exit records: the list of programs is not complete.")

    def _note_limits_of_proc(self) -> None:
        if not self._watch.has_reaper:
            self.mark_incomplete(
                "CPU time is a lower bound: /proc does not show what a process leaves to a parent that is not "
                "metered, as each step started by `docker exec` does."
            )
        for name in self._watch.ignoring_sigchld:
            self.mark_incomplete(
                f"CPU time is a lower bound: {name!r} ignores SIGCHLD, so its short-lived children leave "
                f"no trace in /proc."
            )

    def _note_cut_times(self, samples: Sequence[ContainerSample]) -> None:
        """Times of live processes are cut to clock ticks: with many of them that is no longer little."""
        used = sum(one.cpu_seconds or 0.0 for one in samples if one.cpu_source == "proc")
        live = len(self._watch.members())
        if used and live * _CUT_SECONDS > max(_CUT_SHARE * used, _CUT_AT_LEAST_SECONDS):
            self.mark_incomplete(
                f"CPU time is a lower bound: /proc cuts the times of processes that still run to 10 ms, and {live} do."
            )

    def _read_errors(self) -> int:
        readers = [group.reader.read_errors for group in self._groups.live() if group.reader]
        return self._watch.read_errors + self._host.read_errors + sum(readers)

    def close(self) -> None:
        """Give all descriptors back."""
        for group in self._groups.live():
            group.close()
        self._host.close()
        self._watch.close()
        if self._exit_records:
            self._exit_records.close()


def boot_seconds(ticks_per_second: int = os.sysconf("SC_CLK_TCK")) -> float:
    """Seconds since boot, cut to a clock tick as the start times in /proc/PID/stat are."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks_per_second) / ticks_per_second
