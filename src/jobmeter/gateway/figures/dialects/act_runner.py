"""The names of Gitea's runner: `act_runner_…` before its release 1.0, `gitea_runner_…` since.

As there, what is counted by a word has no series before the first time. No capacity is told where none is known.
"""

from collections.abc import Iterator

from prometheus_client.core import Metric

from jobmeter.gateway.figures.dialects.dialect import (
    RunnerFamily,
    Series,
    Snapshot,
    counted,
    one,
    runner_metric,
    uptime,
)
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.words import shown


def _info(figures: RunnerFigures, _: Snapshot) -> Iterator[Series]:
    if figures.declared is not None:
        yield (shown(figures.declared.version), shown(figures.declared.name)), 1


FAMILIES = (
    RunnerFamily("info", "gauge", "Runner metadata. Always 1. Labels carry version and name.",
                 ("version", "name"), _info),
    one("capacity", "gauge", "Configured maximum concurrent jobs.", lambda figures: figures.capacity),
    uptime("uptime_seconds", "Seconds since the runner daemon started."),
    counted("poll_fetch_total", "Total number of FetchTask RPCs by result (task, empty, error).", "result",
            lambda figures: figures.fetches),
    one("poll_fetch_duration_seconds", "histogram",
        "Latency of FetchTask RPCs, excluding expected long-poll timeouts.",
        lambda figures: figures.fetch_seconds),
    one("poll_backoff_seconds", "gauge", "Last observed polling backoff interval in seconds.",
        lambda figures: figures.backoff_seconds),
    counted("job_total", "Total jobs processed by status (success, failure, cancelled, skipped, unknown).",
            "status", lambda figures: figures.jobs),
    one("job_duration_seconds", "histogram", "Duration of job execution from start to finish.",
        lambda figures: figures.job_seconds),
    one("job_running", "gauge", "Number of jobs currently executing.", lambda figures: figures.jobs_running),
    one("job_capacity_utilization_ratio", "gauge",
        "Ratio of running jobs to configured capacity (0.0-1.0).", lambda figures: figures.utilization),
    counted("report_log_total", "Total UpdateLog RPCs by result (success, error).", "result",
            lambda figures: figures.log_reports),
    one("report_log_duration_seconds", "histogram", "Latency of UpdateLog RPCs.",
        lambda figures: figures.log_seconds),
    counted("report_state_total", "Total UpdateTask (state) RPCs by result (success, error).", "result",
            lambda figures: figures.state_reports),
    one("report_state_duration_seconds", "histogram", "Latency of UpdateTask RPCs.",
        lambda figures: figures.state_seconds),
    one("report_log_buffer_rows", "gauge", "Current number of buffered log rows awaiting send.",
        lambda figures: figures.buffered_rows),
    counted("client_errors_total", "Total client RPC errors by method.", "method",
            lambda figures: figures.client_errors),
)  # fmt: skip


class ActRunnerDialect:
    """All of it below one ``prefix``; a runner alone has the labels that it has there, several have their names too."""

    def __init__(self, prefix: str) -> None:
        self._families = tuple(family._replace(name=f"{prefix}_{family.name}") for family in FAMILIES)

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """One for each name."""
        for family in self._families:
            yield runner_metric(family, snapshot, named=not snapshot.alone)
