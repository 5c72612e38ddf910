"""What one stored run tells about the needs of its containers: the only input of sizing.

An observation is small (some 100 bytes a container in its stored form), so a store may keep it beside the summary it
was made from, and make it again at any time.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from jobmeter.model.memory_need import memory_need_bytes
from jobmeter.model.sample import ByteLimit, Limit, MemorySource
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary, Summary

Outcome = Literal["ok", "failed", "lost", "killed"]

# A job that did not succeed, and whose working set came this near to its limit, probably ended of it.
NEAR_LIMIT = 0.95
# Of a branch's name so much is kept.
_MAX_REF_LENGTH = 200

# What engines and runners put into a name is new in each run: numbers of tasks, ids.
_VOLATILE = (
    (re.compile(r"\bACTIONS-TASK-\d+"), "ACTIONS-TASK-*"),
    (re.compile(r"\brunner-\S+-project-\d+-concurrent-\d+"), "runner-*"),
    (re.compile(r"\b[0-9a-f]{32}_(.+)_[0-9a-f]{6}\b"), r"*_\1_*"),
    (re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![a-zA-Z])\d*"), "*"),
    (re.compile(r"(?<![0-9a-zA-Z])(?=[a-f]*\d)[0-9a-f]{12,}(?![0-9a-zA-Z])"), "*"),
)


class ContainerUse(Struct, frozen=True, kw_only=True, array_like=True):
    """What one container of a run used and what bound it; None is what is not known.

    ``memory_need_bytes``: the highest of its working set (the sum of RSS where no cgroup could be read) and the
    largest process it ever had. ``killed_at_bytes``: where it was killed for want of memory, what was not enough.
    ``throttled_cores``: CPU that its limit withheld, averaged over the run; the kernel sums it over CPUs.
    """

    name: str
    cpu_cores: Statistic
    memory_need_bytes: int | None = None
    killed_at_bytes: int | None = None
    throttled_cores: float | None = None
    memory_source: MemorySource | None = None
    memory_charged_peak_bytes: int | None = None
    memory_limit_bytes: ByteLimit = None
    memory_request_bytes: int | None = None
    cpu_limit_cores: Limit = None
    cpu_request_cores: float | None = None


class Observation(Struct, frozen=True, kw_only=True, array_like=True):
    """One run: its containers (those nested in no other, their numbers include the nested ones) and how it ended.

    ``leg`` names the leg of a matrix, "" without one. ``cpu_complete`` is False where CPU use is a lower bound.
    ``ref`` is the full git reference, None also in what an older release stored.
    """

    run_uid: str
    end_time: str
    duration_seconds: float
    outcome: Outcome
    containers: tuple[ContainerUse, ...]
    leg: str = ""
    cpu_complete: bool = True
    host_cpus: int | None = None
    host_memory_bytes: int | None = None
    ref: str | None = None


def observe(summary: Summary) -> Observation:
    """What a summary tells."""
    tops = [each for each in summary.containers if each.parent is None]
    killed = _killed(summary, tops)
    uses = (
        _use(container, name, summary.duration_seconds, killed.get(index))
        for index, (container, name) in enumerate(zip(tops, stable_names(tops), strict=True))
    )
    return Observation(
        run_uid=summary.run_uid,
        end_time=summary.end_time,
        duration_seconds=summary.duration_seconds,
        outcome=_outcome(summary.exit.reason, killed=bool(killed)),
        containers=tuple(uses),
        leg=leg_name(summary.job.matrix),
        cpu_complete=summary.cpu_complete,
        host_cpus=summary.host.cpus,
        host_memory_bytes=summary.host.memory_bytes,
        ref=summary.job.ref[:_MAX_REF_LENGTH] if summary.job.ref else None,
    )


def encode(observation: Observation) -> bytes:
    """The stored form: msgpack arrays, to which later releases only append."""
    return msgspec.msgpack.encode(observation)


def decode(stored: bytes) -> Observation:
    """The observation of its stored form; raises msgspec.DecodeError."""
    return _DECODER.decode(stored)


def in_order(observations: Sequence[Observation]) -> list[Observation]:
    """From the oldest to the newest."""
    return sorted(observations, key=lambda each: (each.end_time, each.run_uid))


def leg_name(matrix: dict[str, str | int | float | bool | None] | None) -> str:
    """``os=linux, python=3.12``: one leg of a matrix has one name, however its values are ordered."""
    return ", ".join(f"{key}={matrix[key]}" for key in sorted(matrix)) if matrix else ""


def stable_names(containers: Sequence[ContainerSummary]) -> list[str]:
    """Names by which containers are known again in the next run; the second of a name is called ``name (2)``."""
    names: list[str] = []
    numbers: Counter[str] = Counter()
    for container in containers:
        stem = container.name
        for pattern, replacement in _VOLATILE:
            stem = pattern.sub(replacement, stem)
        name = stem
        while numbers[name]:
            numbers[stem] += 1
            name = f"{stem} ({numbers[stem]})"
        numbers[name] += 1
        names.append(name)
    return names


def _use(
    container: ContainerSummary, name: str, duration_seconds: float, killed_at_bytes: int | None
) -> ContainerUse:
    throttled = container.throttled_seconds
    return ContainerUse(
        name=name,
        cpu_cores=container.cpu_cores,
        memory_need_bytes=memory_need_bytes(container),
        killed_at_bytes=killed_at_bytes,
        throttled_cores=throttled / duration_seconds if throttled is not None and duration_seconds else None,
        memory_source=container.memory_source,
        memory_charged_peak_bytes=container.memory_charged_peak_bytes,
        memory_limit_bytes=container.memory_limit_bytes,
        memory_request_bytes=container.memory_request_bytes,
        cpu_limit_cores=container.cpu_limit_cores,
        cpu_request_cores=container.cpu_request_cores,
    )


def _outcome(reason: str, *, killed: bool) -> Outcome:
    """A sidecar sees no exit code: what it saw to the end, and saw nothing wrong with, counts as whole.

    A run that succeeded although a process was killed went to its end: its other containers tell all.
    """
    if reason == "success":
        return "ok"
    if killed or reason == "oom":
        return "killed"
    words: dict[str, Outcome] = {"unknown": "ok", "lost": "lost"}
    return words.get(reason, "failed")


def _killed(summary: Summary, tops: Sequence[ContainerSummary]) -> dict[int, int]:
    """By the place of a container that was killed for want of memory: how much was not enough."""
    found = {index: _bound(summary, top) for index, top in enumerate(tops) if _hit(summary, top)}
    if not found and summary.exit.reason == "oom" and tops:
        victim = max(
            range(len(tops)), key=lambda index: (_fullness(tops[index]), memory_need_bytes(tops[index]) or 0)
        )
        found = {victim: _bound(summary, tops[victim])}
    return {index: bound for index, bound in found.items() if bound}


def _hit(summary: Summary, top: ContainerSummary) -> bool:
    """Killed by the kernel's count, or most probably: it did not succeed and held almost its whole limit.

    Where the kernel counted none, a working set near the limit proves nothing, since file pages in use are in it; but
    one process as large as that does.
    """
    if any(each.oom_kills for each in _tree(summary, top)):
        return True
    limit = top.memory_limit_bytes
    held = memory_need_bytes(top) if top.oom_kills is None else top.memory_high_water_bytes
    near = isinstance(limit, int) and held is not None and held >= NEAR_LIMIT * limit
    return near and summary.exit.reason != "success"


def _bound(summary: Summary, top: ContainerSummary) -> int:
    """The limit at which the innermost was killed, or what was held if that is more or no limit is known."""
    hit = [each for each in _tree(summary, top) if each.oom_kills] or [top]
    limits = [each.memory_limit_bytes for each in hit]
    return max(
        min((each for each in limits if isinstance(each, int)), default=0), memory_need_bytes(top) or 0
    )


def _tree(summary: Summary, top: ContainerSummary) -> list[ContainerSummary]:
    """A container and all that are nested in it."""
    inside, keys = [top], {top.id or top.name}
    for container in summary.containers:
        if container is not top and container.parent in keys:
            inside.append(container)
            keys.add(container.id or container.name)
    return inside


def _fullness(container: ContainerSummary) -> float:
    """The share of its memory limit that a container was seen to hold; 0 without a limit."""
    limit = container.memory_limit_bytes
    return (memory_need_bytes(container) or 0) / limit if isinstance(limit, int) and limit else 0.0


_DECODER: msgspec.msgpack.Decoder[Observation] = msgspec.msgpack.Decoder(Observation)
