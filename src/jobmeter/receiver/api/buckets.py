"""The course of a run in buckets of equal time: the lowest, mean and highest value of each.

The last bucket ends with the run, so that it is shorter than the others, or longer by what a tick may be late.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from msgspec import Meta, Struct, field

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.statistics import STATISTIC_DIGITS
from jobmeter.model.timeline import TimelineMark

_MAX_WHOLE = 2**63
_MAX_CELLS = 100_000
# Ticks come a little late: one by less than this part of a bucket still belongs to the bucket that ended.
_LATE = 0.05


Means = list[float | None]


class Range(Struct, kw_only=True):
    """One series, one value per bucket; null where nothing was read."""

    min: Annotated[list[float | None], Meta(description="The lowest value of each bucket.")] = field(
        default_factory=list
    )
    avg: Annotated[
        list[float | None],
        Meta(description="The mean of each bucket; of a rate weighted by the time it held."),
    ] = field(default_factory=list)
    max: Annotated[list[float | None], Meta(description="The highest value of each bucket.")] = field(
        default_factory=list
    )


class ContainerCourse(Struct, kw_only=True):
    """One container over the run."""

    name: Annotated[str, Meta(description="Its name, as in the summary.")]
    cpu_cores: Annotated[Range, Meta(description="CPU use in cores: 2.0 is two full ones.")]
    memory_bytes: Annotated[
        Range, Meta(description="Memory in use in bytes, as memory_source of the summary says.")
    ]
    throttled_ratio: Annotated[
        Means,
        Meta(
            description="Share of each bucket's time in which the CPU limit throttled it, summed over CPUs, so that "
            "it may exceed 1; null where not read."
        ),
    ] = field(default_factory=list)
    cpu_stall_ratio: Annotated[
        Means, Meta(description="Share of each bucket's time in which a task waited for a CPU.")
    ] = field(default_factory=list)
    memory_stall_ratio: Annotated[
        Means, Meta(description="Share of each bucket's time in which a task waited for memory.")
    ] = field(default_factory=list)
    io_stall_ratio: Annotated[
        Means, Meta(description="Share of each bucket's time in which a task waited for a disk.")
    ] = field(default_factory=list)


class Course(Struct, kw_only=True):
    """A run over time, in buckets of equal length; the last one ends with the run."""

    resolution_seconds: Annotated[
        float,
        Meta(
            description="Length of a bucket: what was asked for or the meter's interval, doubled as often as needed."
        ),
    ]
    elapsed_seconds: Annotated[
        list[float],
        Meta(
            description="The end of each bucket in seconds from the run's start: a multiple of the resolution, but of "
            "the last one the run's end, or that of the newest sample while it runs."
        ),
    ] = field(default_factory=list)
    machine_cpu_percent: Annotated[Range, Meta(description="CPU use of the whole machine, 0 to 100.")] = (
        field(default_factory=Range)
    )
    machine_memory_bytes: Annotated[
        Range, Meta(description="Memory in use on the whole machine in bytes: MemTotal - MemAvailable.")
    ] = field(default_factory=Range)
    containers: Annotated[
        list[ContainerCourse],
        Meta(description="The containers in the order they were first seen; of `jobmeter run` one, the job."),
    ] = field(default_factory=list)
    marks: Annotated[list[TimelineMark], Meta(description="Where sections begin, in their order.")] = field(
        default_factory=list
    )


class _Series:
    """Of each bucket that has a value: its weight, weighted sum, lowest and highest value."""

    def __init__(self) -> None:
        self._cells: dict[int, list[float]] = {}

    def add(self, bucket: int, weight: float, value: float) -> None:
        if value > _MAX_WHOLE:
            value = float(value)  # JSON's readers know no larger whole numbers.
        cell = self._cells.get(bucket)
        if cell is None:
            self._cells[bucket] = [weight, weight * value, value, value]
            return
        cell[0] += weight
        cell[1] += weight * value
        if value < cell[2]:
            cell[2] = value
        elif value > cell[3]:
            cell[3] = value

    def coarsen(self, doublings: int) -> None:
        """Make one of ``2 ** doublings`` buckets each."""
        cells, self._cells = self._cells, {}
        for bucket, cell in cells.items():
            old = self._cells.setdefault(bucket >> doublings, cell)
            if old is not cell:
                old[:] = old[0] + cell[0], old[1] + cell[1], min(old[2], cell[2]), max(old[3], cell[3])

    def means(self, count: int) -> Means:
        found = [self._cells.get(bucket) for bucket in range(count)]
        return [None if cell is None else round(cell[1] / cell[0], STATISTIC_DIGITS) for cell in found]

    def range(self, count: int) -> Range:
        found = [self._cells.get(bucket) for bucket in range(count)]
        return Range(
            min=[None if cell is None else round(cell[2], STATISTIC_DIGITS) for cell in found],
            avg=self.means(count),
            max=[None if cell is None else round(cell[3], STATISTIC_DIGITS) for cell in found],
        )


class _Container:
    """The series of one container: its CPU use and memory, and the shares of time in which it was held back."""

    def __init__(self) -> None:
        self.use = (_Series(), _Series())
        self.ratios = (_Series(), _Series(), _Series(), _Series())

    def all(self) -> tuple[_Series, ...]:
        return (*self.use, *self.ratios)

    def course(self, name: str, count: int) -> ContainerCourse:
        cpu, memory = self.use
        throttled, cpu_stall, memory_stall, io_stall = (one.means(count) for one in self.ratios)
        return ContainerCourse(
            name=name,
            cpu_cores=cpu.range(count),
            memory_bytes=memory.range(count),
            throttled_ratio=throttled,
            cpu_stall_ratio=cpu_stall,
            memory_stall_ratio=memory_stall,
            io_stall_ratio=io_stall,
        )


class BucketFold:
    """Takes the rates of a run's samples in their order; when ``limit`` buckets do not hold the run, two become one.

    A rate belongs to the time since the sample before and counts in each bucket by its part of that
    time; what was read at one moment, as memory, belongs to the bucket of that moment.
    """

    def __init__(self, resolution_seconds: float, limit: int) -> None:
        self._resolution = resolution_seconds
        self._limit = limit
        self._count = 0
        self._before = 0.0
        self._machine = (_Series(), _Series())
        self._containers: dict[str, _Container] = {}

    def add(
        self,
        elapsed: float,
        machine_percent: float | None,
        machine_bytes: int | None,
        containers: Mapping[str, ContainerRates],
    ) -> None:
        """Take one sample's rates over; raises OverflowError for a time that no bucket can hold."""
        elapsed = max(0.0, elapsed)
        for key in containers:
            if key not in self._containers:
                self._containers[key] = _Container()
        self._reach(elapsed)
        self._stay_small(len(self._containers))
        at, parts = self._bucket(elapsed), self._parts(elapsed)
        _add(self._machine, at, parts, machine_percent, machine_bytes)
        for key, rates in containers.items():
            box = self._containers[key]
            _add(box.use, at, parts, rates.cpu_cores, rates.memory_bytes)
            for series, ratio in zip(box.ratios, rates[2:], strict=True):
                if ratio is not None:
                    _spread(series, parts, ratio)
        self._before = elapsed

    def course(
        self, names: Mapping[str, str], marks: Sequence[TimelineMark], end: float | None = None
    ) -> Course:
        """The buckets as columns; ``names`` gives the containers in their order.

        ``end`` is that of the run where it ended after its last sample.
        """
        last = self._reach_end(end)
        self._stay_small(len(names))
        count = self._count
        machine_cpu, machine_memory = (series.range(count) for series in self._machine)
        none = _Container()
        return Course(
            resolution_seconds=self._resolution,
            elapsed_seconds=[
                round(last if bucket + 1 == count else (bucket + 1) * self._resolution, 3)
                for bucket in range(count)
            ],
            machine_cpu_percent=machine_cpu,
            machine_memory_bytes=machine_memory,
            containers=[self._containers.get(key, none).course(name, count) for key, name in names.items()],
            marks=list(marks),
        )

    def _parts(self, elapsed: float) -> list[tuple[int, float]]:
        """The buckets since the sample before, each with the seconds that it has of that time."""
        found, begin, last = [], self._before, self._bucket(elapsed)
        for bucket in range(min(int(begin / self._resolution), last), last + 1):
            end = elapsed if bucket == last else (bucket + 1) * self._resolution
            if end > begin:
                found.append((bucket, end - begin))
                begin = end
        return found

    def _bucket(self, elapsed: float) -> int:
        """The bucket of a moment; one at a border, or hardly behind it, belongs to the bucket that ends there."""
        return max(0, math.ceil(elapsed / self._resolution - _LATE) - 1)

    def _reach(self, elapsed: float) -> None:
        """Have a bucket for the moment, coarser ones if there are too many."""
        doublings = (self._bucket(elapsed) // self._limit).bit_length()
        if doublings:
            self._coarsen(doublings)
        self._count = max(self._count, self._bucket(elapsed) + 1)

    def _reach_end(self, end: float | None) -> float:
        """Have buckets up to the end, if there are any, and give it; one that no bucket can hold is left out."""
        last = self._before
        if self._count and end is not None and end > last:
            with suppress(OverflowError):
                self._reach(end)
                last = end
        return last

    def _stay_small(self, containers: int) -> None:
        """With very many containers have coarser buckets, so that neither the fold nor its answer is large."""
        while self._count > 1 and self._count * containers > _MAX_CELLS:
            self._coarsen(1)

    def _coarsen(self, doublings: int) -> None:
        self._resolution *= 2.0**doublings
        self._count = -(-self._count >> doublings)
        for one in (*self._machine, *(each for box in self._containers.values() for each in box.all())):
            one.coarsen(doublings)


def _add(
    series: tuple[_Series, _Series],
    bucket: int,
    parts: Sequence[tuple[int, float]],
    rate: float | None,
    gauge: float | None,
) -> None:
    cpu, memory = series
    if gauge is not None:
        memory.add(bucket, 1.0, gauge)
    if rate is not None:
        _spread(cpu, parts, rate)


def _spread(series: _Series, parts: Sequence[tuple[int, float]], rate: float) -> None:
    """A rate belongs to all buckets since the sample before."""
    for bucket, seconds in parts:
        series.add(bucket, seconds, rate)
