"""What a watch over processes says of their groups, tick by tick."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from jobmeter.linux.process_table import ProcessTable
from jobmeter.metering.membership import JOB, Descent
from jobmeter.metering.processes import GroupUse, ProcessWatch
from jobmeter.model.readings import ExitRecord, ProcessReading
from jobmeter.model.sample import ProgramSample
from tests.support.fake_host import FakeHost

WRAPPER = 50
PAGE = 4096


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    found = FakeHost(tmp_path)
    found.put(WRAPPER, name="jobmeter", start_tick=900)
    return found


def watch_of(
    host: FakeHost, *, started_after: float = 10.0, top: int = 10, records: bool = False
) -> ProcessWatch:
    """A run that began ten seconds after boot, without a reaper of its own."""
    membership = Descent(WRAPPER)
    table = ProcessTable(host.root, wanted=membership.admit)
    return ProcessWatch(
        table, membership, root=host.root, started_after=started_after, top=top, use_exit_records=records
    )


def ended(pid: int, name: str, high_water_kb: int) -> ExitRecord:
    """A child of the wrapper ended."""
    return ExitRecord(
        pid=pid, tgid=pid, parent_pid=WRAPPER, name=name, user_seconds=0.1, system_seconds=0.0, certain_seconds=0.1,
        high_water_bytes=high_water_kb * 1024, read_bytes=0, write_bytes=0, lifetime_seconds=1.0, last_of_group=True,
    )  # fmt: skip


def programs(watch: ProcessWatch) -> dict[str, ProgramSample]:
    return {one.name: one for one in watch.take_programs()}


def test_cpu_time_of_a_tree(host: FakeHost) -> None:
    """Own and reaped time of all descendants, whole and by user and system."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, ticks=(100, 50, 0, 0))
    host.put(61, parent=60, start_tick=1001, ticks=(10, 0, 7, 3))
    host.put(70, parent=1, ticks=(9999, 9999, 9999, 9999))
    watch.scan(1.0, None)
    assert watch.cpu_seconds(JOB) == pytest.approx((1.7, 1.17, 0.53))
    host.put(60, ticks=(150, 50, 0, 0))
    watch.scan(2.0, None)
    assert watch.cpu_seconds(JOB)[0] == pytest.approx(2.2)
    assert watch.cpu_seconds("another") == (0, 0, 0)
    assert watch.recorded_cpu_seconds(JOB) is None
    watch.close()


def test_memory_and_tasks_of_a_tree(host: FakeHost) -> None:
    """Sums over what lives now; the high water is the largest of one process, also after it ended."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, rss_pages=100, threads=3, peak_kb=500)
    host.put(61, parent=60, start_tick=1001, rss_pages=50, peak_kb=900)
    watch.scan(1.0, None)
    assert watch.use(JOB) == GroupUse(rss_bytes=150 * PAGE, tasks=4, processes=2, high_water_bytes=900 * 1024)
    host.remove(61)
    host.put(60, rss_pages=20, threads=1)
    watch.scan(2.0, None)
    assert watch.use(JOB) == GroupUse(rss_bytes=20 * PAGE, tasks=1, processes=1, high_water_bytes=900 * 1024)
    assert watch.use("another") == GroupUse()
    watch.close()


def test_high_water_is_read_where_memory_may_have_grown(host: FakeHost) -> None:
    """Resident memory grows by page faults only, so nothing else is looked at again."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, peak_kb=500)
    watch.scan(1.0, None)
    host.put(60, ticks=(5, 0, 0, 0), peak_kb=700)
    watch.scan(2.0, None)
    assert watch.use(JOB).high_water_bytes == 500 * 1024
    host.put(60, faults=9, peak_kb=800)
    watch.scan(3.0, None)
    assert watch.use(JOB).high_water_bytes == 800 * 1024
    watch.close()


