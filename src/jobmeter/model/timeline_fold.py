"""Keeps the course of a run in a bounded number of points: when they are full, two become one."""

from collections.abc import Mapping, Sequence

from jobmeter.model.container_fold import ContainerRates
from jobmeter.model.timeline import ContainerTrack, Timeline, TimelineMark


class _Mean:
    """Mean and peak of what falls into one point."""

    __slots__ = ("count", "peak", "total")

    def __init__(self) -> None:
        self.count, self.total, self.peak = 0, 0.0, 0.0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.peak = value if self.count == 0 else max(self.peak, value)
            self.count, self.total = self.count + 1, self.total + value

    def merge(self, other: "_Mean") -> None:
        if other.count:
            self.peak = other.peak if self.count == 0 else max(self.peak, other.peak)
            self.count, self.total = self.count + other.count, self.total + other.total

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def highest(self) -> float | None:
        return self.peak if self.count else None


class _Point:
    __slots__ = ("containers", "elapsed", "machine", "samples")

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.samples = 0
        self.machine = (_Mean(), _Mean())
        self.containers: dict[str, tuple[_Mean, ...]] = {}

    def merge(self, other: "_Point") -> None:
        """Take over the point that follows this one."""
        self.elapsed = other.elapsed
        self.samples += other.samples
        for mine, others in zip(self.machine, other.machine, strict=True):
            mine.merge(others)
        for key, values in other.containers.items():
            if key in self.containers:
                for mine, others in zip(self.containers[key], values, strict=True):
                    mine.merge(others)
            else:
                self.containers[key] = values


class TimelineFold:
    """At most ``limit`` points of equally many samples each."""

    def __init__(self, limit: int) -> None:
        self._limit = limit + limit % 2
        self._samples_per_point = 1
        self._points: list[_Point] = []

    def add(
        self,
        elapsed: float,
        machine_percent: float | None,
        machine_bytes: int | None,
        containers: Mapping[str, ContainerRates],
    ) -> None:
        """Take one sample's rates over."""
        if not self._points or self._points[-1].samples >= self._samples_per_point:
            if len(self._points) >= self._limit:
                self._halve()
            if not self._points or self._points[-1].samples >= self._samples_per_point:
                self._points.append(_Point())
        point = self._points[-1]
        point.elapsed = elapsed
        point.samples += 1
        point.machine[0].add(machine_percent)
        point.machine[1].add(machine_bytes)
        for key, rates in containers.items():
            values = point.containers.setdefault(key, tuple(_Mean() for _ in rates))
            for mean, value in zip(values, rates, strict=True):
                mean.add(value)

    def timeline(self, names: Mapping[str, str], marks: Sequence[TimelineMark]) -> Timeline:
        """The points as columns; ``names`` gives the containers in their order."""
        return Timeline(
            elapsed_seconds=[round(point.elapsed, 3) for point in self._points],
            machine_cpu_percent=[_short(point.machine[0].mean) for point in self._points],
            machine_memory_bytes=[_whole(point.machine[1].highest) for point in self._points],
            containers=[self._track(key, name) for key, name in names.items()],
            marks=list(marks),
        )

    def _track(self, key: str, name: str) -> ContainerTrack:
        track = ContainerTrack(name=name)
        for point in self._points:
            values = point.containers.get(key)
            cpu, memory, throttled, *stalls = values or [_Mean() for _ in ContainerRates._fields]
            track.cpu_cores.append(_short(cpu.mean))
            track.cpu_cores_peak.append(_short(cpu.highest))
            track.memory_bytes.append(_whole(memory.highest))
            track.throttled_ratio.append(_short(throttled.mean))
            columns = (track.cpu_stall_ratio, track.memory_stall_ratio, track.io_stall_ratio)
            for column, stall in zip(columns, stalls, strict=True):
                column.append(_short(stall.mean))
        return track

    def _halve(self) -> None:
        self._samples_per_point *= 2
        for left, right in zip(self._points[::2], self._points[1::2], strict=True):
            left.merge(right)
        del self._points[1::2]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
