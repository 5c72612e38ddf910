from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.sizing.figure import Aggregate
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.window import SlidingMax, Walk, cores_needed, is_clean
from jobmeter.model.statistics import Statistic
from tests.model.sizing.histories import GIB, MIB, observed, steady
from tests.model.sizing.strategies import histories, parameters


@given(st.lists(st.none() | st.integers(0, 9), max_size=40), st.integers(1, 5))
def test_a_sliding_maximum_is_that_of_the_last_values(values: list[int | None], size: int) -> None:
    """At each place the same as the largest of the list's end; gaps are not there."""
    sliding: SlidingMax[int] = SlidingMax()
    for place, value in enumerate(values):
        sliding.push(place, value)
        window = [each for each in values[max(0, place + 1 - size) : place + 1] if each is not None]
        assert sliding.since(place + 1 - size) == max(window, default=None)


@given(histories, parameters)
def test_a_window_knows_what_the_last_runs_tell(runs: list[Observation], chosen: Parameters) -> None:
    """Counts and maxima of the last runs of a leg, by the plain definition."""
    walk = Walk(chosen)
    for run in runs:
        walk.add(run)

    for leg in {run.leg for run in runs}:
        last = [run for run in runs if run.leg == leg][-chosen.runs :]
        for name in {use.name for run in last for use in run.containers}:
            seen = [(run, use) for run in last for use in run.containers if use.name == name]
            found = walk.known(name)[leg]
            assert found.clean_runs == sum(is_clean(*each) for each in seen)
            bounds = [each for _, use in seen for each in (use.killed_at_bytes, use.memory_need_bytes)]
            assert found.observed_bytes == max((each for each in bounds if each is not None), default=None)
            cores = [cores_needed(*each, chosen.cpu_percentile) for each in seen]
            assert found.cores == max((each for each in cores if each is not None), default=None)


def test_a_container_that_no_run_of_the_window_had_is_forgotten() -> None:
    """Its advice goes with its last run."""
    walk = Walk(Parameters(runs=2))
    walk.add(observed(steady(1, GIB), name="old")[0])
    assert walk.advised("old")
    assert walk.advised("build") is None
    for run in observed(steady(2, GIB), first=1):
        walk.add(run)

    assert walk.advised("old") is None
    assert walk.known("old") == {}
    assert walk.known("build")[""].clean_runs == 2


def test_cores_needed_are_what_was_used_and_withheld() -> None:
    """At most what the machine has; a run too short for percentiles has its peak; without a reading there is none."""
    (run,) = observed(steady(1, GIB))

    def needed(statistic: Statistic, throttled: float | None = None) -> float | None:
        use = ContainerUse(name="build", cpu_cores=statistic, throttled_cores=throttled)
        return cores_needed(run, use, "p95")

    assert needed(Statistic(peak=2.0, p95=1.5, avg=1.0)) == 1.5
    assert needed(Statistic(peak=2.0, p95=1.5, avg=1.0), 0.75) == 2.25
    assert needed(Statistic(peak=2.0, p95=1.5, avg=1.0), 99.0) == 8
    assert needed(Statistic(peak=2.0, avg=1.0)) == 2.0
    assert needed(Statistic(avg=1.0)) == 1.0
    assert needed(Statistic(), 0.5) is None


def test_a_kill_is_a_bound_and_no_need() -> None:
    """It is explained when a run that lived needed more than what was not enough."""
    killed = Aggregate(need_bytes=300 * MIB, killed_at_bytes=512 * MIB)

    assert killed.observed_bytes == 512 * MIB
    assert killed.kill_unexplained
    assert not killed._replace(need_bytes=513 * MIB).kill_unexplained
    assert not Aggregate(need_bytes=300 * MIB).kill_unexplained
