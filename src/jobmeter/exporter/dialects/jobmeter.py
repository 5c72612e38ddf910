"""Our own names: containers, what they are, jobs, the totals of jobs, and the machine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from jobmeter.exporter.container import Row
from jobmeter.exporter.dialects.dialect import Snapshot, one_of_each_id
from jobmeter.exporter.families import CONTAINER_FAMILIES, Family, Labels, Value
from jobmeter.exporter.machine import MachineUse
from jobmeter.exporter.render import Memo, Renderer, Sample, family, label_text
from jobmeter.exporter.totals import Of, Sums
from jobmeter.model.job import Job

CONTAINER_INFO = Family(
    "jobmeter_container_info", "gauge", "What is known of a container; 1.", (((), lambda row: 1),)
)
CONTAINER_INFO_LABELS = (
    "id", "name", "image", "engine", "runtime", "machine", "role", "parent", "namespace", "pod", "repo", "workflow",
    "job", "run_id", "attempt", "task_id", "attribution",
)  # fmt: skip
JOB_INFO = ("jobmeter_job_info", "A job of which a container is shown; 1.")
JOB_LABELS = ("repo", "workflow", "job", "run_id", "attempt", "task_id")
"""Which job it is; what comes after is known of it."""
JOB_INFO_LABELS = (*JOB_LABELS, "forge", "server_url", "ref", "event", "runner")

TOTALS: tuple[tuple[str, str, Callable[[Sums], Value]], ...] = (
    ("cpu_seconds", "CPU time of all containers of the job, ended ones included.", lambda sums: sums.cpu_seconds),
    ("network_receive_bytes", "Bytes that they received.", lambda sums: sums.network_received_bytes),
    ("network_transmit_bytes", "Bytes that they sent.", lambda sums: sums.network_sent_bytes),
    ("oom_kills", "Their processes that were killed for want of memory.", lambda sums: sums.oom_kills),
    ("jobs", "Jobs of that name of which a container was seen.", lambda sums: sums.jobs),
)  # fmt: skip
TOTAL_LABELS = ("repo", "workflow", "job")
UNATTRIBUTED = Of()


class HostFamily(NamedTuple):
    """One name that tells of the machine: its labels, and what they say of each value."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]
    values_of: Callable[[MachineUse], Iterable[tuple[tuple[str, ...], Value]]]


def _gauge(name: str, text: str, value_of: Callable[[MachineUse], Value]) -> HostFamily:
    return HostFamily(f"jobmeter_host_{name}", "gauge", text, (), lambda use: (((), value_of(use)),))


HOST_FAMILIES = (
    HostFamily("jobmeter_host_cpu_seconds_total", "counter", "Time that all CPUs together have spent in a mode.",
               ("mode",), lambda use: (((mode,), seconds) for mode, seconds in use.cpu_seconds.items())),
    _gauge("cpus", "CPUs that are online.", lambda use: use.cpus),
    _gauge("memory_total_bytes", "Memory of the machine.", lambda use: use.memory_total_bytes),
    _gauge("memory_available_bytes", "Memory that new work could have without swapping, as the kernel estimates.",
           lambda use: use.memory_available_bytes),
    _gauge("swap_total_bytes", "Swap of the machine.", lambda use: use.swap_total_bytes),
    _gauge("swap_free_bytes", "Swap that is not in use.", lambda use: use.swap_free_bytes),
    HostFamily("jobmeter_host_pressure_seconds_total", "counter",
               "Time in which some, or all, work of the machine waited for a resource.",
               ("resource", "kind"), lambda use: use.pressure_seconds.items()),
    _gauge("boot_time_seconds", "When it was started, in seconds since 1970.", lambda use: use.booted),
)  # fmt: skip


class JobmeterDialect:
    """Names that begin with ``jobmeter_``; what could not be read and what has no limit has no series."""

    detailed = False
    with_groups = False

    def __init__(self) -> None:
        self._containers = Renderer(CONTAINER_FAMILIES, _series_labels)
        self._infos = Renderer((CONTAINER_INFO,), _info_labels)
        self._jobs = Memo(_job_labels)

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[str]:
        """All of it."""
        rows = one_of_each_id(snapshot.rows)
        yield from self._containers.render(rows, openmetrics=openmetrics)
        yield from self._infos.render(rows, openmetrics=openmetrics)
        yield from self._job_infos(rows, openmetrics=openmetrics)
        yield from _totals(snapshot.totals, openmetrics=openmetrics)
        yield from _host(snapshot.machine, openmetrics=openmetrics)

    def _job_infos(self, rows: Sequence[Row], *, openmetrics: bool) -> Iterator[str]:
        """One of each job: the one of which most is known."""
        jobs: dict[str, tuple[int, str]] = {}
        for told in self._jobs.of(rows):
            if told is not None:
                which, known, text = told
                jobs[which] = max(jobs.get(which, (0, "")), (known, text))
        samples = [Sample(text, 1) for _, text in jobs.values()]
        return family(JOB_INFO[0], "gauge", JOB_INFO[1], samples, openmetrics=openmetrics)


def _series_labels(row: Row) -> Labels:
    job = row.identity.job
    return ("id", row.key), ("repo", (job and job.repository) or ""), ("runtime", row.runtime)


def _info_labels(row: Row) -> Labels:
    identity = row.identity
    known = {
        "id": row.key,
        "name": row.name,
        "image": identity.image,
        "engine": row.engine,
        "runtime": row.runtime,
        "machine": row.machine,
        "role": identity.role,
        "parent": row.parent_key,
        "namespace": identity.namespace,
        "pod": identity.pod_name or row.pod,
        "attribution": identity.attribution,
        **_job_fields(identity.job, identity.task_id),
    }
    return tuple((name, known[name] or "") for name in CONTAINER_INFO_LABELS)


def _job_fields(job: Job | None, task_id: str | None) -> dict[str, str | None]:
    job = job or Job()
    return {
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
        "runner": job.runner,
    }


def _job_labels(row: Row) -> tuple[str, int, str] | None:
    """Which job it is, how much is known of it, and that as labels; None without one."""
    if row.identity.job is None:
        return None
    known = _job_fields(row.identity.job, row.identity.task_id)
    labels = tuple((name, known[name] or "") for name in JOB_INFO_LABELS)
    return label_text(labels[: len(JOB_LABELS)]), sum(map(bool, known.values())), label_text(labels)


def _totals(totals: Iterable[tuple[Of, Sums]], *, openmetrics: bool) -> Iterator[str]:
    shown = [(of, label_text(tuple(zip(TOTAL_LABELS, of, strict=True))), sums) for of, sums in totals]
    for name, text, value_of in TOTALS:
        # What belongs to no job is no job.
        samples = [
            Sample(labels, value_of(sums))
            for of, labels, sums in shown
            if name != "jobs" or of != UNATTRIBUTED
        ]
        yield from family(
            f"jobmeter_repository_{name}_total", "counter", text, samples, openmetrics=openmetrics
        )


def _host(use: MachineUse, *, openmetrics: bool) -> Iterator[str]:
    for one in HOST_FAMILIES:
        samples = [
            Sample(label_text(tuple(zip(one.labels, which, strict=True))), value)
            for which, value in one.values_of(use)
        ]
        yield from family(one.name, one.kind, one.help, samples, openmetrics=openmetrics)
