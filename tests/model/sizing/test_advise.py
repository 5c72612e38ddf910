"""What the advice says beside its figures: phases, reasons, notes, outliers, totals."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobmeter.model.sizing.advise import advise, answer
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.outliers import high_outliers
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.statistics import Statistic, median
from tests.model.sizing.histories import GIB, MIB, Truth, observed, steady


def with_use(runs: list[Observation], **fields: object) -> list[Observation]:
    """The runs with their first container changed."""
    return [
        replace(run, containers=(replace(run.containers[0], **fields), *run.containers[1:])) for run in runs
    ]


def beside(runs: list[Observation], *names: str) -> list[Observation]:
    """The runs with a container more for each name, as large as the first."""
    return [
        replace(
            run, containers=run.containers + tuple(replace(run.containers[0], name=name) for name in names)
        )
        for run in runs
    ]


STEADY = observed(steady(10, GIB, noise=0))


@pytest.mark.parametrize(
    "runs, phase, reason",
    [
        ([], "unknown", "No run was observed"),
        (STEADY[:1], "learning", "1 clean run of 1. Only one clean run of build, 3 are needed"),
        (STEADY[:2], "learning", "2 clean runs of 2. Only 2 clean runs of build"),
        (STEADY[:3], "confident", "3 clean runs of 3."),
        ([replace(run, outcome="lost") for run in STEADY], "unknown", "0 clean runs of 10; 10 lost"),
        (STEADY + observed([Truth(need_bytes=2 * GIB)], first=10, memory_limit=GIB), "learning",
         "build was killed for want of memory at 1 GiB"),
        (STEADY + observed([Truth(need_bytes=2 * GIB)], first=10, memory_limit=512 * MIB), "confident",
         "10 clean runs of 11; 1 killed for want of memory: what these used is a lower bound."),
        (STEADY[:9] + beside(STEADY[9:], "redis"), "learning", "Only one clean run of redis"),
        (beside(STEADY[:1], "redis") + STEADY[1:], "confident", "10 clean runs of 10."),
    ],
)  # fmt: skip
def test_the_phase_and_its_reason(runs: list[Observation], phase: str, reason: str) -> None:
    """By the containers of the newest run: enough clean runs of each, and no kill that is not explained."""
    meta = advise(runs).meta

    assert meta.confidence_phase == phase
    assert reason in meta.reason
    assert meta.runs_analyzed == len(runs)


@pytest.mark.parametrize(
    "runs, note",
    [
        (with_use(STEADY, memory_charged_peak_bytes=4 * GIB), "The kernel charged it up to 4 GiB, page cache included"),
        (with_use(STEADY, memory_source="rss"), "a sum of RSS"),
        (with_use(STEADY, memory_need_bytes=None), "could not be read; it is not in the total"),
        (with_use(STEADY, throttled_cores=0.5), "withheld up to 0.50 cores"),
        (with_use(STEADY, killed_at_bytes=2 * GIB)[:1] + STEADY[1:], "memory at 2 GiB, and no run shows how much"),
        (with_use(STEADY, killed_at_bytes=7)[:1] + with_use(STEADY[1:], memory_need_bytes=GIB + 1), "other runs show"),
        (with_use(STEADY[:4], memory_need_bytes=None) + STEADY[4:], "could not be read in 4 of 10 runs: request"),
        (with_use([replace(run, outcome="lost") for run in STEADY], memory_need_bytes=None), "not be read. Without"),
        (with_use(STEADY, cpu_cores=Statistic(peak=1.0, avg=0.5))[:3] + STEADY[3:], "the peak counts: 3 of 10 runs"),
        ([replace(run, cpu_complete=False) for run in STEADY], "a lower bound in 10 of 10 runs"),
        ([replace(run, outcome="failed") for run in STEADY], "no less than the default of 4 GiB"),
    ],
)  # fmt: skip
def test_notes_say_what_to_know(runs: list[Observation], note: str) -> None:
    """One sentence for each thing that the figures alone do not tell."""
    (evidence,) = advise(runs).evidence

    assert note in " ".join(evidence.notes)


def test_memory_that_some_runs_did_not_tell_is_counted() -> None:
    """By who reads the figures too: so many runs may have needed more."""
    runs = with_use(STEADY[:4], memory_need_bytes=None) + STEADY[4:]

    assert advise(runs).evidence[0].memory_unread_runs == 4
    assert advise(STEADY).evidence[0].memory_unread_runs == 0


def test_a_plain_history_needs_no_note() -> None:
    """Nothing to know, nothing said."""
    assert advise(STEADY).evidence[0].notes == ()
    assert advise(STEADY).meta.outliers == ()


def test_missing_values_are_missing() -> None:
    """A container of which nothing was read has no figures, and no zeros."""
    nothing = ContainerUse(name="build", cpu_cores=Statistic())
    runs = [replace(run, containers=(nothing,)) for run in STEADY]

    advice = advise(with_use(STEADY, memory_need_bytes=None))
    blind = advise(runs)

    assert advice.containers[0].memory.request_bytes is None
    assert advice.total.memory.request_bytes is None
    assert advice.total.cpu.request_cores == 1.95
    assert (blind.meta.runs_analyzed, blind.meta.confidence_phase) == (0, "unknown")


def test_the_total_is_of_containers_that_ran_together() -> None:
    """A service that was dropped and the one that came for it never ran together."""
    old, new = beside(STEADY[:5], "mysql"), beside(STEADY[5:], "postgres")

    advice = advise(old + new, Parameters(buffer_percent=0))

    assert [each.name for each in advice.containers] == ["build", "mysql", "postgres"]
    assert advice.total.memory.request_bytes == 2 * GIB


LATER = observed(steady(1, GIB, noise=0), first=10)


def alone(count: int, first: int, need: int = 9 * GIB) -> list[Observation]:
    """Runs of the same job with another container than those of the CI, as a developer's."""
    return observed([Truth(need_bytes=need)] * count, first=first, name="job")


