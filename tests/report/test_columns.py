"""Cells of the tables: a number, nothing at all, or not known."""

from __future__ import annotations

import pytest

from jobmeter.model.summary import ContainerSummary
from jobmeter.report.columns import cpu_columns, memory_columns
from tests.report.examples import make_build


@pytest.mark.parametrize(
    "seconds, kills, cells",
    [
        ((2.5, 0.0, None), (1, 0, None), (["2.5 s", "0 ms", "–"], ["1", "0", "–"])),
        ((0.0, 0.0, None), (0, None, 0), ([], [])),
    ],
)
def test_nothing_is_told_apart_from_unknown(seconds, kills, cells) -> None:
    """Where one container was throttled, another's zero is a number; a column without any is no column."""
    containers = [
        ContainerSummary(name=str(i), throttled_seconds=one, oom_kills=many)
        for i, (one, many) in enumerate(zip(seconds, kills, strict=True))
    ]
    summary, _ = make_build()
    columns = {
        column.title: [column.cell(i) for i in range(3)] if any(column.cells) else []
        for column in (*cpu_columns(summary, containers), *memory_columns(containers))
    }
    assert (columns["throttled"], columns["OOM kills"]) == cells
