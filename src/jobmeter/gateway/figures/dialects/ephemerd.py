"""The names that ephemerd has for its jobs, for the panels of its dashboard that the exporter cannot fill.

They are those of a host's daemon: numbers of all runners together, none by runner. Sums are told where all runners are.
"""

from collections.abc import Iterator

from prometheus_client.core import Metric

from jobmeter.gateway.figures.dialects.dialect import Snapshot, metric
from jobmeter.gateway.figures.totals import Totals


class EphemerdDialect:
    """Six names."""

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """What runs now and what may, and what has run by forge and repository."""
        every = snapshot.runners.values()
        for name, text, value in (
            ("jobs_active", "Jobs that run now.", sum(one.jobs_running for one in every)),
            ("concurrent_capacity", "So many jobs may run at once; runners without a bound are not in it.",
             sum(one.capacity or 0 for one in every)),
            ("draining", "Whether no runner gets new jobs.", bool(every) and all(one.draining for one in every)),
        ):  # fmt: skip
            yield metric(f"ephemerd_{name}", "gauge", text, (), (((), value),))
        if not snapshot.alone:
            yield from _sums(snapshot.totals)


def _sums(totals: Totals) -> Iterator[Metric]:
    yield metric(
        "ephemerd_jobs_total", "counter", "Jobs that ended, by how.", ("provider", "repo", "status"),
        (((*of, status), count) for of, sums in totals.jobs.items() for status, count in sums.by_status.items()),
    )  # fmt: skip
    yield metric("ephemerd_job_duration_seconds", "histogram", "From the hand-out of a job to its last report.",
                 ("provider", "repo"), ((of, sums.seconds) for of, sums in totals.jobs.items()))  # fmt: skip
    yield metric("ephemerd_job_startup_seconds", "histogram", "From the hand-out of a job to its first step.",
                 ("repo",), totals.startups.items())  # fmt: skip
