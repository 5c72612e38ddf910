"""What the exporter counts of itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobmeter.linux.account_reader import READ_ERRORS

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class EngineState(NamedTuple):
    """Whether the engine behind a socket tells of its containers now."""

    engine: str
    socket: str
    up: bool


class Watched(Protocol):
    """What is known of the watching itself; read by any thread."""

    @property
    def errors(self) -> Mapping[str, int]:
        """Readings that failed, by kind."""
        ...

    @property
    def refused(self) -> int:
        """Containers beyond what is watched at most."""
        ...

    @property
    def unwatched(self) -> int:
        """Cgroups whose coming and going is not told at once."""
        ...

    @property
    def shown(self) -> int:
        """Containers that are shown now."""
        ...

    @property
    def total_rows(self) -> int:
        """Rows of totals."""
        ...


class Refusing(Protocol):
    """Something that holds no more than it may."""

    @property
    def refused(self) -> int:
        """What was beyond that."""
        ...


class Figures:
    """Counters of one exporter, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        self.registry = registry
        self.sample_seconds = Histogram(
            "jobmeter_exporter_sample_duration_seconds",
            "Time to read all containers once.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.scrape_seconds = Histogram(
            "jobmeter_exporter_scrape_duration_seconds",
            "Time to write one answer, the wait for a fresh sample left out.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "jobmeter_exporter_sample_lag_seconds",
            "How late the last sample of the timetable began.",
            registry=registry,
        )
        self.dropped = Counter(
            "jobmeter_exporter_samples_dropped_total",
            "Samples of the timetable that were not taken or failed.",
            registry=registry,
        )
        info = Gauge(
            "jobmeter_exporter_build_info", "Which release this is.", ("version",), registry=registry
        )
        info.labels(version).set(1)

    def watch(
        self,
        watched: Watched,
        engines: Callable[[], Iterable[EngineState]],
        *,
        max_containers: int,
        max_total_rows: int,
    ) -> None:
        """Show from now on what is known of the watching; the limits are beside the numbers that they bound."""
        for name, text, value in (
            ("containers", "Containers that are shown, those that have just ended included.", None),
            ("containers_max", "So many containers are watched at most.", max_containers),
            ("totals_rows", "Rows of the totals of repositories.", None),
            ("totals_rows_max", "So many rows there are at most, and one named other.", max_total_rows),
        ):
            gauge = Gauge(f"jobmeter_exporter_{name}", text, registry=self.registry)
            if value is not None:
                gauge.set(value)
            elif name == "containers":
                gauge.set_function(lambda: watched.shown)
            else:
                gauge.set_function(lambda: watched.total_rows)
        self.registry.register(_Watching(watched, engines))

    def watch_bounds(self, descriptors: Refusing, groups: Refusing | None, *, max_groups: int) -> None:
        """Show from now on what is beyond other bounds; nothing about ``groups`` where none are shown."""
        self.registry.register(_Bounds(descriptors, groups, max_groups))


class _Watching(Collector):
    def __init__(self, watched: Watched, engines: Callable[[], Iterable[EngineState]]) -> None:
        self._watched = watched
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        errors = CounterMetricFamily(
            "jobmeter_exporter_read_errors", "Files of the kernel that could not be read.", labels=("kind",)
        )
        # Each kind before its first error too: `increase()` would not see that one otherwise.
        for kind, count in sorted({**dict.fromkeys(READ_ERRORS, 0), **self._watched.errors}.items()):
            errors.add_metric((kind,), count)
        yield errors
        yield CounterMetricFamily(
            "jobmeter_exporter_containers_refused",
            "Containers beyond what is watched at most.",
            value=self._watched.refused,
        )
        yield GaugeMetricFamily(
            "jobmeter_exporter_cgroups_unwatched",
            "Cgroups below which a container is found by the next sample only, for want of inotify watches.",
            value=self._watched.unwatched,
        )
        up = GaugeMetricFamily(
            "jobmeter_exporter_engine_up",
            "Whether the engine behind a socket tells of its containers.",
            labels=("engine", "socket"),
        )
        for engine in self._engines():
            up.add_metric((engine.engine, engine.socket), float(engine.up))
        yield up


class _Bounds(Collector):
    def __init__(self, descriptors: Refusing, groups: Refusing | None, max_groups: int) -> None:
        self._descriptors = descriptors
        self._groups = groups
        self._max_groups = max_groups

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "jobmeter_exporter_descriptors_refused",
            "Files that could not stay open for want of descriptors; they are opened for each reading.",
            value=self._descriptors.refused,
        )
        if self._groups is not None:
            yield GaugeMetricFamily(
                "jobmeter_exporter_groups_refused",
                "Cgroups of no container that are not shown now, being more than are shown at most.",
                value=self._groups.refused,
            )
            yield GaugeMetricFamily(
                "jobmeter_exporter_groups_max",
                "So many cgroups of no container are shown at most.",
                value=self._max_groups,
            )
