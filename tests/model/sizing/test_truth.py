"""Generated histories with a known need: the advice is never below it, and near to it after ten runs."""

from __future__ import annotations

import pytest

from jobmeter.model.sample import ByteLimit
from jobmeter.model.sizing.advise import advise, answer
from jobmeter.model.sizing.figure import Figure
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from tests.model.sizing.histories import (
    GIB,
    MIB,
    Truth,
    bimodal,
    growing,
    live,
    observed,
    spiky,
    steady,
)

EXACT = Parameters(buffer_percent=0)
NEAR = 1.15


def requested(runs: list[Observation], parameters: Parameters = Parameters()) -> Figure:  # noqa: B008
    """What is advised for the one container."""
    (container,) = advise(runs, parameters).containers
    return Figure(
        container.memory.request_bytes,
        container.memory.limit_bytes,
        container.cpu.request_cores,
        container.cpu.limit_cores,
    )


@pytest.mark.parametrize("need", [90 * MIB, 700 * MIB, 3 * GIB, 11 * GIB])
@pytest.mark.parametrize("seed", range(8))
def test_a_steady_job_gets_its_need_after_ten_runs(need: int, seed: int) -> None:
    """Without a buffer no less than was observed, with one no less than any later run; both within 15 %."""
    truths = steady(10, need, seed=seed)
    runs = observed(truths)

    exact, spare = requested(runs, EXACT), requested(runs)

    assert max(truth.need_bytes for truth in truths) <= (exact.request_bytes or 0) <= NEAR * need
    assert need <= (spare.request_bytes or 0)
    assert need * 1.2 / NEAR <= (spare.request_bytes or 0) <= need * 1.2 * NEAR
    assert 1.6 <= (spare.request_cores or 0) <= 1.6 * 1.2 * NEAR


@pytest.mark.parametrize("per_run", [0.005, 0.01, 0.02])
def test_a_growing_job_is_never_overtaken(per_run: float) -> None:
    """At each run from the tenth on, the advice holds for the next one and is within 15 % of the best."""
    truths = growing(60, 800 * MIB, per_run=per_run)
    runs = observed(truths)

    for number in range(10, 60):
        request = requested(runs[:number]).request_bytes or 0
        assert truths[number].need_bytes <= request
        assert request <= truths[number].need_bytes * 1.2 * NEAR


@pytest.mark.parametrize("seed", range(8))
def test_of_two_kinds_of_runs_the_heavier_counts(seed: int) -> None:
    """However rare it is: once seen it is covered, and no more than that is asked for."""
    truths = bimodal(40, 600 * MIB, 2 * GIB, seed=seed)
    runs = observed(truths)

    for number in range(10, 40):
        most = max(truth.need_bytes for truth in truths[max(0, number - 20) : number])
        request = requested(runs[:number], EXACT).request_bytes or 0
        assert most <= request <= NEAR * most


def test_a_cache_heavy_build_that_fits_into_a_quarter_gets_a_quarter() -> None:
    """The kernel charged it up to its limit, since it reads files; what it needs is far below."""
    truths = steady(10, 800 * MIB)
    for truth in truths:
        truth.cache_bytes = 20 * GIB
    runs = observed(truths, memory_limit=4 * GIB)

    advice = answer(runs)
    (container,), (evidence,) = advice.containers, advice.evidence

    assert evidence.memory_charged_peak_bytes == 4 * GIB
    assert 800 * MIB <= (container.memory.request_bytes or 0) <= GIB
    assert container.memory.limit_bytes == GIB
    assert advice.backtest
    assert advice.backtest.would_be_killed == 0
    assert (advice.backtest.saved_memory_byte_seconds or 0) > 0


@pytest.mark.parametrize("start", [64 * MIB, 256 * MIB, GIB])
def test_a_job_that_is_killed_is_raised_until_it_lives(start: int) -> None:
    """It runs under what it is advised: kills double the limit, then its need is known to 15 %."""
    need = 1331 * MIB

    def limits(past: list[Observation]) -> ByteLimit:
        return requested(past, Parameters(default_memory_bytes=start)).limit_bytes if past else start

    runs, kills = live(steady(40, need), limits)

    assert 1 <= kills <= 5
    assert all(run.outcome == "ok" for run in runs[kills:])
    assert need <= (requested(runs).request_bytes or 0) <= need * 1.2 * NEAR


@pytest.mark.parametrize("heavy_every", [4, 9, 15])
def test_a_rare_kill_is_not_forgotten_for_many_light_runs(heavy_every: int) -> None:
    """The light runs in between say nothing of what the heavy one needs; it dies once, or twice, not each time."""
    truths = spiky(80, 600 * MIB, every=heavy_every, times=4)

    def limits(past: list[Observation]) -> ByteLimit:
        return requested(past).limit_bytes if len(past) > 2 else GIB

    _, kills = live(truths, limits)

    assert 1 <= kills <= 2


@pytest.mark.parametrize("demand, limit", [(3.0, 1.0), (2.0, 0.5), (7.5, 4.0)])
def test_a_throttled_job_gets_what_it_was_held_back_from(demand: float, limit: float) -> None:
    """Its use is its limit, whatever it would have used; what the kernel withheld is added."""
    runs = observed(steady(10, GIB, noise=0, cores=demand), cpu_limit=limit)

    found = requested(runs, EXACT)

    assert demand <= (found.request_cores or 0) <= demand * NEAR
    assert (found.limit_cores or 0) >= demand
    assert answer(runs).evidence[0].notes


def test_the_legs_of_a_matrix_have_needs_of_their_own() -> None:
    """Asked for one leg, that leg; asked for all, the highest, and the reason says so."""
    small = [Truth(need_bytes=300 * MIB, matrix={"os": "linux"}) for _ in range(10)]
    large = [Truth(need_bytes=2 * GIB, matrix={"os": "windows"}) for _ in range(10)]
    mixed = observed([truth for pair in zip(small, large, strict=True) for truth in pair])

    linux = [run for run in mixed if run.leg == "os=linux"]
    both = advise(mixed, EXACT)

    assert requested(linux, EXACT).request_bytes == 304 * MIB
    assert requested(mixed, EXACT).request_bytes == 2 * GIB
    assert "highest of 2 legs: os=linux; os=windows" in both.meta.reason
    assert both.meta.outliers == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_rare_spike_is_named_and_covered(seed: int) -> None:
    """One run of twenty needs three times as much: an outlier, yet memory is never below it."""
    runs = observed(spiky(20, 500 * MIB, every=20, seed=seed))

    advice = advise(runs, EXACT)

    assert [outlier.run_uid for outlier in advice.meta.outliers] == [runs[19].run_uid]
    assert advice.containers[0].memory.request_bytes == 1504 * MIB


def test_runs_that_ended_early_tell_a_lower_bound_only() -> None:
    """They neither lower the advice nor count to its confidence; one that held more raises it."""
    whole = observed(steady(3, GIB, noise=0))
    early = observed(steady(10, GIB, noise=0), first=3, reason="failure", progress=0.2)
    lost = observed([Truth(need_bytes=3 * GIB)], first=13, reason="lost", progress=0.5)

    assert requested(whole + early, EXACT).request_bytes == GIB
    assert requested(whole + early + lost, EXACT).request_bytes == 1536 * MIB
    assert advise(early).meta.confidence_phase == "unknown"
    assert advise(whole[:2] + early).meta.confidence_phase == "learning"
    assert advise(whole + early).meta.confidence_phase == "confident"