def test_the_busiest_and_the_largest(host: FakeHost) -> None:
    """At most so many of each, with their use since the last scan, which spans at least 200 ms."""
    watch = watch_of(host, top=1)
    for pid, pages in ((60, 500), (61, 10), (62, 20)):
        host.put(pid, parent=WRAPPER, start_tick=1000 + pid, name=f"p{pid}", rss_pages=pages)
    watch.scan(1.0, None)
    watch.take_processes()
    for pid, ticks in ((60, 1), (61, 50), (62, 20)):
        host.put(pid, ticks=(ticks, 0, 0, 0))
    watch.scan(2.0, None)
    found = {one.name: one for one in watch.take_processes()}
    assert set(found) == {"p61", "p60"}
    assert (found["p61"].recent_cpu_seconds, found["p61"].recent_seconds, found["p61"].cpu_seconds) == (
        0.5,
        1,
        0.5,
    )
    assert (found["p60"].rss_bytes, found["p60"].container) == (500 * PAGE, JOB)
    watch.close()


def test_exec_starts_a_new_high_water(host: FakeHost) -> None:
    """What the program before held is not told of the one that a process is now."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, name="large", peak_kb=9000)
    watch.scan(0.0, None)
    host.put(60, name="small")
    watch.scan(1.0, None)
    (one,) = watch.take_processes()
    assert (one.name, one.high_water_bytes) == ("small", None)
    assert watch.use(JOB).high_water_bytes == 9000 * 1024
    watch.close()


def test_short_intervals_give_no_false_rates(host: FakeHost) -> None:
    """Within 200 ms one clock tick more or less is too much of an error, so the span is longer."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000)
    watch.scan(0.0, None)
    spans = []
    for number in range(1, 9):
        host.put(60, ticks=(number * 5, 0, 0, 0))
        watch.scan(number * 0.05, None)
        (one,) = watch.take_processes()
        spans.append([one.recent_seconds, one.recent_cpu_seconds])
    assert spans[:3] == [[0, 0]] * 3
    assert [span for pair in spans[3:] for span in pair] == pytest.approx([0.2] * 10)
    watch.close()


def test_a_process_seen_for_the_first_time_has_its_whole_life(host: FakeHost) -> None:
    """One that lived long enough between two scans has a rate at once."""
    watch = watch_of(host)
    watch.scan(0.0, None)
    host.put(60, parent=WRAPPER, start_tick=1050, ticks=(40, 0, 0, 0))
    watch.scan(1.0, None)
    (one,) = watch.take_processes()
    assert (one.recent_cpu_seconds, one.recent_seconds) == (0.4, 0.5)
    watch.close()


def test_processes_that_ended_are_counted_by_program(host: FakeHost) -> None:
    """Each once, with what it used itself and its peak; at the end those that still live too."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, name="make", ticks=(5, 0, 999, 0))
    host.put(61, parent=60, start_tick=1001, name="cc1", ticks=(30, 0, 0, 0), rss_pages=10, peak_kb=500)
    host.put(62, parent=60, start_tick=1002, name="cc1", ticks=(20, 0, 0, 0), rss_pages=10)
    watch.scan(1.0, None)
    assert programs(watch) == {}
    host.remove(61)
    host.remove(62)
    watch.scan(2.0, None)
    assert programs(watch) == {
        "cc1": ProgramSample(name="cc1", count=2, cpu_seconds=0.5, peak_memory_bytes=500 * 1024)
    }
    watch.end_all()
    assert programs(watch) == {"make": ProgramSample(name="make", count=1, cpu_seconds=0.05)}
    watch.close()


@pytest.mark.parametrize(
    "name, recorded_kb, peak_kb", [("cc1", 890, 900), ("cc1", 950, 950), ("other", 890, 890)]
)
def test_a_process_and_its_program_have_one_peak(host: FakeHost, name, recorded_kb, peak_kb) -> None:
    """The larger of what /proc and the exit record say, unless the process became another program meanwhile."""
    watch = watch_of(host, records=True)
    host.put(60, parent=WRAPPER, start_tick=1000, name="cc1", peak_kb=900)
    watch.scan(1.0, None)
    listed = watch.take_processes()
    host.remove(60)
    watch.scan(2.0, None, lambda: [ended(60, name, recorded_kb)])
    listed += watch.take_processes()

    assert programs(watch)[name].peak_memory_bytes == peak_kb * 1024
    assert max(one.high_water_bytes or 0 for one in listed if one.name == name) == peak_kb * 1024
    watch.close()


def test_what_was_there_before_the_run_counts_from_its_first_reading(host: FakeHost) -> None:
    """As with --pid: older processes bring a past that is not the run's."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=500, ticks=(1000, 0, 0, 0))
    watch.scan(0.0, None)
    host.put(60, ticks=(1100, 0, 0, 0))
    watch.scan(1.0, None)
    assert watch.cpu_seconds(JOB)[0] == pytest.approx(1.0)
    assert [one.cpu_seconds for one in watch.take_processes()] == [1.0]
    watch.close()


