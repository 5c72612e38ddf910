"""Keeps the course of a run in a bounded number of points: when they are full, two become one."""

from array import array
from collections.abc import Iterable, Mapping, Sequence

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.statistics import STATISTIC_DIGITS
from jobmeter.model.timeline import ContainerTrack, Timeline, TimelineMark


class _Column:
    """Mean and peak of one series in each point; arrays, so that a long run takes kilobytes."""

    __slots__ = ("_counts", "_peaks", "_totals")

    def __init__(self) -> None:
        self._counts, self._totals, self._peaks = array("d"), array("d"), array("d")

    def add(self, point: int, value: float | None) -> None:
        """Add a value to a point; the points before it that had none are gaps."""
        if value is None:
            return
        if point >= len(self._counts):
            self.extend(point + 1)
        if self._counts[point] == 0 or value > self._peaks[point]:
            self._peaks[point] = value
        self._counts[point] += 1
        self._totals[point] += value

    def extend(self, points: int) -> None:
        """Have so many points."""
        missing = bytes(8 * (points - len(self._counts)))
        for values in (self._counts, self._totals, self._peaks):
            values.frombytes(missing)

    def halve(self, points: int) -> None:
        """Make one of two points each, of so many; there are no values below zero."""
        self.extend(points)
        self._counts = array("d", map(sum, _pairs(self._counts)))
        self._totals = array("d", map(sum, _pairs(self._totals)))
        self._peaks = array("d", map(max, _pairs(self._peaks)))

    def means(self, points: int) -> list[float | None]:
        """The mean of each point, None for a gap."""
        self.extend(points)
        return [
            round(total / count, STATISTIC_DIGITS) if count else None
            for count, total in zip(self._counts, self._totals, strict=True)
        ]

    def peaks(self, points: int) -> list[float | None]:
        """The highest value of each point, None for a gap."""
        self.extend(points)
        return [
            round(peak, STATISTIC_DIGITS) if count else None
            for count, peak in zip(self._counts, self._peaks, strict=True)
        ]


class TimelineFold:
    """At most ``limit`` points of equally many samples each."""

    def __init__(self, limit: int) -> None:
        self._limit = limit + limit % 2
        self._samples_per_point = 1
        self._samples_of_last = 0
        self._elapsed = array("d")
        self._machine = (_Column(), _Column())
        self._containers: dict[str, tuple[_Column, ...]] = {}

    def add(
        self,
        elapsed: float,
        machine_percent: float | None,
        machine_bytes: int | None,
        containers: Mapping[str, ContainerRates],
    ) -> None:
        """Take one sample's rates over."""
        if not self._elapsed or self._samples_of_last == self._samples_per_point:
            self._begin_point()
        point = len(self._elapsed) - 1
        self._elapsed[point] = elapsed
        self._samples_of_last += 1
        self._machine[0].add(point, machine_percent)
        self._machine[1].add(point, machine_bytes)
        for key, rates in containers.items():
            columns = self._containers.get(key)
            if columns is None:
                columns = self._containers[key] = tuple(_Column() for _ in rates)
            for column, value in zip(columns, rates, strict=True):
                column.add(point, value)

    def timeline(self, names: Mapping[str, str], marks: Sequence[TimelineMark]) -> Timeline:
        """The points as columns; ``names`` gives the containers in their order."""
        points = len(self._elapsed)
        return Timeline(
            elapsed_seconds=[round(elapsed, 3) for elapsed in self._elapsed],
            machine_cpu_percent=self._machine[0].means(points),
            machine_memory_bytes=_whole(self._machine[1].peaks(points)),
            containers=[self._track(key, name, points) for key, name in names.items()],
            marks=list(marks),
        )

    def _track(self, key: str, name: str, points: int) -> ContainerTrack:
        columns = self._containers.get(key) or tuple(_Column() for _ in ContainerRates._fields)
        cpu, memory, throttled, cpu_stall, memory_stall, io_stall = columns
        return ContainerTrack(
            name=name,
            cpu_cores=cpu.means(points),
            cpu_cores_peak=cpu.peaks(points),
            memory_bytes=_whole(memory.peaks(points)),
            throttled_ratio=throttled.means(points),
            cpu_stall_ratio=cpu_stall.means(points),
            memory_stall_ratio=memory_stall.means(points),
            io_stall_ratio=io_stall.means(points),
        )

    def _begin_point(self) -> None:
        if len(self._elapsed) == self._limit:
            for column in (*self._machine, *(one for found in self._containers.values() for one in found)):
                column.halve(self._limit)
            self._elapsed = self._elapsed[1::2]
            self._samples_per_point *= 2
        self._elapsed.append(0.0)
        self._samples_of_last = 0


def _pairs(values: "array[float]") -> Iterable[tuple[float, float]]:
    return zip(values[::2], values[1::2], strict=True)


def _whole(values: Sequence[float | None]) -> list[int | None]:
    return [None if value is None else int(value) for value in values]
