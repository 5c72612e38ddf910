"""The rules of the ledger by exit records; random lives are in tests/metering/test_processes_truth.py."""

from __future__ import annotations

import pytest

from jobmeter.model.exit_ledger import ExitLedger
from jobmeter.model.readings import ExitRecord, ProcessReading

STRANGER = 999


def ledger(started_after: float = 0.0) -> ExitLedger:
    return ExitLedger({"in": ("in", "out"), "out": ("out",)}.__getitem__, started_after)


def reading(
    pid: int, seconds: float, *, start: float = 1.0, parent: int = 1, reaped: float = 0.0
) -> ProcessReading:
    return ProcessReading(pid, "work", "R", parent, 0, seconds, 0.0, reaped, 0.0, 1, start, 0)


def record(
    pid: int, seconds: float, *, parent: int = 1, tgid: int | None = None, last: bool = True
) -> ExitRecord:
    return ExitRecord(
        pid=pid, tgid=tgid or pid, parent_pid=parent, name="work", user_seconds=seconds, system_seconds=0.0,
        certain_seconds=seconds / 2,
        lifetime_seconds=seconds, high_water_bytes=4096, read_bytes=10, write_bytes=20, last_of_group=last,
    )  # fmt: skip


def nobody(ended: ExitRecord) -> tuple[bool, str | None]:
    """No live process is known, but strangers are."""
    return ended.parent_pid == STRANGER, None


def relative(ended: ExitRecord) -> tuple[bool, str | None]:
    """Every parent is live and in the group."""
    return True, "out"


def test_a_record_corrects_the_last_reading() -> None:
    """What was read of a live process was cut to ticks; its record is exact."""
    found = ledger()
    found.join("out", reading(5, 0.98))
    assert found.user_seconds("out") == 0.98
    found.record(record(5, 1.005))
    (ended,) = found.settle(nobody)
    assert (ended.group, ended.user_seconds) == ("out", 1.005)
    assert found.user_seconds("out") == pytest.approx(1.005)


def test_a_process_that_no_scan_saw_belongs_to_its_parents_group() -> None:
    """The parent is live, or ended with a record of its own, in whatever order they come."""
    found = ledger()
    found.join("in", reading(5, 0.0))
    for each in (
        record(8, 1.0, parent=7),
        record(7, 2.0, parent=6),
        record(6, 4.0, parent=5),
        record(5, 8.0),
    ):
        found.record(each)
    assert {ended.group for ended in found.settle(nobody)} == {"in"}
    assert (found.user_seconds("in"), found.user_seconds("out")) == (15, 15)
    assert found.io_bytes("out") == (40, 80)


def test_a_stranger_is_nobodys() -> None:
    """A process whose parent is known and in no group is left out."""
    found = ledger()
    found.record(record(5, 1.0, parent=STRANGER))
    (ended,) = found.settle(nobody)
    assert ended.group is None
    assert (found.user_seconds("out"), found.unattributed_seconds) == (0, 0)


def test_who_has_no_known_parent_is_unattributed_after_a_while() -> None:
    """The parent may end later and be known then; if it never shows up the time is shown without a group."""
    found = ledger()
    found.record(record(8, 1.0, parent=7))
    found.record(record(9, 0.5, parent=70))
    assert found.settle(nobody) == []
    found.join("out", reading(7, 0.0))
    (ended,) = found.settle(nobody) or found.settle(lambda one: (one.parent_pid == 7, "out"))
    assert (ended.pid, ended.group) == (8, "out")
    for _ in range(5):
        found.settle(nobody)
    assert (found.user_seconds("out"), found.unattributed_seconds) == (1, 0.5)


def test_records_of_threads_wait_for_their_process() -> None:
    """A live process's reading includes its ended threads; without one their records count at its end."""
    found = ledger()
    found.join("out", reading(5, 0.0))
    found.record(record(51, 1.0, tgid=5, last=False))
    assert found.settle(nobody) == []
    found.update(reading(5, 1.5))
    assert found.user_seconds("out") == 1.5
    found.record(record(5, 0.75, last=True))
    found.settle(nobody)
    assert found.user_seconds("out") == pytest.approx(1.75)


def test_time_before_the_run_is_left_out() -> None:
    """A process that was there before counts from its first reading, a thread that ended before it not at all."""
    found = ledger(started_after=100.0)
    found.join("out", reading(5, 7.0, start=50.0))
    found.update(reading(5, 7.5, start=50.0))
    assert found.user_seconds("out") == 0.5
    found.record(record(5, 8.0))
    (ended,) = found.settle(nobody)
    assert (found.user_seconds("out"), ended.user_seconds) == (1, 1)
    found.join("out", reading(6, 7.0, start=50.0))
    found.update(reading(6, 9.0, start=50.0))
    found.record(record(6, 3.0))
    found.settle(nobody)
    assert found.user_seconds("out") == 3


