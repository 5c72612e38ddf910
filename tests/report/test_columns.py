"""Cells of the tables: a number, nothing at all, or not known."""

from __future__ import annotations

import pytest

from jobmeter.model.summary import ContainerSummary, ProcessSummary, ProgramSummary
from jobmeter.report.columns import busiest, cpu_columns, memory_columns, process_columns, program_columns
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


@pytest.mark.parametrize(
    "count, seconds, text",
    [(1, 0.004, "≈ 4 ms"), (280, 5.3, "≈ 5.3 s"), (3, 30.0, "30.0 s"), (1, None, "–")],
)
def test_times_of_short_processes_are_estimates(count, seconds, text) -> None:
    """Their sum may pass the CPU time of the job, which is exact: by ticks a process of 3 ms has 4 or none."""
    columns = program_columns([ProgramSummary(name="cc1", count=count, cpu_seconds=seconds)])
    assert {column.title: column.cell(0) for column in columns}["CPU time"] == text


def test_the_time_of_one_process_is_marked_alike() -> None:
    """A process is its program's only one, as a rule."""
    columns = process_columns([ProcessSummary(pid=1, name="cc1", cpu_seconds=0.3)])
    assert {column.title: column.cell(0) for column in columns}["CPU time"] == "≈ 300 ms"


def test_the_busiest_come_in_the_order_of_the_time_that_is_shown() -> None:
    """Not of their peaks; those alike, and those whose time is not known, as the summary has them."""
    known = [(1, 400.0, 0.4), (2, 100.0, 90.0), (3, 90.0, None), (4, 80.0, 90.0), (5, 70.0, 2.0)]
    processes = [
        ProcessSummary(pid=pid, name="cc1", peak_cpu_percent=peak, cpu_seconds=seconds)
        for pid, peak, seconds in known
    ]
    assert [one.pid for one in busiest(processes)] == [2, 4, 5, 1, 3]