@pytest.mark.parametrize(
    "runs, phase, in_total",
    [
        (STEADY[:8] + alone(2, 8) + LATER, "confident", {"build": True, "job": False}),
        (alone(2, 0) + observed(steady(10, GIB, noise=0), first=2), "confident", {"build": True, "job": False}),
        (STEADY + alone(2, 10), "learning", {"build": True, "job": True}),
        (STEADY + [replace(run, leg="os=linux") for run in alone(2, 10)], "learning", {"build": True, "job": True}),
        (
            STEADY[:8] + with_use(alone(2, 8), killed_at_bytes=8 * GIB) + LATER,
            "confident", {"build": True, "job": True},
        ),
        (STEADY[:7] + alone(3, 7) + LATER, "confident", {"build": True, "job": True}),
        (STEADY[:2] + alone(2, 2), "learning", {"build": True, "job": True}),
        (STEADY[:9] + beside(STEADY[9:], "redis"), "learning", {"build": True, "redis": True}),
    ],
    ids=[
        "between others", "oldest", "newest", "a leg of its own", "killed", "three", "nothing is usual yet",
        "a new service",
    ],
)  # fmt: skip
def test_a_container_of_few_runs_that_ran_beside_no_other_is_not_in_the_total(
    runs: list[Observation], phase: str, in_total: dict[str, bool]
) -> None:
    """It is named, has advice of its own, and does not lower the phase of the others."""
    advice = advise(runs, Parameters(buffer_percent=0))
    requests = {each.name: each.memory.request_bytes or 0 for each in advice.containers}

    assert advice.meta.confidence_phase == phase
    assert {each.name: each.in_total for each in advice.evidence} == in_total
    assert ("job was in 2 runs only, and is not in the total." in advice.meta.reason) == (
        False in in_total.values()
    )
    beside_each_other = requests["build"] + requests.get("redis", 0)
    assert advice.total.memory.request_bytes == max(
        beside_each_other, requests.get("job", 0) if in_total.get("job") else 0
    )


def test_only_the_last_runs_count() -> None:
    """What is older than the window is forgotten, by leg."""
    runs = observed(steady(3, 4 * GIB)) + observed(steady(5, GIB, noise=0), first=3)

    assert advise(runs, Parameters(runs=5, buffer_percent=0)).containers[0].memory.request_bytes == GIB
    assert advise(runs, Parameters(runs=5)).meta.runs_analyzed == 5
    assert answer(runs, Parameters(runs=5)).backtest is not None


@pytest.mark.parametrize(
    "values, far",
    [
        ([100, 101, 99, 100, 300], [4]),
        ([100, 101, 99, 100, 120], []),
        ([100, 200, 100, 200, 100, 200], []),
        ([100, 100, 100, 1], []),
        ([100, 100, 100, 900], []),
        ([0, 0, 0, 0, 1], [4]),
    ],
)
def test_outliers_are_far_above_the_others(values: list[float], far: list[int]) -> None:
    """By median and median absolute deviation; of few runs none is usual yet, and small steps are none."""
    assert high_outliers(values) == (median(values), far)
