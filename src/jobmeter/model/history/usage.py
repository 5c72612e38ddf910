"""What one run used, in the few numbers that its history is told by; made once of a stored summary.

Memory is the need: the highest of what was seen in use and of what one process held. What is reserved is the request
of a container, or its limit where it has no request, as Kubernetes takes it; only the containers at the top count.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from jobmeter.model.budgets.measures import MEASURES, at_the_top, reading_of
from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.memory_need import memory_need_bytes
from jobmeter.model.sizing.observation import leg_name
from jobmeter.model.summarize import is_only_begun
from jobmeter.model.summary import ContainerSummary, Summary

# No machine has more of anything, and what is made of it still fits into 64 bits.
_MAX_NUMBER = 2**50
_MAX_LABELS = 16
_MAX_LABEL = 64


class Reserved(Struct, frozen=True):
    """What was reserved of one resource, and what the same containers used of it; all null where none was told."""

    amount: Annotated[float | None, Meta(description="The requests, or the limits where there are none.")] = (
        None
    )
    used: Annotated[
        float | None,
        Meta(description="What those containers used: of CPU the mean, of memory the need."),
    ] = None
    partial: Annotated[
        bool, Meta(description="Other containers reserved some too, of which the use was not read.")
    ] = False
    unused: Annotated[
        float | None,
        Meta(
            description="What each of those containers reserved and did not use, together: what one used beyond its "
            "own makes that of another no less."
        ),
    ] = None


class Usage(Struct, frozen=True, kw_only=True):
    """The numbers of one run; null is what is not known."""

    exit_reason: Annotated[str | None, Meta(description="How it ended, as in the summary.")] = None
    duration_seconds: Annotated[float | None, Meta(description="From its start to its end.")] = None
    cpu_seconds: Annotated[
        float | None, Meta(description="CPU time of the job, that of no nameable container included.")
    ] = None
    memory_bytes: Annotated[
        int | None, Meta(description="The need of the container at the top that needs most.")
    ] = None
    network_bytes: Annotated[int | None, Meta(description="Received and sent.")] = None
    lower_bounds: Annotated[
        tuple[str, ...],
        Meta(
            description="Of these more was used than could be read: memory, cpu_seconds, duration, network."
        ),
    ] = ()
    memory_total_bytes: Annotated[
        int | None,
        Meta(
            description="The needs of all containers at the top together; a lower bound where memory is one."
        ),
    ] = None
    throttled_seconds: Annotated[
        float | None, Meta(description="Time in which CPU limits held it back, summed over CPUs.")
    ] = None
    oom_kills: Annotated[int | None, Meta(description="Processes the kernel killed for want of memory.")] = (
        None
    )
    reserved_cores: Annotated[Reserved, Meta(description="CPU that was reserved, in cores.")] = Reserved()
    reserved_memory_bytes: Annotated[Reserved, Meta(description="Memory that was reserved, in bytes.")] = (
        Reserved()
    )
    ref: Annotated[str | None, Meta(description="Full git reference, as refs/heads/main.")] = None
    sha: Annotated[str | None, Meta(description="The commit.")] = None
    run_id: Annotated[str | None, Meta(description="The forge's id of the run.")] = None
    leg: Annotated[
        str, Meta(description="The leg of the matrix, as `os=linux, python=3.12`; empty without one.")
    ] = ""
    runner_labels: Annotated[tuple[str, ...], Meta(description="Labels of the runner.")] = ()

    def measure(self, key: str) -> float | None:
        """What it used of a measure of `budgets.measures`, in its unit."""
        return {
            "memory": self.memory_bytes,
            "cpu_seconds": self.cpu_seconds,
            "duration": self.duration_seconds,
            "network": self.network_bytes,
        }[key]

    @property
    def cores(self) -> float | None:
        """CPU time by duration."""
        if self.cpu_seconds is None or not self.duration_seconds:
            return None
        return self.cpu_seconds / self.duration_seconds


class _Payload(Struct):
    """Only what is read of a summary is decoded; a collector of seed 000 sends no more than its containers."""

    schema: str | None = None
    duration_seconds: float | None = None
    sample_count: int = 0
    cpu_seconds: float | None = None
    unattributed_cpu_seconds: float | None = None
    cpu_complete: bool = True
    containers: list[ContainerSummary] = field(default_factory=list)
    exit: Exit = Exit()


_PAYLOAD = msgspec.json.Decoder(_Payload)
_JOB = msgspec.json.Decoder(Job)


def usage_of(content: bytes, job_json: bytes) -> Usage:
    """What stored JSON tells; of what is no summary, or has numbers that no machine has, nothing but its job."""
    job = _job(job_json)
    try:
        told = _PAYLOAD.decode(content)
        used = used_by(_summary(told, job))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return Usage(**_about(job))
    used = replace(used, duration_seconds=_seconds(told))
    return used if _is_plausible(used) else Usage(**_about(job))


def used_by(summary: Summary) -> Usage:
    """What a summary tells."""
    readings = {measure.key: reading_of(measure, summary) for measure in MEASURES}
    tops = at_the_top(summary)
    needs = [memory_need_bytes(top) for top in tops]
    cores = [_cores(top, summary.duration_seconds) for top in tops]
    asked = [
        (
            _asked(top.cpu_request_cores, top.cpu_limit_cores),
            _asked(top.memory_request_bytes, top.memory_limit_bytes),
        )
        for top in tops
    ]
    return Usage(
        exit_reason=summary.exit.reason,
        duration_seconds=summary.duration_seconds,
        cpu_seconds=readings["cpu_seconds"].value,
        memory_bytes=_whole(readings["memory"].value),
        network_bytes=_whole(readings["network"].value),
        lower_bounds=tuple(key for key, reading in readings.items() if reading.is_lower_bound),
        memory_total_bytes=_whole(_sum(needs)),
        throttled_seconds=_sum([top.throttled_seconds for top in tops]),
        oom_kills=_whole(_sum([top.oom_kills for top in tops])),
        reserved_cores=_reserved([cpu for cpu, _ in asked], cores),
        reserved_memory_bytes=_reserved([memory for _, memory in asked], needs),
        **_about(summary.job),
    )


def _about(job: Job) -> dict[str, Any]:
    return {
        "ref": job.ref,
        "sha": job.sha,
        "run_id": job.run_id,
        "leg": leg_name(job.matrix),
        "runner_labels": tuple(label[:_MAX_LABEL] for label in job.runner_labels[:_MAX_LABELS]),
    }


def _job(content: bytes) -> Job:
    try:
        return _JOB.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Job()


def _seconds(told: _Payload) -> float | None:
    """Of a run that was lost when it had just begun, how long it took is not known."""
    begun = told.exit.reason == "lost" and is_only_begun(told.sample_count, told.duration_seconds or 0.0)
    return None if begun else told.duration_seconds


def _summary(told: _Payload, job: Job) -> Summary:
    """As far as measures read it. The older form has no total of CPU, and misses processes between two samples."""
    total = told.cpu_seconds
    if total is None and told.schema is None:
        total = _sum([_cpu_seconds(each, told.duration_seconds) for each in told.containers])
    return Summary(
        run_uid="",
        job=job,
        start_time="",
        end_time="",
        duration_seconds=told.duration_seconds or 0.0,
        sample_count=0,
        cpu_seconds=total,
        unattributed_cpu_seconds=told.unattributed_cpu_seconds,
        cpu_complete=told.cpu_complete and told.schema is not None,
        containers=told.containers,
        exit=told.exit,
    )


def _cpu_seconds(container: ContainerSummary, duration_seconds: float | None) -> float | None:
    if container.cpu_seconds is not None:
        return container.cpu_seconds
    mean = container.cpu_cores.avg
    return None if mean is None or duration_seconds is None else mean * duration_seconds


def _cores(container: ContainerSummary, duration_seconds: float) -> float | None:
    seconds = _cpu_seconds(container, duration_seconds)
    return seconds / duration_seconds if seconds is not None and duration_seconds else None


def _asked(request: float | None, limit: float | str | None) -> float | None:
    if request is not None:
        return request
    return None if isinstance(limit, str) else limit


def _reserved(asked: Sequence[float | None], used: Sequence[float | None]) -> Reserved:
    """Over the containers of which both are known: what of a reservation was used cannot be told of others."""
    told = [(each, its) for each, its in zip(asked, used, strict=True) if each is not None]
    known = [(each, its) for each, its in told if its is not None]
    if not known:
        return Reserved()
    return Reserved(
        amount=sum(each for each, _ in known),
        used=sum(its for _, its in known),
        partial=len(known) < len(told),
        unused=sum(max(0.0, each - its) for each, its in known),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _is_plausible(value: Any) -> bool:
    match value:
        case bool() | None | str():
            return True
        case int() | float():
            return 0 <= value <= _MAX_NUMBER
        case Struct():
            return all(_is_plausible(getattr(value, name)) for name in value.__struct_fields__)
    return all(map(_is_plausible, value))
