"""Histories of jobs whose true needs are known: what the machine would have recorded of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec import Struct

from jobmeter.model.exits import Exit
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ByteLimit, Limit
from jobmeter.model.sizing.observation import Observation, observe
from jobmeter.model.statistics import Statistic
from jobmeter.model.summary import ContainerSummary, Summary

MIB = 2**20
GIB = 2**30
HOST = Host(name="ci-7", cpus=8, memory_bytes=32 * GIB)


class Truth(Struct, kw_only=True):
    """What one run of a job truly needs: memory, page cache that it would like, cores while it works."""

    need_bytes: int
    cache_bytes: int = 0
    cores: float = 1.0
    duration_seconds: float = 600.0
    matrix: dict[str, str | int | float | bool | None] | None = None


def when(number: int) -> str:
    """The end of the run of this number: one every six hours."""
    month, day = divmod(number // 4, 28)
    return f"{2025 + month // 12}-{month % 12 + 1:02d}-{day + 1:02d}T{number % 4 * 6:02d}:00:00.000Z"


def metered(
    number: int,
    truth: Truth,
    *,
    memory_limit: ByteLimit = "unlimited",
    cpu_limit: Limit = "unlimited",
    reason: str = "success",
    progress: float = 1.0,
    name: str = "build",
) -> Summary:
    """The summary of a run under limits: killed where its need is above them, throttled where it is busier.

    A run that ends early (``progress`` below 1) has used that share of its memory. The working set was sampled a
    little below the need, the kernel's own peak counts cache up to the limit.
    """
    need = int(truth.need_bytes * progress)
    killed = isinstance(memory_limit, int) and need > memory_limit
    if killed and isinstance(memory_limit, int):
        need, reason = memory_limit, "oom"
    charged = need + truth.cache_bytes
    allowed = truth.cores if isinstance(cpu_limit, str) or cpu_limit is None else min(truth.cores, cpu_limit)
    duration = truth.duration_seconds * progress * (0.5 if killed else 1.0)
    container = ContainerSummary(
        name=name,
        cpu_cores=Statistic(allowed, allowed, allowed, allowed * 0.9, allowed * 0.7, allowed * 0.6),
        memory_source="working_set",
        memory_working_set_peak_bytes=need,
        memory_high_water_bytes=need // 2,
        memory_charged_peak_bytes=min(charged, memory_limit) if isinstance(memory_limit, int) else charged,
        memory_limit_bytes=memory_limit,
        cpu_limit_cores=cpu_limit,
        throttled_seconds=(truth.cores - allowed) * duration,
        oom_kills=int(killed),
    )
    return Summary(
        run_uid=f"019aa5e2-4f00-7abc-8def-{number:012x}",
        job=Job(
            organization="acme",
            repository="acme/shop",
            workflow="ci.yml",
            job="build",
            matrix=truth.matrix,
            ref="refs/heads/main",
        ),
        start_time=when(number),
        end_time=when(number),
        duration_seconds=duration,
        sample_count=int(duration),
        containers=[container],
        exit=Exit(reason=reason),
        host=HOST,
    )


def observed(truths: Sequence[Truth], first: int = 0, **conditions: object) -> list[Observation]:
    """Observations of runs under the same conditions, which are those of `metered`."""
    return [
        observe(metered(number, truth, **conditions))  # type: ignore[arg-type]
        for number, truth in enumerate(truths, first)
    ]


def steady(count: int, need: int, *, noise: float = 0.04, seed: int = 1, cores: float = 1.6) -> list[Truth]:
    """The same each time, but for noise of this share; ``need`` is the most of it."""
    draw = random.Random(seed)
    return [
        Truth(need_bytes=int(need * (1 - noise * draw.random())), cores=cores * (1 - noise * draw.random()))
        for _ in range(count)
    ]


def growing(count: int, need: int, *, per_run: float = 0.01) -> list[Truth]:
    """A little more in each run."""
    return [Truth(need_bytes=int(need * (1 + per_run) ** number)) for number in range(count)]


def bimodal(count: int, low: int, high: int, *, share: float = 0.3, seed: int = 1) -> list[Truth]:
    """Two kinds of runs, as those that find a build cache and those that do not."""
    draw = random.Random(seed)
    return [Truth(need_bytes=high if draw.random() < share else low) for _ in range(count)]


def spiky(count: int, need: int, *, every: int, times: float = 3.0, seed: int = 1) -> list[Truth]:
    """Noise, and a rare run that needs a multiple."""
    truths = steady(count, need, seed=seed)
    for number in range(every - 1, count, every):
        truths[number].need_bytes = int(need * times)
    return truths


def live(
    truths: Sequence[Truth], limits: Callable[[list[Observation]], ByteLimit]
) -> tuple[list[Observation], int]:
    """A job that runs under the limit it is given by its past; with how many runs were killed."""
    past: list[Observation] = []
    for number, truth in enumerate(truths):
        past.append(observe(metered(number, truth, memory_limit=limits(past))))
    return past, sum(run.outcome == "killed" for run in past)
