"""Folds the readings of one container into its summary."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from jobmeter.model.rates import MIN_SPAN_SECONDS, RateWindow, delta, usual_span
from jobmeter.model.sample import ContainerInfo, ContainerSample, CpuSource, MemorySource, Pressure, Stall
from jobmeter.model.statistics import Series, Statistic
from jobmeter.model.summary import ContainerSummary

# A cgroup's account is in microseconds, so its rates may span a single short tick.
_CGROUP_SPAN_SECONDS = 0.04
# User and system time are parts of the total when they miss it by no more than this share, and rounding.
_PARTS_APART, _PARTS_APART_SECONDS = 0.01, 2e-5

_NO_GROWTH = dict.fromkeys(
    (
        *("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds", "throttled_seconds", "pressure"),
        *("io_read_bytes", "io_write_bytes", "network_rx_bytes", "network_tx_bytes"),
    )
)


class ContainerRates(NamedTuple):
    """What one sample says in rates, for the timeline; None where nothing could be told."""

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    throttled_ratio: float | None = None
    cpu_stall_ratio: float | None = None
    memory_stall_ratio: float | None = None
    io_stall_ratio: float | None = None


class _Growth:
    """The growth of one counter within the run, across restarts of the counter."""

    def __init__(self, last: float | None) -> None:
        self.total: float | None = None
        self.recent: float | None = None
        self.fell = False
        self._last = last
        self._missed = False
        self._may_be_new = False

    def add(self, value: float | None) -> None:
        if value is not None and self._may_be_new:
            self._may_be_new = False
            if self._last is not None and value < self._last:
                self._last = 0
        growth = None if value is None else delta(self._last, value)
        # Growth over a reading that failed fell into more than one interval.
        self.recent = None if self._missed else growth
        self._missed = value is None
        if value is not None:
            self.fell = self.fell or (self._last is not None and value < self._last)
            self.total = (self.total or 0) + (growth or 0)
            self._last = value

    def restart(self, at: float | None) -> None:
        self._last = at

    def may_be_new(self) -> None:
        """The next reading is of the same counter or of a new one, which only a lower value tells."""
        self._may_be_new = True


_COUNTERS = (
    "throttled_seconds", "oom_kills", "io_read_bytes", "io_write_bytes", "network_rx_bytes", "network_tx_bytes",
)  # fmt: skip
_CPU_COUNTERS = ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")
_RESOURCES = ("cpu", "memory", "io")


class ContainerFold:
    """Takes the samples of one container in order, which are ``interval_seconds`` apart as a rule."""

    def __init__(self, info: ContainerInfo, interval_seconds: float) -> None:
        self.info = info
        self._usual_span_seconds = usual_span(interval_seconds)
        self._cpu_source: CpuSource | None = None
        self._switched = False
        self._resumed = False
        self._began_after: float | None = None
        self._cpu_rate = self._window(None)
        self._memory_source: MemorySource | None = None
        self._cpu = {name: _Growth(None) for name in _CPU_COUNTERS}
        self._counters = {name: _Growth(self._origin) for name in _COUNTERS}
        self._stalls = {
            (name, kind): _Growth(self._origin) for name in _RESOURCES for kind in ("some", "full")
        }
        self._cores, self._memory, self._rss = Series(), Series(), Series()
        self._working_set_peak: int | None = None
        self._high_water: int | None = None
        self._charged_first: int | None = None
        self._charged_peak: int | None = None
        self._charged_known = False
        self._kills_known = False
        self._pids_first: int | None = None
        self._pids_last: int | None = None
        self._pids_sampled: int | None = None
        self._elapsed = 0.0
        self._cpu_total_at_rate = 0.0

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time within the run so far."""
        return self._cpu["cpu_seconds"].total

    @property
    def gap(self) -> str | None:
        """Why CPU time of it was missed between two samples, in one sentence; None when none was."""
        if self._switched:
            return f"The source of the CPU time of {self.info.name} changed, and what it used meanwhile is missing."
        if self._cpu["cpu_seconds"].fell:
            return f"The CPU counter of {self.info.name} fell, and what it used meanwhile is missing."
        return None

    @property
    def _origin(self) -> float | None:
        """Where a kernel's counter stood before its first reading: at zero if it began within the run."""
        return 0 if self.info.began else None

    def declare(self, info: ContainerInfo) -> None:
        """Take over what is newly known; declared again as begun, its counters started anew.

        Just after a restart of the collector that may mean only that its journal had lost the container.
        """
        resumed, self._resumed = self._resumed, False
        self.info = replace(info, began=self.info.began or (info.began and not resumed))
        if info.began:
            kept_by_the_kernel = [*self._counters.values(), *self._stalls.values()]
            if self._cpu_source in (None, "cgroup"):
                kept_by_the_kernel += self._cpu.values()
            for growth in kept_by_the_kernel:
                if resumed:
                    growth.may_be_new()
                else:
                    growth.restart(0)

    def resume(self) -> None:
        """The collector was restarted: counters that it keeps itself start again at zero."""
        self._resumed = True
        if self._cpu_source != "cgroup":
            for growth in self._cpu.values():
                growth.restart(0)
        self._cpu_rate.reset()

    def add(self, elapsed: float, reading: ContainerSample, since: float) -> ContainerRates:
        """Take one sample over; ``since`` is the time of the run's sample before. Returns its rates."""
        if self._cpu_source is None and self.info.began and self._began_after is None:
            self._began_after = since
        span = elapsed - self._elapsed
        self._elapsed = elapsed
        cores = self._add_cpu(elapsed, reading)
        self._add_memory(reading)
        for name, growth in self._counters.items():
            growth.add(getattr(reading, name))
        self._add_stalls(reading.pressure)
        self._pids_first = reading.pids_peak if self._pids_first is None else self._pids_first
        self._pids_last = _largest(self._pids_last, reading.pids_peak)
        self._pids_sampled = _largest(self._pids_sampled, reading.pids)
        return ContainerRates(
            cores,
            reading.memory_bytes,
            _ratio(self._counters["throttled_seconds"].recent, span),
            *(_ratio(self._stalls[name, "some"].recent, span) for name in _RESOURCES),
        )

    def summary(
        self, duration: float, labels: Mapping[str, str], *, only_begun: bool = False
    ) -> ContainerSummary:
        """The container's summary over ``duration`` seconds; ``labels`` gives a parent's id or name.

        Of a run of which only the start was seen no total is known: one reading tells of no growth.
        """
        info = self.info
        used = self.cpu_seconds
        average = used / duration if used is not None and duration > 0 else None
        user, system = self._parts()
        found = ContainerSummary(
            name=info.name,
            id=info.id,
            parent=labels.get(info.parent) if info.parent else None,
            cpu_cores=self._cores.statistic(average=average),
            memory_bytes=self._memory.statistic(digits=None),
            cpu_seconds=_rounded(self.cpu_seconds),
            cpu_user_seconds=_rounded(user),
            cpu_system_seconds=_rounded(system),
            cpu_source=self._cpu_source,
            memory_source=self._memory_source,
            rss_bytes=self._rss.statistic(digits=None),
            memory_working_set_peak_bytes=self._working_set_peak,
            memory_high_water_bytes=self._high_water,
            memory_charged_peak_bytes=self._reached(self._charged_first, self._charged_peak)
            if self._charged_known
            else None,
            cpu_limit_cores=info.cpu_limit_cores,
            memory_limit_bytes=info.memory_limit_bytes,
            cpu_request_cores=info.cpu_request_cores,
            memory_request_bytes=info.memory_request_bytes,
            throttled_seconds=_rounded(self._counters["throttled_seconds"].total),
            oom_kills=_whole(self._counters["oom_kills"].total or (0 if self._kills_known else None)),
            io_read_bytes=_whole(self._counters["io_read_bytes"].total),
            io_write_bytes=_whole(self._counters["io_write_bytes"].total),
            network_rx_bytes=_whole(self._counters["network_rx_bytes"].total),
            network_tx_bytes=_whole(self._counters["network_tx_bytes"].total),
            pressure=self._pressure(),
            pids_peak=self._pids_peak(),
        )
        if not only_begun:
            return found
        return replace(found, **_NO_GROWTH, cpu_cores=Statistic(), oom_kills=found.oom_kills or None)

    def _parts(self) -> tuple[float | None, float | None]:
        """User and system time, where they add up to the total: a kernel that samples them may tell the total alone."""
        used, user, system = (self._cpu[name].total for name in _CPU_COUNTERS)
        if used is None or user is None or system is None:
            return None, None
        told = math.isclose(user + system, used, rel_tol=_PARTS_APART, abs_tol=_PARTS_APART_SECONDS)
        return (user, system) if told else (None, None)

    def _add_cpu(self, elapsed: float, reading: ContainerSample) -> float | None:
        if reading.cpu_seconds is None:
            return None
        if reading.cpu_source != self._cpu_source:
            self._change_source(reading.cpu_source)
        for name, growth in self._cpu.items():
            growth.add(getattr(reading, name))
        # The rate is made from the growth, which never falls, so a restarted counter gives no false rate.
        cores = self._cpu_rate.add(elapsed, self._cpu["cpu_seconds"].total or 0.0)
        self._cores.add(cores)
        return cores

    def _change_source(self, source: CpuSource | None) -> None:
        # Ledgers of ours start at zero within the run, so one goes on where the other was. A cgroup that was
        # there before does not: between it and a ledger there is no difference to take, unless nothing was used
        # so far, as when the command turns out not to be in its cgroup.
        before, self._cpu_source = self._cpu_source, source
        kept = before not in (None, "cgroup") and source != "cgroup"
        used = bool(self.cpu_seconds)
        self._switched = self._switched or (used and not kept)
        first = None if used else self._origin if source == "cgroup" else 0
        for growth in self._cpu.values():
            growth.restart(growth.total if kept else first)
        self._cpu_rate = self._window(source)
        if before is None and self._began_after is not None:
            self._cpu_rate.add(self._began_after, 0.0)

    def _window(self, source: CpuSource | None) -> RateWindow:
        least = _CGROUP_SPAN_SECONDS if source == "cgroup" else MIN_SPAN_SECONDS
        return RateWindow(least, self._usual_span_seconds)

    def _add_memory(self, reading: ContainerSample) -> None:
        if reading.memory_bytes is not None:
            if self._memory_source is None or reading.memory_source == self._memory_source:
                self._memory_source = reading.memory_source
                self._memory.add(reading.memory_bytes)
            if reading.memory_source == "working_set":
                self._working_set_peak = _largest(self._working_set_peak, reading.memory_bytes)
        self._rss.add(reading.rss_bytes)
        self._high_water = _largest(self._high_water, reading.high_water_bytes)
        if self._charged_first is None:
            self._charged_first = reading.charged_peak_bytes
        self._charged_peak = _largest(self._charged_peak, reading.charged_peak_bytes)
        # What the kernel keeps is known to the end, or from some time on it is not known what else came.
        self._charged_known = reading.charged_peak_bytes is not None
        self._kills_known = reading.oom_kills is not None

    def _add_stalls(self, pressure: Pressure | None) -> None:
        for name in _RESOURCES:
            stall: Stall | None = getattr(pressure, name) if pressure else None
            self._stalls[name, "some"].add(stall.some_seconds if stall else None)
            self._stalls[name, "full"].add(stall.full_seconds if stall else None)

    def _pressure(self) -> Pressure | None:
        stalls = {
            name: Stall(
                _rounded(self._stalls[name, "some"].total), _rounded(self._stalls[name, "full"].total)
            )
            for name in _RESOURCES
            if self._stalls[name, "some"].total is not None
        }
        return Pressure(**stalls) if stalls else None

    def _pids_peak(self) -> int | None:
        """The kernel's peak where it was reached within the run, else the most that were seen."""
        reached = self._reached(self._pids_first, self._pids_last)
        return self._pids_sampled if reached is None else reached

    def _reached(self, first: int | None, last: int | None) -> int | None:
        """A peak that the kernel keeps since the cgroup was made; None where it may be from before the run."""
        return last if self.info.began or first is None or last is None or last > first else None


def _largest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _ratio(growth: float | None, span: float) -> float | None:
    return None if growth is None or span <= 0 else growth / span


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 6)


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)
