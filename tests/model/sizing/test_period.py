from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobmeter.model.sizing import period as module
from jobmeter.model.sizing.advise import advise
from jobmeter.model.sizing.advise_period import advise_period
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.period import (
    MAX_APART,
    MAX_NAMES,
    MAX_PARTS,
    SHARED,
    Parts,
    Period,
    by_day,
    decode,
    encode,
    joined,
    parts_of,
    together,
)
from tests.model.sizing.histories import GIB, MIB, Truth, observed, spiky, steady
from tests.model.sizing.strategies import histories, parameters


@given(histories, parameters)
def test_days_together_are_the_runs_together(runs: list[Observation], chosen: Parameters) -> None:
    """However the runs are cut into days: the advice of merged days is that of all their runs."""
    days = {day: decode(encode(parts)) for day, parts in by_day(runs).items()}

    found = advise_period(days, chosen)

    if len(runs) <= chosen.runs:
        by_runs = advise(runs, chosen)
        assert found.containers == by_runs.containers
        assert [each.memory_need_bytes for each in found.evidence] == [
            each.memory_need_bytes for each in by_runs.evidence
        ]
    for (leg, name), period in joined(days.values()).items():
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


def test_what_is_not_in_the_total_is_said() -> None:
    """With the day on which it was last seen."""
    usual = observed(steady(8, GIB, noise=0), first=2)
    runs = observed([Truth(need_bytes=9 * GIB)] * 2, name="job") + usual

    found, without = advise_period(by_day(runs)), advise_period(by_day(usual))

    assert (found.total, found.meta.confidence_phase) == (without.total, "confident")
    assert [(each.name, each.in_total) for each in found.evidence] == [("build", True), ("job", False)]
    last = runs[1].end_time[:10]
    assert (
        f"job was last seen on {last}, before the newest day of its leg, and is not in the"
        in found.meta.reason
    )
    assert "not in the total" not in without.meta.reason


def test_what_ran_on_the_newest_day_alone_is_in_the_total() -> None:
    """However few its runs are: it may be what runs next."""
    runs = observed(steady(8, GIB, noise=0)) + observed([Truth(need_bytes=9 * GIB)], first=8, name="job")

    found = advise_period(by_day(runs))

    assert (found.total.memory.request_bytes or 0) >= 9 * GIB
    assert found.meta.confidence_phase == "learning"


def test_legs_are_not_added_up() -> None:
    """Each leg has containers of its own name, and machines of its own."""
    legs = [
        replace(run, leg=name)
        for name in ("linux", "windows")
        for run in observed(steady(4, GIB, noise=0), name=name)
    ]

    assert advise_period(by_day(legs), Parameters(buffer_percent=0)).total.memory.request_bytes == GIB


def test_days_without_a_run_tell_nothing() -> None:
    """A day whose only run went elsewhere is empty, and no day of the answer."""
    days = by_day(observed(steady(4, GIB)))

    assert advise_period({**days, "2020-01-01": {}}) == advise_period(days)
    assert advise_period({"2020-01-01": {}}) == advise([])


def test_memory_that_some_runs_did_not_tell_is_counted() -> None:
    """The request is a lower bound then, and is said to be one."""
    runs = observed(steady(8, GIB))
    blind = replace(runs[3].containers[0], memory_need_bytes=None)
    runs[3] = replace(runs[3], containers=(blind,))

    (evidence,) = advise_period(by_day(runs)).evidence

    assert evidence.memory_unread_runs == 1
    assert "could not be read in 1 of 8 runs: request at least this" in " ".join(evidence.notes)


def test_nothing_observed_is_unknown() -> None:
    """The default, and the sentence of the advice by runs."""
    nothing = advise([])

    assert advise_period({}) == nothing
    assert nothing.meta.confidence_phase == "unknown"
    assert "No run was observed" in nothing.meta.reason


def test_merging_leaves_the_parts_as_they_are() -> None:
    """Days are kept, and merged again for the next question."""
    days = by_day(observed(spiky(12, GIB, every=5)))
    before = {day: encode(parts) for day, parts in days.items()}

    (whole,) = joined(days.values()).values()

    assert whole.runs == 12
    assert {day: encode(parts) for day, parts in days.items()} == before
    assert together([]) == Period()


