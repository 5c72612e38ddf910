"""Observations of summaries as they are stored: only what sizing reads of them is decoded.

Other collectors send the older form without ``schema``: its memory is a sum of RSS, and its CPU lacks processes that
lived between two samples.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobmeter.model.exits import Exit
from jobmeter.model.job import Host, Job
from jobmeter.model.sizing.observation import ContainerUse, Observation, observe
from jobmeter.model.summary import ContainerSummary, Summary

# No machine has more of anything, and what advice makes of it still fits into 64 bits.
_MAX_NUMBER = 2**50
# Of one run; more are not compared with each other.
_MAX_CONTAINERS = 256


class _Payload(Struct):
    schema: str | None = None
    run_uid: str | None = None
    end_time: str | None = None
    duration_seconds: float | None = None
    cpu_complete: bool = True
    containers: list[ContainerSummary] | None = None
    exit: Exit | None = None
    job: Job | None = None
    host: Host | None = None


_DECODER = msgspec.json.Decoder(_Payload)


def observe_payload(content: bytes, *, run_uid: str, end_time: str) -> Observation | None:
    """What stored JSON tells; ``run_uid`` and ``end_time`` (RFC 3339, UTC) are used where it has none.

    None where it is no summary, or one with numbers that no machine has: a receiver takes whatever it is sent.
    """
    try:
        told = _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None
    # Runs are put in order by this text, so one with an offset cannot be taken.
    end = told.end_time if told.end_time and told.end_time.endswith("Z") else end_time
    containers = told.containers or []
    if len(containers) > _MAX_CONTAINERS:
        return None
    if told.schema is None:
        containers = [replace(each, memory_source=each.memory_source or "rss") for each in containers]
    summary = Summary(
        run_uid=told.run_uid or run_uid,
        start_time=end,
        end_time=end,
        duration_seconds=max(0.0, told.duration_seconds or 0.0),
        sample_count=0,
        cpu_complete=told.cpu_complete and told.schema is not None,
        containers=containers,
        exit=told.exit or Exit(),
        job=told.job or Job(),
        host=told.host or Host(),
    )
    try:
        observed = observe(summary)
    except OverflowError:
        return None
    return observed if _is_plausible(observed) else None


def _is_plausible(run: Observation) -> bool:
    return _are_plausible((run.duration_seconds, run.host_cpus, run.host_memory_bytes)) and all(
        _are_plausible(_numbers(use)) for use in run.containers
    )


def _are_plausible(values: Iterable[float | str | None]) -> bool:
    for value in values:
        if value is not None and not isinstance(value, str) and not 0 <= value <= _MAX_NUMBER:
            return False
    return True


def _numbers(use: ContainerUse) -> tuple[float | str | None, ...]:
    cores = use.cpu_cores
    return (
        cores.peak, cores.p99, cores.p95, cores.p75, cores.p50, cores.avg,
        use.memory_need_bytes, use.killed_at_bytes, use.memory_charged_peak_bytes,
        use.memory_limit_bytes, use.memory_request_bytes,
        use.throttled_cores, use.cpu_limit_cores, use.cpu_request_cores,
    )  # fmt: skip
