"""Folds the records of a run into its summary and its timeline: the same code for a live run and a journal."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from jobmeter.model import wire
from jobmeter.model.container_fold import ContainerFold, ContainerRates
from jobmeter.model.errors import JournalError
from jobmeter.model.exits import Exit
from jobmeter.model.process_fold import ProcessFold
from jobmeter.model.rates import MIN_SPAN_SECONDS, RateWindow, delta, usual_span
from jobmeter.model.sample import ContainerSample, HostSample, MeterSample, Sample
from jobmeter.model.statistics import Series, Statistic
from jobmeter.model.summary import CollectorSummary, Section, Summary
from jobmeter.model.timeline import Timeline, TimelineMark
from jobmeter.model.timeline_fold import TimelineFold

MAX_WARNINGS = 100
MAX_MARKS = 1000
MAX_CONTAINERS = 5000
_LOST = Exit(
    reason="lost",
    detail="The journal ends without an end record: the meter was killed, or it still writes.",
    certainty="probable",
)


class Course(Protocol):
    """Something that is told the rates of each sample in their order, as a timeline is."""

    def add(
        self,
        elapsed: float,
        machine_percent: float | None,
        machine_bytes: int | None,
        containers: Mapping[str, ContainerRates],
    ) -> None:
        """Take one sample's rates over; containers by their keys."""


