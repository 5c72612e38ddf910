"""A container's runs of a day, or of any time, in little room: days merge into a year.

What advice needs of runs are counts and maxima; a sketch adds how their memory spreads. A year is at most 366 of these
a leg and container, so asking over a year costs the same however many runs it had. They are made from observations and
may be thrown away and made again.
"""

from collections.abc import Collection, Iterable, Mapping
from heapq import nsmallest

import msgspec
from msgspec import Struct, field

from jobmeter.model.sizing.figure import Aggregate, Figure, figure, largest
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import CPU_PERCENTILES, CpuPercentile, Parameters
from jobmeter.model.sizing.sketch import Sketch, merge
from jobmeter.model.sizing.window import cores_needed, is_clean, need_and_kill

Key = tuple[str, str]
"""A leg and a container."""
Parts = dict[Key, "Period"]
"""The periods of a time."""
SHARED = "…"
"""The leg, or the container, of all those together that are not told apart."""
MAX_NAMES, MAX_APART = 63, 192
"""So many containers of a time are told apart, and so many of them for each leg."""
MAX_PARTS = MAX_APART + MAX_NAMES + 1
_MOST_GATHERED = 4 * MAX_PARTS


class Period(Struct, kw_only=True, array_like=True):
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
    cores: dict[CpuPercentile, float] = field(default_factory=dict)

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
        for percentile in CPU_PERCENTILES:
            cores = cores_needed(run, use, percentile)
            if cores is not None:
                self.cores[percentile] = max(cores, self.cores.get(percentile, 0.0))

    def aggregate(self, percentile: CpuPercentile) -> Aggregate:
        """What advice is made from."""
        return Aggregate(
            self.clean_runs,
            self.need_bytes,
            self.killed_at_bytes,
            self.cores.get(percentile),
            self.cores.get("peak"),
            self.host_cpus,
            self.host_memory_bytes,
        )

    def figure(self, parameters: Parameters) -> Figure:
        """The advice by all runs of the time."""
        return figure(self.aggregate(parameters.cpu_percentile), parameters)


def by_day(observations: Iterable[Observation]) -> dict[str, Parts]:
    """Periods by day (UTC, ``2026-11-21``, of the run's end)."""
    days: dict[str, list[Observation]] = {}
    for run in observations:
        days.setdefault(run.end_time[:10], []).append(run)
    return {day: parts_of(runs) for day, runs in days.items()}


def parts_of(runs: Iterable[Observation]) -> Parts:
    """The periods of a time that has these runs."""
    parts: Parts = {}
    for run in runs:
        for use in run.containers:
            parts.setdefault((run.leg, use.name), Period()).add(run, use)
        if len(parts) > _MOST_GATHERED:
            parts = joined([parts])
    return joined([parts])


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
        cores=_highest(each.cores for each in parts),
    )


def _highest(parts: Iterable[Mapping[CpuPercentile, float]]) -> dict[CpuPercentile, float]:
    highest: dict[CpuPercentile, float] = {}
    for cores in parts:
        for percentile, value in cores.items():
            highest[percentile] = max(value, highest.get(percentile, 0.0))
    return highest


def joined(times: Iterable[Parts]) -> Parts:
    """The periods of some times together, ``MAX_PARTS`` at most: the same in whatever order times are joined.

    What goes beyond that is in a period that is shared, so no need is lost: legs under the name of their container, and
    containers all in one.
    """
    found: dict[Key, list[Period]] = {}
    for parts in times:
        for key, period in parts.items():
            found.setdefault(key, []).append(period)
    told: dict[Key, list[Period]] = {}
    for key, place in _places(found).items():
        told.setdefault(place, []).extend(found[key])
    return {key: together(periods) for key, periods in told.items()}


def _places(keys: Collection[Key]) -> dict[Key, Key]:
    """Where each is told.

    The first are told apart by an order that hangs on names alone: what is among the first of all is so among any part
    of them, so nothing is shared that would be told apart by all.
    """
    names = set(nsmallest(MAX_NAMES, {name for _, name in keys} - {SHARED}, _order))
    by_leg = ((leg, name) for leg, name in keys if leg != SHARED and name in names)
    apart = set(nsmallest(MAX_APART, by_leg, lambda key: (_order(key[1]), _order(key[0]))))
    return {
        (leg, name): (leg if (leg, name) in apart else SHARED, name if name in names else SHARED)
        for leg, name in keys
    }


def _order(name: str) -> tuple[int, str]:
    """What is new in each run has numbers."""
    return sum(map(str.isdigit, name)), name


def place_in(parts: Parts, key: Key) -> Key:
    """Where a leg and container is told by periods that were joined with it."""
    _, name = key
    return next((place for place in (key, (SHARED, name)) if place in parts), (SHARED, SHARED))


def encode(parts: Parts) -> bytes:
    """The stored form, msgpack arrays."""
    return msgspec.msgpack.encode([(*key, period) for key, period in parts.items()])


def decode(stored: bytes) -> Parts:
    """The periods of their stored form; raises msgspec.DecodeError."""
    return {(leg, name): period for leg, name, period in _DECODER.decode(stored)}


_DECODER = msgspec.msgpack.Decoder(list[tuple[str, str, Period]])
