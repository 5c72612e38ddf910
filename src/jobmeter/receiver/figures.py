"""What the receiver counts of itself."""

from collections import Counter as Counts
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_COMMIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Figures:
    """Counters of one receiver, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = _Requests()
        registry.register(self._requests)
        self.queued = Gauge(
            "jobmeter_receiver_queued_changes", "Changes that wait for a commit.", registry=registry
        )
        self.records = Counter(
            "jobmeter_receiver_records_stored_total", "Streamed records on disk.", registry=registry
        )
        self.evidence = Counter(
            "jobmeter_receiver_evidence_stored_total", "Documents of evidence on disk.", registry=registry
        )
        self.lost = Counter(
            "jobmeter_receiver_runs_lost_total", "Streamed runs that fell silent.", registry=registry
        )
        self.removed = Counter(
            "jobmeter_receiver_removed_total",
            "What was no longer kept: runs, and timelines of runs.",
            ("what",),
            registry=registry,
        )
        self.swept = Gauge(
            "jobmeter_receiver_retention_timestamp_seconds",
            "When all that is no longer kept was last removed; 0 while nothing was looked for.",
            registry=registry,
        )
        self.listeners = Gauge(
            "jobmeter_receiver_listeners", "Open pages that are told what is new.", registry=registry
        )
        self._commits = Histogram(
            "jobmeter_receiver_commit_seconds",
            "Time of a commit, the disk included.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "jobmeter_receiver_commit_changes",
            "Changes in a commit.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )

    def answered(self, route: str, status: int) -> None:
        """A request was answered."""
        self._requests.answers[route, status] += 1

    def stored_summary(self) -> None:
        """A summary is on disk."""
        self._requests.summaries += 1

    def committed(self, changes: int, seconds: float) -> None:
        """A commit has reached the disk, or failed."""
        self._commits.observe(seconds)
        self._batches.observe(changes)


class _Requests(Collector):
    """What is counted for each request, by the event loop alone: the library's counters take a lock each time."""

    def __init__(self) -> None:
        self.answers: Counts[tuple[str, int]] = Counts()
        self.summaries = 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        answers = CounterMetricFamily(
            "jobmeter_receiver_requests",
            "Requests answered, by route and status.",
            labels=("route", "status"),
        )
        for (route, status), count in self.answers.items():
            answers.add_metric((route, str(status)), count)
        yield answers
        yield CounterMetricFamily(
            "jobmeter_receiver_summaries_stored", "Summaries on disk.", value=self.summaries
        )