def named(count: int, *, first: int = 0, need_bytes: int = GIB) -> list[Observation]:
    """Runs, each with a container of a name of its own, and one that all of them have."""
    return [
        msgspec.structs.replace(one, containers=one.containers + both.containers)
        for number in range(first, first + count)
        for one, both in zip(
            observed([Truth(need_bytes=need_bytes)], name=f"a box {number}"),
            observed([Truth(need_bytes=need_bytes)]),
            strict=True,
        )
    ]


def in_legs(count: int, *, need_bytes: int = GIB) -> list[Observation]:
    """Runs, each of a leg of its own."""
    return observed([Truth(need_bytes=need_bytes, matrix={"shard": number}) for number in range(count)])


@pytest.mark.parametrize(
    "runs, count, shared",
    [
        (named(MAX_NAMES - 1), MAX_NAMES, {}),
        (named(MAX_PARTS + 9), MAX_NAMES + 1, {(SHARED, SHARED): MAX_PARTS + 10 - MAX_NAMES}),
        (in_legs(MAX_APART), MAX_APART, {}),
        (in_legs(MAX_APART + 9), MAX_APART + 1, {(SHARED, "build"): 9}),
    ],
)
def test_a_day_has_a_bound(runs: list[Observation], count: int, shared: dict[module.Key, int]) -> None:
    """However many containers or legs a job makes names for; the one with a steady name stays."""
    parts = parts_of(runs)

    assert len(parts) == count <= MAX_PARTS
    assert {key: one.runs for key, one in parts.items() if SHARED in key} == shared
    assert sum(one.runs for (_, name), one in parts.items() if name == "build") == len(runs)


@pytest.mark.parametrize("runs_of", [named, in_legs])
def test_what_is_beyond_the_bound_is_advised_too(runs_of: Callable[..., list[Observation]]) -> None:
    """Whichever of them was the heavy one."""
    runs = [*runs_of(300)[:-1], *runs_of(300, need_bytes=9 * GIB)[-1:]]

    for some in (runs, runs[::-1]):
        found = advise_period({"2025-01-01": parts_of(some[:150]), "2025-01-02": parts_of(some[150:])})
        asked = {each.name: each.memory.request_bytes or 0 for each in found.containers}
        assert asked["build"] >= 9 * GIB
        if runs_of is named:
            assert asked[SHARED] >= 9 * GIB
            assert "It is in the total once." in found.evidence[-1].notes[0]
            assert (found.total.memory.request_bytes or 0) >= asked["build"] + asked[SHARED]
        else:
            assert list(asked) == ["build"]


def test_what_shares_a_place_is_no_container_of_today() -> None:
    """Unless there is so much on the newest day of a leg."""
    days = {"2025-01-01": parts_of(named(300)), "2025-01-02": parts_of(observed(steady(1, GIB)))}
    found = advise_period(days)
    build = next(each for each in found.containers if each.name == "build")

    assert found.total.memory == build.memory
    assert SHARED not in found.meta.reason
    assert found.meta.runs_analyzed == 301


letters = st.sampled_from(["a", "b1", "c22", "d333", SHARED])


@given(
    st.lists(st.tuples(letters, letters, st.integers(1, 99)), max_size=25), st.randoms(use_true_random=False)
)
def test_it_does_not_matter_in_which_order_times_are_joined(
    told: list[tuple[str, str, int]], chance: random.Random
) -> None:
    """However runs are dealt out and whatever is joined first, it is as if all were told at once."""
    (one,) = observed(steady(1, GIB))
    (use,) = one.containers
    runs = [
        msgspec.structs.replace(
            one, leg=leg, containers=(msgspec.structs.replace(use, name=name, memory_need_bytes=need),)
        )
        for leg, name, need in told
    ]
    with pytest.MonkeyPatch.context() as patch:
        for bound, value in (("MAX_NAMES", 2), ("MAX_APART", 3), ("_MOST_GATHERED", 4)):
            patch.setattr(module, bound, value)
        at_once = parts_of(runs)
        chance.shuffle(runs)
        times: list[Parts] = [{}, *(parts_of([run]) for run in runs)]
        while len(times) > 1:
            times = [joined(times[:2]), *times[2:]]
            chance.shuffle(times)

    assert len(at_once) <= 6
    assert times[0] == at_once
    assert max((part.need_bytes or 0 for part in at_once.values()), default=0) == max(
        (need for *_, need in told), default=0
    )
