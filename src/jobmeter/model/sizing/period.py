"""A container's runs of a day, or of any time, in little room: days merge into a year.

What advice needs of runs are counts and maxima; sketches add how they spread. A year is at most 366 of these a leg and
container, so asking over a year costs the same however many runs it had. They are made from observations and may be
thrown away and made again.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct, field

from jobmeter.model.sizing.figure import Aggregate, Figure, figure, largest
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import CPU_PERCENTILES, CpuPercentile, Parameters
from jobmeter.model.sizing.sketch import Sketch, merge
from jobmeter.model.sizing.window import cores_needed, is_clean, need_and_kill

Key = tuple[str, str, str]


class Period(Struct, kw_only=True):
    """What the runs of a time tell of one container of one leg; the fields are those of an `Aggregate`."""

    runs: int = 0
    clean_runs: int = 0
    killed_runs: int = 0
    need_bytes: int | None = None
    killed_at_bytes: int | None = None
    charged_peak_bytes: int | None = None
    host_cpus: int | None = None
    host_memory_bytes: int | None = None
    memory: Sketch = field(default_factory=Sketch)
    cores: dict[CpuPercentile, Sketch] = field(
        default_factory=lambda: {percentile: Sketch() for percentile in CPU_PERCENTILES}
    )
    duration_seconds: Sketch = field(default_factory=Sketch)

    def add(self, run: Observation, use: ContainerUse) -> None:
        """Take in a run."""
        self.runs += 1
        self.clean_runs += is_clean(run, use)
        self.killed_runs += use.killed_at_bytes is not None
        need, killed_at = need_and_kill(use)
        self.need_bytes = largest(self.need_bytes, need)
        self.killed_at_bytes = largest(self.killed_at_bytes, killed_at)
        self.charged_peak_bytes = largest(self.charged_peak_bytes, use.memory_charged_peak_bytes)
        self.host_cpus = largest(self.host_cpus, run.host_cpus)
        self.host_memory_bytes = largest(self.host_memory_bytes, run.host_memory_bytes)
        if use.memory_need_bytes is not None:
            self.memory.add(use.memory_need_bytes)
        for percentile, sketch in self.cores.items():
            cores = cores_needed(run, use, percentile)
            if cores is not None:
                sketch.add(cores)
        self.duration_seconds.add(run.duration_seconds)

    def aggregate(self, percentile: CpuPercentile) -> Aggregate:
        """What advice is made from; the largest of a sketch is exact."""
        return Aggregate(
            self.clean_runs,
            self.need_bytes,
            self.killed_at_bytes,
            self.cores[percentile].most,
            self.cores["peak"].most,
            self.host_cpus,
            self.host_memory_bytes,
        )

    def figure(self, parameters: Parameters) -> Figure:
        """The advice by all runs of the time."""
        return figure(self.aggregate(parameters.cpu_percentile), parameters)


def by_day(observations: Iterable[Observation]) -> dict[Key, Period]:
    """Periods by day (UTC, ``2026-11-21``, of the run's end), leg and container."""
    days: dict[Key, Period] = {}
    for run in observations:
        for use in run.containers:
            days.setdefault((run.end_time[:10], run.leg, use.name), Period()).add(run, use)
    return days


def together(periods: Iterable[Period]) -> Period:
    """One period of all runs of some; they themselves stay as they are."""
    parts = list(periods)
    return Period(
        runs=sum(each.runs for each in parts),
        clean_runs=sum(each.clean_runs for each in parts),
        killed_runs=sum(each.killed_runs for each in parts),
        need_bytes=largest(*(each.need_bytes for each in parts)),
        killed_at_bytes=largest(*(each.killed_at_bytes for each in parts)),
        charged_peak_bytes=largest(*(each.charged_peak_bytes for each in parts)),
        host_cpus=largest(*(each.host_cpus for each in parts)),
        host_memory_bytes=largest(*(each.host_memory_bytes for each in parts)),
        memory=merge(each.memory for each in parts),
        cores={percentile: merge(each.cores[percentile] for each in parts) for percentile in CPU_PERCENTILES},
        duration_seconds=merge(each.duration_seconds for each in parts),
    )


def by_container(days: Mapping[Key, Period]) -> dict[tuple[str, str], Period]:
    """Over all days: by leg and container."""
    parts: dict[tuple[str, str], list[Period]] = {}
    for (_, leg, name), period in days.items():
        parts.setdefault((leg, name), []).append(period)
    return {key: together(found) for key, found in parts.items()}


def encode(period: Period) -> bytes:
    """The stored form, msgpack."""
    return msgspec.msgpack.encode(period)


def decode(stored: bytes) -> Period:
    """The period of its stored form; raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(stored, type=Period)
