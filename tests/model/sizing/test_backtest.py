"""The walk forward, against a walk that asks for the advice anew before each run."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from msgspec.structs import replace

from jobmeter.model.sizing.advise import advise, answer
from jobmeter.model.sizing.answer import Advice, Backtest
from jobmeter.model.sizing.backtest import Request, backtest, requests_today
from jobmeter.model.sizing.observation import ContainerUse, Observation, in_order
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.window import cores_needed
from tests.model.sizing.histories import GIB, MIB, Truth, observed, spiky, steady
from tests.model.sizing.strategies import histories, parameters

THREE = observed(steady(3, GIB, noise=0))


def brute_force(
    observations: list[Observation], chosen: Parameters, today: dict[str, Request] | None = None
) -> Backtest:
    """The definition: before each run ask for advice by all the runs before it."""
    ordered = in_order(observations)
    requests = requests_today(ordered) if today is None else today
    runs = killed = throttled = 0
    memory: list[float] = []
    cpu: list[float] = []
    for number, run in enumerate(ordered):
        advice = advise(ordered[:number], chosen)
        judged = [(use, advised) for use in run.containers if (advised := _advised(advice, use.name))]
        if not judged:
            continue
        runs += 1
        killed += any(_killed(use, advised) for use, advised in judged)
        throttled += any(
            (cores_needed(run, use, "peak") or 0) > (advised[3] or 1e9) for use, advised in judged
        )
        for use, (request_bytes, _, request_cores, _) in judged:
            now = requests.get(use.name, Request())
            if now.memory_bytes is not None and request_bytes is not None:
                memory.append((now.memory_bytes - request_bytes) * run.duration_seconds)
            if now.cpu_cores is not None and request_cores is not None:
                cpu.append((now.cpu_cores - request_cores) * run.duration_seconds)
    return Backtest(
        runs=runs,
        would_be_killed=killed,
        would_be_throttled=throttled,
        saved_memory_byte_seconds=sum(memory) if memory else None,
        saved_core_seconds=sum(cpu) if cpu else None,
    )


def _advised(advice: Advice, name: str) -> tuple[int | None, int | None, float | None, float | None] | None:
    for container, evidence in zip(advice.containers, advice.evidence, strict=True):
        if container.name == name and evidence.clean_runs:
            memory, processors = container.memory, container.cpu
            return memory.request_bytes, memory.limit_bytes, processors.request_cores, processors.limit_cores
    return None


def _killed(use: ContainerUse, advised: tuple[int | None, int | None, float | None, float | None]) -> bool:
    limit = advised[1]
    if limit is None:
        return False
    return (use.memory_need_bytes or 0) > limit or (use.killed_at_bytes or -1) >= limit


@given(histories, parameters)
def test_the_walk_equals_the_brute_force_walk(runs: list[Observation], chosen: Parameters) -> None:
    """For any history: gaps, kills, legs, containers that come and go, in any order."""
    assert backtest(runs, chosen) == brute_force(runs, chosen)


@pytest.mark.parametrize("seed", range(3))
def test_long_walks_equal_the_brute_force_walk(seed: int) -> None:
    """Over hundreds of runs, with a window that slides."""
    draw = random.Random(seed)
    runs = observed(spiky(150, 900 * MIB, every=17, seed=seed), memory_limit=2 * GIB, cpu_limit=1.0)
    runs += observed(steady(100, 700 * MIB, seed=seed), first=150, reason="failure", progress=0.7)
    draw.shuffle(runs)

    assert backtest(runs, Parameters(runs=7)) == brute_force(runs, Parameters(runs=7))


@given(histories, parameters)
def test_advice_is_never_below_what_the_window_saw(runs: list[Observation], chosen: Parameters) -> None:
    """No request is below a need or a kill in the last runs, however small the machine; no limit below a request."""
    advice = advise(runs, chosen)
    requests = {container.name: container for container in advice.containers}

    for evidence in advice.evidence:
        memory, cpu = requests[evidence.name].memory, requests[evidence.name].cpu
        for seen in (evidence.memory_need_bytes, evidence.killed_at_bytes):
            assert seen is None or seen <= (memory.request_bytes or 0)
        assert (memory.request_bytes or 0) <= (memory.limit_bytes or 0)
        assert (cpu.request_cores or 0) <= (cpu.limit_cores or 0)


@given(histories, parameters)
def test_order_does_not_matter(runs: list[Observation], chosen: Parameters) -> None:
    """The runs are put in order of their ends."""
    assert answer(runs[::-1], chosen) == answer(runs, chosen)


def test_what_is_saved_is_today_s_request_less_the_advice_by_time() -> None:
    """A build of 1 GiB that requests 4: learning it asks for 3, then for 1 and the buffer; the first is not judged."""
    runs = observed(steady(5, GIB, noise=0, cores=1.0))
    today = {"build": Request(memory_bytes=4 * GIB, cpu_cores=2.0)}

    found = backtest(runs, Parameters(buffer_percent=25), today)

    assert found.runs == 4
    assert found.saved_memory_byte_seconds == 600 * ((4 - 3) * 2 + (4 - 1.25) * 2) * GIB
    assert found.saved_core_seconds == pytest.approx(600 * (2 - 1.25) * 4)


def test_without_a_request_today_nothing_can_be_saved() -> None:
    """What is not known is null, not 0."""
    found = backtest(THREE, Parameters())

    assert (found.saved_memory_byte_seconds, found.saved_core_seconds) == (None, None)


def test_a_limit_alone_is_today_s_request() -> None:
    """As in Kubernetes; one that was told goes first, and the newest run counts."""
    old = observed([Truth(need_bytes=GIB)], memory_limit=8 * GIB, cpu_limit=2.0)
    new = observed([Truth(need_bytes=GIB)], first=1, memory_limit=4 * GIB)
    told = [replace(new[0], containers=(replace(new[0].containers[0], memory_request_bytes=GIB),))]

    assert requests_today(new + old) == {"build": Request(4 * GIB, None)}
    assert requests_today(old + told) == {"build": Request(GIB, None)}


@pytest.mark.parametrize(
    "truth, conditions, killed, throttled",
    [
        (Truth(need_bytes=4 * GIB), {}, 0, 0),  # learned of 1 GiB: 1.2 is requested, 2 is the limit
        (Truth(need_bytes=2 * GIB + 1), {}, 1, 0),
        (Truth(need_bytes=3 * GIB), {"memory_limit": 2 * GIB}, 1, 0),
        (Truth(need_bytes=GIB, cores=2.5), {}, 0, 1),
        (Truth(need_bytes=GIB, cores=2.5), {"cpu_limit": 1.0}, 0, 1),
    ],
)
def test_a_run_is_judged_by_its_need(
    truth: Truth, conditions: dict[str, object], killed: int, throttled: int
) -> None:
    """Killed above the limit advised, or at one that is no lower; throttled where its demand is above it."""
    first = THREE if killed or throttled else observed(steady(3, 4 * GIB, noise=0))
    found = backtest(first + observed([truth], first=3, **conditions), Parameters())

    assert (found.runs, found.would_be_killed, found.would_be_throttled) == (3, killed, throttled)
