"""Our own names. Each series has the label `runner`; what is counted by a word is there at 0 before the first time."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from jobmeter.gateway.figures.dialects.dialect import (
    RunnerFamily,
    Series,
    Snapshot,
    counted,
    metric,
    one,
    runner_metric,
    uptime,
)
from jobmeter.gateway.figures.runner import RunnerFigures
from jobmeter.gateway.figures.totals import STATUSES
from jobmeter.gateway.figures.words import shown
from jobmeter.model.job import Job

_OUTCOMES = ("task", "empty", "error", "unauthenticated")
_RESULTS = ("success", "error")
_METHODS = ("FetchTask", "UpdateLog", "UpdateTask")

JOB_LABELS = (
    "repo", "workflow", "job", "run_id", "attempt", "task_id", "forge", "server_url", "ref", "event",
)  # fmt: skip
"""As the exporter's `jobmeter_job_info` has them; the label `runner` is there too."""
STEP_LABELS = ("repo", "workflow", "job", "step")


def _info(figures: RunnerFigures, _: Snapshot) -> Iterator[Series]:
    declared = figures.declared
    if declared is not None:
        yield (shown(declared.name), shown(declared.version), shown(",".join(declared.labels))), 1


def _job_infos(figures: RunnerFigures, _: Snapshot) -> Iterator[Series]:
    for task_id, task in figures.running.items():
        yield _job_values(task_id, task.job or Job()), 1


def _job_values(task_id: str, job: Job) -> tuple[str, ...]:
    known = {
        "repo": job.repository,
        "workflow": job.workflow,
        "job": job.job,
        "run_id": job.run_id,
        "attempt": str(job.attempt) if job.attempt is not None else None,
        "task_id": task_id,
        "forge": job.forge,
        "server_url": job.server_url,
        "ref": job.ref,
        "event": job.event,
    }
    return tuple(shown(known[label]) for label in JOB_LABELS)


def _fetches(figures: RunnerFigures) -> Mapping[str, int]:
    return {**figures.fetches, "unauthenticated": figures.unauthenticated}


FAMILIES = (
    RunnerFamily("info", "gauge", "What the runner said that it is; 1.", ("name", "version", "labels"), _info),
    one("capacity_jobs", "gauge", "So many jobs it may run at once; none where nothing bounds it.",
        lambda figures: figures.capacity),
    uptime("uptime_seconds", "Time since the gateway first saw it."),
    one("draining", "gauge", "Whether it gets no more jobs.", lambda figures: figures.draining),
    counted("fetches_total", "Times the forge was asked for a job, by what came of it.", "result",
            _fetches, _OUTCOMES),
    one("fetch_duration_seconds", "histogram", "How long the forge took to answer that.",
        lambda figures: figures.fetch_seconds),
    one("backoff_seconds", "gauge", "So long it was last waited before the forge was asked again.",
        lambda figures: figures.backoff_seconds),
    counted("jobs_total", "Jobs that ended, by how.", "status", lambda figures: figures.jobs, STATUSES),
    one("job_duration_seconds", "histogram", "From the hand-out of a job to its last report.",
        lambda figures: figures.job_seconds),
    one("job_startup_seconds", "histogram", "From the hand-out of a job to its first step.",
        lambda figures: figures.startup_seconds),
    one("step_duration_seconds", "histogram", "How long steps of jobs took.",
        lambda figures: figures.step_seconds),
    one("running_jobs", "gauge", "Jobs at work; one that only reports any more is not.",
        lambda figures: figures.jobs_running),
    one("utilization_ratio", "gauge", "Jobs at work by how many there may be.",
        lambda figures: figures.utilization),
    counted("log_reports_total", "Reports of log rows to the forge, by result.", "result",
            lambda figures: figures.log_reports, _RESULTS),
    one("log_report_duration_seconds", "histogram", "How long the forge took to take log rows.",
        lambda figures: figures.log_seconds),
    counted("state_reports_total", "Reports of a job's state to the forge, by result.", "result",
            lambda figures: figures.state_reports, _RESULTS),
    one("state_report_duration_seconds", "histogram", "How long the forge took to take a state.",
        lambda figures: figures.state_seconds),
    one("buffered_rows", "gauge", "Log rows that the last report left with the runner.",
        lambda figures: figures.buffered_rows),
    counted("client_errors_total", "Requests to the forge that failed, by method.", "method",
            lambda figures: figures.client_errors, _METHODS),
    RunnerFamily("job_info", "gauge", "A job that the runner has; 1.", JOB_LABELS, _job_infos),
)  # fmt: skip
_NAMED = tuple(family._replace(name=f"jobmeter_runner_{family.name}") for family in FAMILIES)


class JobmeterDialect:
    """Names that begin with ``jobmeter_runner_``; sums over steps are told where all runners are."""

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """One for each name."""
        for family in _NAMED:
            yield runner_metric(family, snapshot, named=True)
        if not snapshot.alone:
            yield from _steps(snapshot)


def _steps(snapshot: Snapshot) -> Iterator[Metric]:
    steps = snapshot.totals.steps
    yield metric("jobmeter_runner_steps_total", "counter", "Steps that ended, of all runners.", STEP_LABELS,
                 ((names, sums.count) for names, sums in steps.items()))  # fmt: skip
    yield metric("jobmeter_runner_step_seconds_total", "counter", "Time that they took.", STEP_LABELS,
                 ((names, sums.sum) for names, sums in steps.items()))  # fmt: skip
