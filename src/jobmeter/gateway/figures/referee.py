"""What the gateway counts of the evidence that is made of jobs."""

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Found = Literal["data", "partial", "empty", "failed", "skipped"]
FOUND: dict[Found, str] = {
    "data": "every query was answered, and there were series",
    "partial": "some queries were not answered, or not whole",
    "empty": "every query was answered, and there were no series: the selector fits nothing",
    "failed": "no query was answered; after some such times Prometheus is not asked for a while",
    "skipped": "the job lacks what the selector needs",
}
Place = Literal["receiver", "gitlab", "actions", "directory"]
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class RefereeFigures:
    """``waiting`` says for how many jobs there is still something to be done."""

    def __init__(self, registry: CollectorRegistry, waiting: Callable[[], float]) -> None:
        self._jobs = Counter(
            "jobmeter_gateway_referee_jobs_total",
            "Jobs that the referee was asked for, by what it found.",
            ("found",),
            registry=registry,
        )
        self._late = Counter(
            "jobmeter_gateway_referee_late_total",
            "Last reports of jobs that went after the whole budget, before the referee was done.",
            registry=registry,
        )
        self._seconds = Histogram(
            "jobmeter_gateway_referee_duration_seconds",
            "How long Prometheus took to answer all queries of a job.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._deliveries = Counter(
            "jobmeter_gateway_referee_deliveries_total",
            "Evidence by where it was brought, and whether it was kept, refused or dropped.",
            ("place", "result"),
            registry=registry,
        )
        Gauge(
            "jobmeter_gateway_referee_waiting_jobs",
            "Jobs whose evidence is on its way to the receiver, or waits for its last scrape.",
            registry=registry,
        ).set_function(waiting)
        for found in FOUND:
            self._jobs.labels(found)

    def asked(self, found: Found, seconds: float | None = None) -> None:
        """One job; without seconds nobody was asked."""
        self._jobs.labels(found).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def late(self) -> None:
        """A last report went before the referee was done."""
        self._late.inc()

    def delivered(self, place: Place, result: Literal["kept", "refused", "dropped"]) -> None:
        """One document."""
        self._deliveries.labels(place, result).inc()