class RunFold:
    """Takes the records of one run in the order of their sequence, which the caller sees to.

    ``summary()`` and ``timeline()`` may be asked for at any time. Percentiles need the past, so every value is
    kept once (8 bytes each); all else is bounded. ``course`` is told the rates of each sample.
    """

    def __init__(self, top: int = 10, timeline_points: int = 480, course: Course | None = None) -> None:
        self._top = top
        self._course = course
        self._start: wire.Start | None = None
        self._end: wire.End | None = None
        self._next_sequence = 0
        self._sample_count = 0
        self._last_elapsed = 0.0
        self._interval_seconds = 0.0
        self._host = _HostFold(self._interval_seconds)
        self._containers: dict[str, ContainerFold] = {}
        self._processes = ProcessFold(top)
        self._marks: list[_MarkPoint] = []
        self._warnings: dict[str, None] = {}
        self._unattributed = _Counter()
        self._cpu_complete = True
        self._meter = MeterSample()
        self._meter_before = MeterSample()
        self._timeline = TimelineFold(timeline_points)
        self._memory_peak_of_section: int | None = None

    @property
    def start(self) -> wire.Start | None:
        """The run's first record, once it was added."""
        return self._start

    @property
    def next_sequence(self) -> int:
        """The number the next new record of the run has."""
        return self._next_sequence

    @property
    def last_elapsed_seconds(self) -> float:
        """The time of the newest sample or end, in seconds since the start."""
        return self._last_elapsed

    @property
    def ended(self) -> bool:
        """True once the end record was added."""
        return self._end is not None

    def add(self, record: wire.AnyRecord) -> None:
        """Take one record over; one whose number was already seen is left out."""
        if record.sequence < self._next_sequence:
            return
        if record.sequence > self._next_sequence and not isinstance(record, wire.Resume):
            self._cpu_complete = False
            self.warn(f"Records {self._next_sequence} to {record.sequence - 1} of the run are missing.")
        self._next_sequence = record.sequence + 1
        try:
            self._take(record)
        except OverflowError:
            raise JournalError(f"record {record.sequence} holds a number that is too large") from None

    def _take(self, record: wire.AnyRecord) -> None:
        match record:
            case wire.Start():
                self._start = record
                self._interval_seconds = record.interval_seconds
                self._host = _HostFold(self._interval_seconds)
            case wire.Tick():
                self._add_sample(record.sample)
            case wire.Declare():
                self._declare(record)
            case wire.Mark():
                self._add_mark(record)
            case wire.Warn():
                self.warn(record.text)
            case wire.Resume():
                self._resume(record)
            case wire.End():
                self._end = record
                self._last_elapsed = max(self._last_elapsed, record.elapsed_seconds)

    def warn(self, text: str) -> None:
        """Keep one sentence for the summary, once."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.setdefault(wire.encodable(text))

    def cpu_seconds(self) -> float | None:
        """CPU time of the containers at the top so far."""
        used = [fold.cpu_seconds for fold in self._top_containers() if fold.cpu_seconds is not None]
        return sum(used) if used else None

    def container_names(self) -> dict[str, str]:
        """The names of all containers by their keys, in the order in which they were declared."""
        return {key: fold.info.name for key, fold in self._containers.items()}

    def summary(self) -> Summary:
        """The summary of what was added; a run without an end record is lost."""
        if self._start is None:
            raise JournalError("the run has no start record, so nothing can be said of it")
        moment = _Clock(self._start.start_time)
        duration = round(self._last_elapsed, 3)
        ended = self._end
        begun = self._only_begun()
        cpu_seconds = None if begun else self.cpu_seconds()
        names, labels = self.container_names(), self._labels()
        return Summary(
            run_uid=self._start.run_uid,
            job=self._start.job,
            start_time=moment(0.0),
            end_time=moment(duration),
            duration_seconds=duration,
            sample_count=self._sample_count,
            cpu_total_percent=self._host.cpu_percent(),
            mem_used_bytes=self._host.used_bytes.statistic(digits=None),
            mem_used_percent=self._host.used_percent.statistic(),
            cpu_seconds=_rounded(cpu_seconds),
            unattributed_cpu_seconds=None if begun else _rounded(self._unattributed.total),
            cpu_complete=self._cpu_complete
            and cpu_seconds is not None
            and all(one.cpu_seconds is not None for one in self._containers.values()),
            containers=[
                fold.summary(duration, labels, only_begun=begun) for fold in self._containers.values()
            ],
            top_cpu_processes=self._processes.by_cpu(names),
            top_mem_processes=self._processes.by_memory(names),
            programs=self._processes.programs(),
            sections=self._sections(moment, duration),
            survivors=list(ended.survivors) if ended else [],
            warnings=list(self._warnings),
            exit=ended.exit if ended else _LOST,
            host=self._start.host,
            collector=self._collector(),
        )

    def timeline(self) -> Timeline:
        """The course of the run, at most the asked number of points."""
        marks = [TimelineMark(mark.elapsed_seconds, mark.name) for mark in self._marks]
        return self._timeline.timeline(self.container_names(), marks)

    def _add_sample(self, sample: Sample) -> None:
        elapsed = sample.elapsed_seconds
        if self._sample_count and elapsed <= self._last_elapsed:
            return
        self._sample_count += 1
        before, self._last_elapsed = self._last_elapsed, elapsed
        self._host.add(elapsed, sample.host)
        readings = {}
        for reading in sample.containers:
            fold = self._containers.get(reading.key)
            if fold is None:
                self.warn(f"Samples of the undeclared container {reading.key} are left out.")
                continue
            readings[reading.key] = fold.add(elapsed, reading, before)
            if fold.gap is not None:
                self._cpu_complete = False
                self.warn(fold.gap)
        self._memory_peak_of_section = _largest(
            self._memory_peak_of_section, self._memory_now(sample.containers)
        )
        self._processes.add(sample.processes, sample.programs)
        self._unattributed.add(sample.unattributed_cpu_seconds)
        self._cpu_complete = self._cpu_complete and sample.cpu_complete
        self._meter = sample.meter
        self._timeline.add(elapsed, self._host.last_percent, self._host.last_used_bytes, readings)
        if self._course is not None:
            self._course.add(elapsed, self._host.last_percent, self._host.last_used_bytes, readings)

    def _declare(self, record: wire.Declare) -> None:
        fold = self._containers.get(record.container.key)
        if fold is not None:
            fold.declare(record.container)
        elif len(self._containers) < MAX_CONTAINERS:
            self._containers[record.container.key] = ContainerFold(record.container, self._interval_seconds)
        else:
            self._cpu_complete = False
            self.warn(f"More than {MAX_CONTAINERS} containers were seen; the later ones are left out.")

    def _add_mark(self, record: wire.Mark) -> None:
        if len(self._marks) >= MAX_MARKS:
            self.warn(f"More than {MAX_MARKS} marks were set; the later ones are left out.")
            return
        if self._marks:
            self._marks[-1].memory_peak_bytes = self._memory_peak_of_section
        else:
            self._marks.append(_MarkPoint("start", 0.0, 0.0, self._memory_peak_of_section))
        self._memory_peak_of_section = None
        self._marks.append(_MarkPoint(record.name, record.elapsed_seconds, self.cpu_seconds()))

    def _resume(self, record: wire.Resume) -> None:
        self._end = None
        self._cpu_complete = False  # Who began or ended meanwhile was not seen.
        for fold in self._containers.values():
            fold.resume()
        self._unattributed.restart()
        self._meter_before = _add_meters(self._meter_before, self._meter)
        self._meter = MeterSample()
        self.warn(
            f"The collector was restarted {record.elapsed_seconds:.1f} s after the start; what only it knew "
            f"is missing for the gap."
        )

    def _only_begun(self) -> bool:
        """Whether no more was seen than the start."""
        return self._end is None and is_only_begun(self._sample_count, self._last_elapsed)

    def _sections(self, moment: "_Clock", duration: float) -> list[Section]:
        points = self._marks
        sections = []
        for place, point in enumerate(points):
            last = place + 1 == len(points)
            end = duration if last else points[place + 1].elapsed_seconds
            cpu_end = self.cpu_seconds() if last else points[place + 1].cpu_seconds
            sections.append(
                Section(
                    name=point.name,
                    start_time=moment(point.elapsed_seconds),
                    end_time=moment(end),
                    cpu_seconds=_rounded(delta(point.cpu_seconds, cpu_end)),
                    memory_working_set_peak_bytes=self._memory_peak_of_section
                    if last
                    else point.memory_peak_bytes,
                )
            )
        return sections

    def _collector(self) -> CollectorSummary:
        assert self._start is not None
        meter = _add_meters(self._meter_before, self._meter)
        return CollectorSummary(
            version=self._start.version,
            interval_seconds=self._start.interval_seconds,
            late_ticks=meter.late_ticks,
            read_errors=meter.read_errors,
            cpu_seconds=_rounded(meter.cpu_seconds),
            peak_memory_bytes=meter.peak_memory_bytes,
        )

    def _labels(self) -> dict[str, str]:
        return {key: fold.info.id or fold.info.name for key, fold in self._containers.items()}

    def _top_containers(self) -> list[ContainerFold]:
        return [fold for fold in self._containers.values() if fold.info.parent not in self._containers]

    def _memory_now(self, containers: tuple[ContainerSample, ...]) -> int | None:
        top = {fold.info.key for fold in self._top_containers()}
        found = [one.memory_bytes for one in containers if one.key in top and one.memory_bytes is not None]
        return sum(found) if found else None


def is_only_begun(sample_count: int, elapsed_seconds: float) -> bool:
    """Whether what was seen of a run without an end is its first sample at most, which tells of no growth."""
    return sample_count < 2 and elapsed_seconds < MIN_SPAN_SECONDS


def rfc3339_of(unix_seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, of a time in seconds since 1970."""
    return rfc3339(datetime.fromtimestamp(unix_seconds, UTC))


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Clock:
    """Elapsed seconds of a run as a time of day; only the run's start was read from the wall clock."""

    def __init__(self, start_time: str) -> None:
        self._start_time = start_time

    def __call__(self, elapsed_seconds: float) -> str:
        try:
            return rfc3339(datetime.fromisoformat(self._start_time) + timedelta(seconds=elapsed_seconds))
        except (ValueError, OverflowError):
            raise JournalError(
                f"{elapsed_seconds:g} s after the start {self._start_time[:40]!r} is no time that can be told"
            ) from None


