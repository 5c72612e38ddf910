"""What differs by more than runs of the same code do."""

from __future__ import annotations

import pytest

from jobmeter.model.history.compare import Verdict, differences
from jobmeter.model.history.digest import PastRun


def run(memory: int | None) -> PastRun:
    return PastRun(run_uid="r", began_at="", memory_bytes=memory, exit_reason="success")


USUAL = [run(value) for value in (96, 98, 100, 102, 104)]


@pytest.mark.parametrize(
    "before, after, usual, verdict",
    [
        (100, 100, USUAL, "same"),
        (100, 103, USUAL, "usual"),
        (100, 130, USUAL, "more"),
        (100, 70, USUAL, "less"),
        # The run before was itself unusual; the one after is no change.
        (200, 150, USUAL, "usual"),
        (200, 230, USUAL, "more"),
        (100, 130, USUAL[:4], "unknown"),
        (None, 130, USUAL, "unknown"),
        (100, None, USUAL, "unknown"),
    ],
)
def test_noise_is_told_from_a_difference(
    before: int | None, after: int | None, usual: list[PastRun], verdict: Verdict
) -> None:
    """By what runs before differ by; with too few of them nothing is claimed."""
    (found,) = differences([run(before)], [run(after)], usual)

    assert (found.measure, found.before, found.after, found.verdict) == ("memory", before, after, verdict)


def test_several_runs_are_told_by_their_median() -> None:
    """A measure that neither side tells is left out."""
    (found,) = differences([run(1), run(2), run(9)], [run(4)], [])

    assert (found.before, found.usual_low, found.usual_runs) == (2, None, 0)
