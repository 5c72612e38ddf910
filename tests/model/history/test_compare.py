"""What differs by more than runs of the same code do."""

from __future__ import annotations

from typing import Any

import pytest

from jobmeter.model.history.compare import Verdict, differences
from jobmeter.model.history.digest import PastRun


def run(memory: int | None, **fields: Any) -> PastRun:
    return PastRun(run_uid="r", began_at="", memory_bytes=memory, exit_reason="success", **fields)


def bound(memory: int) -> PastRun:
    return run(memory, lower_bounds=("memory",))


USUAL = [run(value) for value in (96, 98, 100, 102, 104)]


@pytest.mark.parametrize(
    "before, after, usual, verdict",
    [
        (100, 100, USUAL, "same"),
        (100, 103, USUAL, "usual"),
        (100, 130, USUAL, "more"),
        (100, 70, USUAL, "less"),
        # The run before was itself unusual; the one after is no change, nor is what runs differ by around it.
        (200, 150, USUAL, "usual"),
        (200, 211, USUAL, "usual"),
        (200, 213, USUAL, "more"),
        (50, 48, USUAL, "usual"),
        (50, 46, USUAL, "less"),
        (50, 100, USUAL, "usual"),
        (100, 130, USUAL[:4], "unknown"),
        (None, 130, USUAL, "unknown"),
        (100, None, USUAL, "unknown"),
    ],
)
def test_noise_is_told_from_a_difference(
    before: int | None, after: int | None, usual: list[PastRun], verdict: Verdict
) -> None:
    """By what runs before differ by; with too few of them nothing is claimed."""
    (found,) = differences([run(before)], [run(after)], usual, 20)

    assert (found.measure, found.before, found.after, found.verdict) == ("memory", before, after, verdict)


@pytest.mark.parametrize("before", [100, 104, 200, 50, 20])
@pytest.mark.parametrize("after", range(10, 260, 10))
def test_the_range_that_is_told_is_the_one_that_judges(before: int, after: int) -> None:
    """Also where the run before was beyond what is usual, and the range is widened."""
    (found,) = differences([run(before)], [run(after)], USUAL, 20)

    assert found.low is not None
    assert found.high is not None
    told = "less" if after < found.low else "more" if after > found.high else "usual"
    assert found.verdict == ("same" if before == after else told)
    assert found.low <= before <= found.high


def test_several_runs_are_told_by_their_median() -> None:
    """A measure that neither side tells is left out."""
    (found,) = differences([run(1), run(2), run(9)], [run(4)], [], 20)

    assert (found.before, found.before_runs, found.usual, found.usual_runs) == (2, 3, None, 0)


def test_runs_of_a_level_that_is_over_say_nothing() -> None:
    """Neither in a median nor in what is usual: both sides are judged by their newest level."""
    before = [*[run(200 + n % 3) for n in range(10)], *[run(100 + n % 3) for n in range(20)]]
    after = [*[run(150) for _ in range(6)], *[run(90) for _ in range(9)]]
    (found,) = differences(before, after, before, 30)

    assert (found.before, found.before_runs, found.after, found.after_runs) == (201, 10, 150, 6)
    assert found.usual is not None
    assert (found.usual.runs, found.usual.changed_from, found.verdict) == (10, 101, "less")


@pytest.mark.parametrize("since", range(5, 26))
def test_runs_that_do_not_count_show_where_a_level_began(since: int) -> None:
    """Of 20 that count the last few before the change make no doubled need usual, nor another median."""
    runs = [*[run(1000 + n % 3) for n in range(since)], *[run(2000 + n % 3) for n in range(30 - since)]]
    (found,) = differences(runs, [run(1950)], runs, 20)

    assert (found.before_runs, found.verdict) == (min(since, 20), "more")
    assert found.usual is not None
    assert found.usual.high < 1010


@pytest.mark.parametrize(
    "before, after, verdict, lower_bounds",
    [
        (run(100), bound(130), "more", ("after",)),
        (run(100), bound(70), "unknown", ("after",)),
        (run(100), bound(100), "unknown", ("after",)),
        (bound(100), run(70), "less", ("before",)),
        (bound(100), run(130), "unknown", ("before",)),
        (bound(100), bound(130), "unknown", ("before", "after")),
    ],
)
def test_a_lower_bound_proves_only_what_it_can(
    before: PastRun, after: PastRun, verdict: Verdict, lower_bounds: tuple[str, ...]
) -> None:
    """And is nothing that is usual."""
    (found,) = differences([before], [after], [*USUAL, *[bound(1)] * 20], 25)

    assert (found.verdict, found.lower_bounds, found.usual_runs) == (verdict, lower_bounds, 5)