class _MarkPoint:
    """A mark and the job's counters at that moment."""

    def __init__(
        self,
        name: str,
        elapsed_seconds: float,
        cpu_seconds: float | None,
        memory_peak_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.elapsed_seconds = elapsed_seconds
        self.cpu_seconds = cpu_seconds
        self.memory_peak_bytes = memory_peak_bytes


class _Counter:
    """The growth of a counter that starts at zero, across restarts of its keeper."""

    def __init__(self) -> None:
        self.total: float | None = None
        self._last = 0.0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total = (self.total or 0.0) + (delta(self._last, value) or 0.0)
            self._last = value

    def restart(self) -> None:
        self._last = 0.0


class _HostFold:
    """CPU and memory of the whole machine."""

    def __init__(self, interval_seconds: float) -> None:
        self._percent = Series()
        self.used_bytes = Series()
        self.used_percent = Series()
        self.last_percent: float | None = None
        self.last_used_bytes: int | None = None
        span = usual_span(interval_seconds)
        self._busy, self._total = RateWindow(usual_span_seconds=span), RateWindow(usual_span_seconds=span)
        self._first: tuple[float, float] | None = None
        self._newest: tuple[float, float] | None = None

    def add(self, elapsed: float, host: HostSample) -> None:
        self.last_percent = self._cpu(elapsed, host)
        self._percent.add(self.last_percent)
        total, available = host.memory_total_bytes, host.memory_available_bytes
        self.last_used_bytes = None if total is None or available is None else total - available
        self.used_bytes.add(self.last_used_bytes)
        if total and self.last_used_bytes is not None:
            self.used_percent.add(100 * self.last_used_bytes / total)

    def cpu_percent(self) -> Statistic:
        average = None
        if self._first and self._newest:
            busy, total = (after - before for before, after in zip(self._first, self._newest, strict=True))
            average = 100 * busy / total if total > 0 and busy >= 0 else None
        return self._percent.statistic(average=average)

    def _cpu(self, elapsed: float, host: HostSample) -> float | None:
        if host.busy_seconds is None or host.idle_seconds is None:
            return None
        total = host.busy_seconds + host.idle_seconds + (host.steal_seconds or 0.0)
        self._newest = (host.busy_seconds, total)
        self._first = self._first or self._newest
        busy_rate = self._busy.add(elapsed, host.busy_seconds)
        total_rate = self._total.add(elapsed, total)
        if busy_rate is None or not total_rate:
            return None
        return min(100.0, 100 * busy_rate / total_rate)


def _add_meters(before: MeterSample, after: MeterSample) -> MeterSample:
    return MeterSample(
        cpu_seconds=before.cpu_seconds + after.cpu_seconds,
        peak_memory_bytes=_largest(before.peak_memory_bytes, after.peak_memory_bytes),
        read_errors=before.read_errors + after.read_errors,
        late_ticks=before.late_ticks + after.late_ticks,
    )


def _largest(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
