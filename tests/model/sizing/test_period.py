from __future__ import annotations

import pytest
from hypothesis import given

from jobmeter.model.sizing.advise import advise
from jobmeter.model.sizing.advise_period import advise_period
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.period import Period, by_container, by_day, decode, encode, together
from tests.model.sizing.histories import GIB, MIB, Truth, observed, spiky, steady
from tests.model.sizing.strategies import histories, parameters


@given(histories, parameters)
def test_days_together_are_the_runs_together(runs: list[Observation], chosen: Parameters) -> None:
    """However the runs are cut into days: the advice of merged days is that of all their runs."""
    days = {key: decode(encode(period)) for key, period in by_day(runs).items()}

    found = advise_period(days, chosen)

    if len(runs) <= chosen.runs:
        by_runs = advise(runs, chosen)
        assert found.containers == by_runs.containers
        assert [each.memory_need_bytes for each in found.evidence] == [
            each.memory_need_bytes for each in by_runs.evidence
        ]
    for (leg, name), period in by_container(days).items():
        seen = [use for run in runs for use in run.containers if run.leg == leg and use.name == name]
        assert period.runs == len(seen)
        assert period.memory.count == sum(use.memory_need_bytes is not None for use in seen)


def test_a_heavy_run_of_months_ago_still_counts() -> None:
    """The window of runs has forgotten it, the year has not; the reason says how rare it is."""
    truths = steady(800, 500 * MIB)
    truths[10] = Truth(need_bytes=3 * GIB)
    runs = observed(truths)

    recent, year = advise(runs), advise_period(by_day(runs))

    assert (recent.containers[0].memory.request_bytes or 0) < 700 * MIB
    assert (year.containers[0].memory.request_bytes or 0) >= 3 * GIB
    assert year.meta.runs_analyzed == 800
    assert "All runs of 200 days from 2025-01-01 to 2025-08-04" in year.meta.reason
    assert year.evidence[0].memory_need_median_bytes == pytest.approx(490 * MIB, rel=0.02)


def test_what_ran_on_the_newest_day_is_the_total() -> None:
    """A service that was dropped is still advised, but no machine must have room for it."""
    runs = observed(steady(8, GIB), name="old") + observed(steady(8, GIB, noise=0), first=8)

    found = advise_period(by_day(runs))

    assert [each.name for each in found.containers] == ["build", "old"]
    assert found.total.memory == found.containers[0].memory


def test_nothing_observed_is_unknown() -> None:
    """The default, and the sentence of the advice by runs."""
    nothing = advise([])

    assert advise_period({}) == nothing
    assert nothing.meta.confidence_phase == "unknown"
    assert "No run was observed" in nothing.meta.reason


def test_merging_leaves_the_parts_as_they_are() -> None:
    """Days are kept, and merged again for the next question."""
    days = by_day(observed(spiky(12, GIB, every=5)))
    before = {key: encode(period) for key, period in days.items()}

    whole = together(days.values())

    assert whole.runs == 12
    assert {key: encode(period) for key, period in days.items()} == before
    assert together([]) == Period()
