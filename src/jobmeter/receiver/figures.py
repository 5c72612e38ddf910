"""What the receiver counts of itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_COMMIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Figures:
    """Counters of one receiver, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._answers = Counter(
            "jobmeter_receiver_requests_total",
            "Requests answered, by route and status.",
            ("route", "status"),
            registry=registry,
        )
        self._answer_of: dict[tuple[str, int], Counter] = {}
        self.queued = Gauge(
            "jobmeter_receiver_queued_changes", "Changes that wait for a commit.", registry=registry
        )
        self.summaries = Counter(
            "jobmeter_receiver_summaries_stored_total", "Summaries on disk.", registry=registry
        )
        self.records = Counter(
            "jobmeter_receiver_records_stored_total", "Streamed records on disk.", registry=registry
        )
        self.lost = Counter(
            "jobmeter_receiver_runs_lost_total", "Streamed runs that fell silent.", registry=registry
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
        key = (route, status)
        counter = self._answer_of.get(key)
        if counter is None:
            counter = self._answer_of[key] = self._answers.labels(route, str(status))
        counter.inc()

    def committed(self, changes: int, seconds: float) -> None:
        """A commit has reached the disk, or failed."""
        self._commits.observe(seconds)
        self._batches.observe(changes)
