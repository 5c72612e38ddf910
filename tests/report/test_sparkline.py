from __future__ import annotations

import pytest

from jobmeter.report.sparkline import resample, sparkline


@pytest.mark.parametrize(
    "values, ceiling, blocks",
    [
        ([0, 1, 2, 4], None, "▁▂▄█"),
        ([1, None, 1], None, "█–█"),
        ([1, 2], 4, "▂▄"),
        ([5], 4, "█"),
        ([0, 0], None, "▁▁"),
        ([], None, ""),
        ([1e308, 5e-324], None, "█▁"),
    ],
)
def test_sparkline_scales_to_its_ceiling(
    values: list[float | None], ceiling: float | None, blocks: str
) -> None:
    """The ceiling is a full block, zero the lowest one, and what was not read a blank."""
    assert sparkline(values, ceiling) == blocks


def test_resample_weights_by_time() -> None:
    """A part is the mean of the spans that fall into it, each as long as it lasted."""
    assert resample([1.0, 4.0], [4.0, 0.0], 2, 4.0) == [2.0, 0.0]


def test_resample_keeps_the_highest_where_told() -> None:
    """A peak is not averaged away."""
    assert resample([1.0, 2.0, 3.0, 4.0], [1, 9, 2, None], 2, 4.0, highest=True) == [9, 2]


def test_resample_stretches_and_leaves_gaps() -> None:
    """Few points fill many parts; a time in which nothing was read stays empty."""
    assert resample([1.0, 2.0], [3.0, None], 4, 2.0) == [3.0, 3.0, None, None]


def test_a_run_that_goes_on_after_the_last_point_is_not_invented() -> None:
    """Parts behind the last point are empty."""
    assert resample([1.0], [3.0], 2, 2.0) == [3.0, None]