def test_what_a_living_parent_inherited_takes_the_place_of_records() -> None:
    """Records lack the end of each process; cutime does not. What ended since it was read is known by record."""
    found = ledger()
    found.join("out", reading(5, 1.0))
    found.join("out", reading(6, 1.0, parent=5))
    for pid in (7, 8, 9):
        found.record(record(pid, 0.75, parent=6))
    found.settle(relative)
    assert found.user_seconds("out") == 4.25
    found.update(reading(6, 1.0, parent=5, reaped=3.0))
    found.settle(relative)
    assert found.user_seconds("out") == 5.0
    found.record(record(10, 0.5, parent=6))
    found.settle(relative)
    assert found.user_seconds("out") == 5.5
    found.leave(6)
    found.record(record(6, 1.0, parent=5))
    found.settle(relative)
    assert found.user_seconds("out") == 5.5
    found.update(reading(5, 1.0, reaped=4.75))
    found.settle(relative)
    assert found.user_seconds("out") == 5.75


@pytest.mark.parametrize(
    "reaped, seconds",
    [pytest.param(0.0, 4.0, id="it does not wait"), pytest.param(4.5, 4.0, id="of two groups")],
)
def test_records_count_where_nothing_better_is_known(reaped: float, seconds: float) -> None:
    """A parent that ignores SIGCHLD inherits nothing; one that waits for several groups says nothing of one."""
    found = ledger()
    found.join("out", reading(5, 1.0))
    if reaped:
        found.join("in", reading(6, 0.0, parent=5))
    found.record(record(6, 3.0, parent=5))
    found.settle(relative)
    found.update(reading(5, 1.0, reaped=reaped))
    found.settle(relative)
    assert found.user_seconds("out") == seconds


def test_what_children_used_before_the_run_is_not_inherited() -> None:
    """Neither what was inherited before nor what a child brings along that was there before."""
    found = ledger(started_after=100.0)
    found.join("out", reading(5, 1.0, start=50.0, reaped=7.0))
    found.join("out", reading(6, 2.0, start=50.0, parent=5, reaped=3.0))
    found.leave(6)
    found.record(record(6, 2.25, parent=5))
    found.settle(nobody)
    found.update(reading(5, 1.0, start=50.0, reaped=7.0 + 2.5 + 3.0))
    found.settle(nobody)
    assert found.user_seconds("out") == pytest.approx(0.5)


def test_children_that_nobody_waited_for_are_kept() -> None:
    """A parent that ends without its children's time passes on less than it was booked with; nothing is taken off."""
    found = ledger()
    found.join("out", reading(5, 0.0))
    found.join("out", reading(6, 0.1, parent=5))
    for pid in range(10, 20):
        found.record(record(pid, 1.0, parent=6))
    found.settle(relative)
    found.leave(6)
    found.record(record(6, 0.1, parent=5))
    found.update(reading(5, 0.0, reaped=0.1))
    found.settle(relative)
    assert found.user_seconds("out") == pytest.approx(10.1)
    found.update(reading(5, 5.0, reaped=0.1))
    found.settle(relative)
    assert found.user_seconds("out") == pytest.approx(15.1)


def test_a_child_that_is_waited_for_late_counts_once() -> None:
    """Until then it counts by its record, also when others are reaped meanwhile."""
    found = ledger()
    found.join("out", reading(5, 0.0))
    found.record(record(10, 5.0, parent=5))
    found.settle(relative)
    found.record(record(11, 0.1, parent=5))
    found.update(reading(5, 0.0, reaped=0.1))
    found.settle(relative)
    assert found.user_seconds("out") == pytest.approx(5.1)
    found.update(reading(5, 4.0, reaped=5.1))
    found.settle(relative)
    assert found.user_seconds("out") == pytest.approx(9.1)


def test_a_process_without_a_record_keeps_its_last_reading() -> None:
    """Records that the kernel dropped are a lower bound."""
    found = ledger()
    found.join("out", reading(5, 2.0))
    found.leave(5)
    for _ in range(6):
        found.settle(nobody)
    assert found.user_seconds("out") == 2


def test_a_pid_that_is_given_away_again_is_another_process() -> None:
    """The new process is not forgotten together with the old one, and counts once."""
    found = ledger()
    found.join("out", reading(5, 2.0))
    found.leave(5)
    found.settle(nobody)
    found.join("out", reading(5, 0.5, start=9.0))
    for _ in range(6):
        found.settle(nobody)
    found.update(reading(5, 1.0, start=9.0))
    assert found.user_seconds("out") == 3
    found.record(record(5, 1.25))
    found.settle(nobody)
    assert found.user_seconds("out") == pytest.approx(3.25)


def test_what_ended_is_forgotten() -> None:
    """Memory stays bounded over a long run of short processes."""
    found = ledger()
    for pid in range(10, 2010):
        found.join("out", reading(pid, 0.0))
        found.record(record(pid, 0.001))
        found.leave(pid)
        found.settle(nobody)
    assert len(found._gone) < 10
    assert (found._live, found._threads, found._waiting) == ({}, {}, [])
    assert found.user_seconds("out") == pytest.approx(2)