def test_who_ignores_sigchld_is_named(host: FakeHost) -> None:
    """Its children are reaped without an account, which makes the ledger a lower bound."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, name="server", ignores_sigchld=True)
    host.put(61, parent=WRAPPER, start_tick=1001, name="sh")
    watch.scan(1.0, None)
    assert list(watch.ignoring_sigchld) == ["server"]
    watch.close()


def test_members_and_the_largest(host: FakeHost) -> None:
    """Zombies run no more, so they are no survivors."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000, rss_pages=5)
    host.put(61, parent=60, start_tick=1001, rss_pages=9, name="big")
    host.put(62, parent=60, start_tick=1002, state="Z")
    watch.scan(1.0, None)
    assert [one.pid for one in watch.members()] == [60, 61]
    assert watch.members("another") == []
    largest = watch.largest(JOB)
    assert largest is not None
    assert (largest.name, watch.largest("another")) == ("big", None)
    watch.close()


def test_a_process_without_a_status_is_read_all_the_same(host: FakeHost) -> None:
    """It went between two reads, or its status may not be read, which is counted."""
    watch = watch_of(host)
    host.put(60, parent=WRAPPER, start_tick=1000)
    host.put(61, parent=WRAPPER, start_tick=1001)
    Path(host.root, "60/status").unlink()
    Path(host.root, "61/status").unlink()
    Path(host.root, "61/status").mkdir()
    watch.scan(1.0, None)
    assert (watch.use(JOB).processes, watch.use(JOB).high_water_bytes, watch.read_errors) == (2, None, 1)
    watch.close()


class ByName:
    """Each process is in the group that its name says; "inner" lies in "outer"."""

    def admit(self, reading: ProcessReading) -> bool:
        return True

    def group(self, reading: ProcessReading) -> str:
        return reading.name

    def regroup(self, reading: ProcessReading) -> str:
        return reading.name

    def forget(self, pid: int) -> None:
        pass

    def adopt(self, pid: int, child: str) -> str | None:
        return None

    def ancestry(self, group: str) -> Iterable[str]:
        return (group, "outer") if group == "inner" else (group,)


def test_groups_nest_and_processes_move(tmp_path: Path) -> None:
    """A container's process enters its cgroup by exec; what it used before stays where it was used."""
    host = FakeHost(tmp_path)
    watch = ProcessWatch(ProcessTable(host.root), ByName(), root=host.root)
    host.put(60, start_tick=1, name="outer", ticks=(100, 0, 0, 0), rss_pages=10)
    host.put(61, start_tick=2, parent=60, name="outer", ticks=(50, 0, 0, 0), rss_pages=5)
    watch.scan(1.0, None)
    host.put(61, name="inner", ticks=(80, 0, 0, 0))
    watch.scan(2.0, None)
    assert watch.cpu_seconds("outer")[0] == pytest.approx(1.8)
    assert (watch.use("outer").rss_bytes, watch.use("inner").rss_bytes) == (15 * PAGE, 5 * PAGE)
    host.put(61, ticks=(100, 0, 0, 0))
    watch.scan(3.0, None)
    assert watch.cpu_seconds("outer")[0] == pytest.approx(2.0)
    assert watch.cpu_seconds("inner")[0] >= 0.2
    host.remove(61)
    watch.scan(4.0, None)
    assert (watch.use("outer").processes, watch.use("inner").processes) == (1, 0)
    watch.close()
