"""The names of AlloyCI's runner, and of GitLab's before its release 11.

Both generations of them: those of its documentation (`ci_docker_machines`) and those of its program
(`ci_docker_machines_provider_actions_total`). The label `runner` is the beginning of the runner's token, or of its uuid
at other forges; there is no name, so series are the same for one runner as for several. Its label `go_version` says
which Python this is.
"""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from jobmeter.gateway.figures.dialects.dialect import Series, Snapshot, metric
from jobmeter.gateway.figures.process import Machines, ProcessFigures
from jobmeter.gateway.figures.runners import short_name
from jobmeter.gateway.figures.words import STEP

PROGRAM = "jobmeter-gateway"
_STAGES = {
    "archive_cache_on_failure": "archive_cache",
    "upload_artifacts_on_success": "upload_artifacts",
    "upload_artifacts_on_failure": "upload_artifacts",
}
"""What later runners call otherwise; stages that are new with them keep their names.

Steps, whose names are the job's, are all the one stage that the script was.
"""
_STATES = {"success": "finished", "failed": "finished"}
_DOCUMENTED_STATES = ("acquired", "creating", "idle", "removing", "used")
BUILD_LABELS = ("runner", "state", "stage", "executor_stage")
VERSION_LABELS = (
    "name", "version", "revision", "branch", "go_version", "built_at", "os", "architecture",
)  # fmt: skip


class CiRunnerDialect:
    """Names that begin with ``ci_``."""

    def families(self, snapshot: Snapshot) -> Iterator[Metric]:
        """Builds and failures of the runners, then what the process is and does."""
        process = snapshot.process
        yield metric("ci_runner_builds", "gauge", "The current number of running builds.", BUILD_LABELS,
                     _builds(snapshot))  # fmt: skip
        yield metric("ci_runner_errors", "counter", "The number of caught errors.", ("level",),
                     (((level,), count) for level, count in process.log_entries.items()))  # fmt: skip
        yield metric("ci_runner_failed_jobs_total", "counter", "Total number of failed jobs",
                     ("runner", "failure_reason"), _failures(snapshot))  # fmt: skip
        yield metric("ci_runner_version_info", "gauge",
                     "A metric with a constant '1' value labeled by different build stats fields.",
                     VERSION_LABELS, _version(process))  # fmt: skip
        yield from _machines("ci_docker_machines", process.docker_machines)
        yield from _machines("ci_ssh_docker_machines", process.ssh_docker_machines)


def _builds(snapshot: Snapshot) -> Iterator[Series]:
    """How many are where; two runners with the same beginning of their tokens are one."""
    builds = Counter(
        (
            short_name(figures.key),
            _STATES.get(task.state, task.state),
            "build_script" if task.stage.startswith(STEP) else _STAGES.get(task.stage, task.stage),
            task.executor_stage,
        )
        for figures in snapshot.runners.values()
        for task in figures.running.values()
    )
    yield from builds.items()


def _failures(snapshot: Snapshot) -> Iterator[Series]:
    failures: Counter[tuple[str, str]] = Counter()
    for figures in snapshot.runners.values():
        for reason, count in figures.failures.items():
            failures[short_name(figures.key), reason] += count
    yield from failures.items()


def _version(process: ProcessFigures) -> Iterator[Series]:
    build = process.build
    yield (PROGRAM, build.version, "", "", f"python{build.python}", "", build.os, build.architecture), 1


def _machines(name: str, machines: Machines) -> Iterator[Metric]:
    states = machines.states
    yield metric(name, "counter", "The total number of machines created.", ("type",),
                 (((action,), count) for action, count in machines.actions.items()))  # fmt: skip
    yield metric(f"{name}_provider", "gauge", "The current number of machines in given state.", ("state",),
                 (((state,), states[state]) for state in _DOCUMENTED_STATES))  # fmt: skip
    yield metric(f"{name}_provider_actions_total", "counter", "What was done with machines, by action.",
                 ("action",), (((action,), count) for action, count in machines.actions.items()))  # fmt: skip
    yield metric(f"{name}_provider_machine_states", "gauge", "The current number of machines by state.",
                 ("state",), (((state,), count) for state, count in states.items()))  # fmt: skip
    yield metric(f"{name}_provider_machine_creation_duration_seconds", "histogram",
                 "How long it took to make a machine.", (), (((), machines.creation_seconds),))  # fmt: skip
