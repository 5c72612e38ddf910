"""Top lists and programs."""

from __future__ import annotations

import pytest

from jobmeter.model.marks import PROGRAM
from jobmeter.model.process_fold import MAX_PROGRAMS, ProcessFold
from jobmeter.model.sample import ProcessSample, ProgramSample
from jobmeter.model.summary import ProcessSummary, ProgramSummary

NAMES = {"k": "build"}


def busy(
    pid: int, share: float, *, start: float = 1.0, memory: int | None = None, name: str = "cc1"
) -> ProcessSample:
    return ProcessSample(
        pid=pid, start_seconds=start, name=name, container="k", cpu_seconds=share * 2, recent_cpu_seconds=share,
        recent_seconds=1.0, rss_bytes=memory,
    )  # fmt: skip


def test_the_busiest_come_first_by_their_highest_use() -> None:
    """A process is ranked by its peak over all samples, not by its last one."""
    fold = ProcessFold(top=2)
    fold.add((busy(1, 0.9), busy(2, 0.5), busy(3, 0.1)), ())
    fold.add((busy(1, 0.2), busy(2, 0.95)), ())
    assert [(one.pid, one.peak_cpu_percent, one.cpu_seconds) for one in fold.by_cpu(NAMES)] == [
        (2, 95.0, 1.9),
        (1, 90.0, 1.8),
    ]
    assert fold.by_cpu(NAMES)[0].container == "build"


def test_the_largest_come_first_by_high_water_or_resident_set() -> None:
    """A high water mark counts also when the resident set was never seen so large."""
    fold = ProcessFold(top=3)
    fold.add((busy(1, 0.1, memory=500), busy(2, 0.1, memory=100)), ())
    fold.add((ProcessSample(pid=2, start_seconds=1.0, name="ld", rss_bytes=50, high_water_bytes=900),), ())
    found = fold.by_memory(NAMES)
    assert [(one.pid, one.peak_memory_bytes) for one in found] == [(2, 900), (1, 500)]
    assert (found[0].name, found[0].container) == ("ld", None)


def test_memory_belongs_to_the_program_that_held_it() -> None:
    """After exec a process has another name; in the list by memory it has the one it had when it was largest."""
    fold = ProcessFold(top=3)
    fold.add((busy(1, 0.1, memory=900, name="java"),), ())
    fold.add((busy(1, 0.2, memory=100, name="sh"),), ())
    assert [(one.name, one.peak_memory_bytes) for one in fold.by_memory(NAMES)] == [("java", 900)]
    assert [one.name for one in fold.by_cpu(NAMES)] == ["sh"]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    """Identity is pid and start time."""
    fold = ProcessFold(top=5)
    fold.add((busy(7, 0.5, start=1.0, name="old"), busy(7, 0.6, start=9.0, name="new")), ())
    assert [one.name for one in fold.by_cpu(NAMES)] == ["new", "old"]


def test_what_used_nothing_is_not_listed() -> None:
    """An idle process without memory is no top process; without a span there is no share of CPU."""
    fold = ProcessFold(top=5)
    fold.add(
        (ProcessSample(pid=1, start_seconds=1.0, name="idle", cpu_seconds=5.0, recent_cpu_seconds=1.0),), ()
    )
    assert (fold.by_cpu(NAMES), fold.by_memory(NAMES)) == ([], [])


def test_equals_are_ordered_by_pid() -> None:
    """The list of a run is always the same."""
    fold = ProcessFold(top=5)
    fold.add(tuple(busy(pid, 0.5, memory=1) for pid in (3, 1, 2)), ())
    assert [one.pid for one in fold.by_cpu(NAMES)] == [1, 2, 3]
    assert [one.pid for one in fold.by_memory(NAMES)] == [1, 2, 3]


@pytest.mark.parametrize("top", [0, 1, 10])
def test_memory_is_bounded_and_the_top_is_right(top) -> None:
    """Of a hundred thousand processes the first are kept, whenever they came."""
    fold = ProcessFold(top)
    for tick in range(1000):
        rank = tick * 7919 % 1000
        fold.add((busy(tick + 1, rank / 1000, memory=2000 - rank),), ())
    assert len(fold._processes) <= 50 * (top + 1) + 1
    assert [one.peak_cpu_percent for one in fold.by_cpu(NAMES)] == [
        pytest.approx(99.9 - n / 10) for n in range(top)
    ]
    assert [one.peak_memory_bytes for one in fold.by_memory(NAMES)] == [2000 - n for n in range(top)]


def test_programs_are_summed_by_name() -> None:
    """Count and CPU time add up, memory is the largest of one process."""
    fold = ProcessFold(top=1)
    fold.add(
        (),
        (
            ProgramSample(name="cc1", count=2, cpu_seconds=1.0, peak_memory_bytes=7),
            ProgramSample(name="sh", count=9),
        ),
    )
    fold.add((), (ProgramSample(name="cc1", count=1, cpu_seconds=0.5, peak_memory_bytes=5),))
    assert fold.programs() == [
        ProgramSummary(name="cc1", count=3, cpu_seconds=1.5, peak_memory_bytes=7),
        ProgramSummary(name="sh", count=9, cpu_seconds=0.0),
    ]


def test_names_without_end_become_others() -> None:
    """A job that gives each process its own name cannot fill memory, and no process is lost from the count."""
    fold = ProcessFold(top=1)
    for number in range(MAX_PROGRAMS + 100):
        fold.add((), (ProgramSample(name=f"p{number}", count=1, cpu_seconds=0.5),))
    programs = fold.programs()
    assert len(programs) == MAX_PROGRAMS + 1
    assert programs[0] == ProgramSummary(name="(other programs)", count=100, cpu_seconds=50.0)


def test_a_process_of_an_undeclared_container_has_none() -> None:
    """A container that no record declared has no name."""
    fold = ProcessFold(top=1)
    fold.add((busy(1, 0.5, memory=1),), ())
    assert fold.by_cpu({}) == [
        ProcessSummary(
            pid=1, name="cc1", container=None, peak_cpu_percent=50.0, cpu_seconds=1.0, peak_memory_bytes=1
        )
    ]


def test_marks_are_in_no_list() -> None:
    """Neither under their own name nor under that of their interpreter; what uses more than marks do is listed."""
    fold = ProcessFold(top=5)
    fold.add((busy(1, 0.02, memory=9, name="python3"), busy(2, 0.9, memory=8)), ())
    fold.add((busy(1, 0.04, memory=9, name=PROGRAM), busy(3, 0.95, memory=7, name=PROGRAM)), ())
    fold.add((), (ProgramSample(name=PROGRAM, count=3, cpu_seconds=0.12),))
    assert [one.pid for one in fold.by_cpu(NAMES)] == [3, 2]
    assert [one.pid for one in fold.by_memory(NAMES)] == [2, 3]
    assert fold.programs() == []
    fold.add((), (ProgramSample(name=PROGRAM, count=1, cpu_seconds=4.0),))
    assert [one.cpu_seconds for one in fold.programs()] == [4.0]
