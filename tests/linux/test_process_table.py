"""All processes of one /proc, read again and again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jobmeter.linux.process_table import ProcessTable, Scan
from jobmeter.model.errors import SourceUnavailable
from jobmeter.model.readings import ProcessReading
from tests.support.fake_host import FakeHost, open_descriptors
from tests.support.hosts import proc


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def pids(readings: list[ProcessReading]) -> list[int]:
    return [reading.pid for reading in readings]


def summary(scan: Scan) -> tuple[list[int], list[int], list[int]]:
    """Pids that started, changed and vanished."""
    return pids(scan.started), [change.after.pid for change in scan.changed], pids(scan.vanished)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("hybrid", {1: "init", 4242: "sh"}),
        ("v2", {1: "init", 4242: "sh"}),
        ("private_cgroupns", {1: "tail", 77: "jobmeter", 4242: "sh"}),
        ("hidepid", {77: "jobmeter"}),
    ],
)
def test_the_processes_of_each_host(name, expected) -> None:
    """What /proc lists is found; with hidepid that is ourselves, which is no error."""
    table = ProcessTable(proc(name))
    table.scan()
    assert {reading.pid: reading.name for reading in table.readings()} == expected
    assert table.read_errors == 0
    table.close()


def test_a_scan_is_the_difference_to_the_last(host: FakeHost) -> None:
    """Started, changed and vanished; what stayed the same is in none of them."""
    table = ProcessTable(host.root)
    for pid in (1, 10, 11):
        host.put(pid, start_tick=pid)
    assert summary(table.scan()) == ([1, 10, 11], [], [])
    host.put(10, ticks=(5, 0, 0, 0))
    host.remove(11)
    host.put(12, start_tick=12)
    scan = table.scan()
    assert summary(scan) == ([12], [10], [11])
    assert (scan.changed[0].before.user_seconds, scan.changed[0].after.user_seconds) == (0, 0.05)
    assert summary(table.scan()) == ([], [], [])
    found = table.get(10)
    assert found is not None
    assert (found.user_seconds, table.get(11), len(table)) == (0.05, None, 3)
    table.close()


def test_one_that_goes_in_the_middle_of_a_scan_has_vanished(host: FakeHost) -> None:
    """It is listed but cannot be read any more: no error, and its last reading is told."""
    table = ProcessTable(host.root)
    host.put(10, ticks=(7, 0, 0, 0))
    host.put(11)
    table.scan()
    host.vanish(10)
    scan = table.scan()
    assert summary(scan) == ([], [], [10])
    assert scan.vanished[0].user_seconds == 0.07
    host.remove(10)
    assert summary(table.scan()) == ([], [], [])
    table.close()


@pytest.mark.parametrize("kept", [0, 512])
def test_a_pid_that_is_given_away_again_is_another_process(host: FakeHost, kept: int) -> None:
    """Same pid, other start time: the old one vanished and a new one started, in one scan."""
    table = ProcessTable(host.root, max_descriptors=kept)
    host.put(10, start_tick=100, ticks=(50, 0, 0, 0))
    table.scan()
    host.put(10, start_tick=900, ticks=(1, 0, 0, 0))
    scan = table.scan()
    assert summary(scan) == ([10], [], [10])
    assert (scan.vanished[0].user_seconds, scan.started[0].user_seconds) == (0.5, 0.01)
    table.close()


def test_parents_come_before_their_children(host: FakeHost) -> None:
    """By age, and within one clock tick by descent, since pids start over."""
    host.put(300, parent=32767, start_tick=50)
    host.put(301, parent=300, start_tick=50)
    host.put(32767, parent=1, start_tick=50)
    host.put(1, parent=0, start_tick=1)
    host.put(2, parent=301, start_tick=51)
    table = ProcessTable(host.root)
    assert pids(table.scan().started) == [1, 32767, 300, 301, 2]
    for pid in (2, 300, 32767):
        host.put(pid, ticks=(1, 0, 0, 0))
    assert [change.after.pid for change in table.scan().changed] == [32767, 300, 2]
    table.close()


def test_parents_in_a_circle_are_survived(host: FakeHost) -> None:
    """Two readings of different moments may contradict each other."""
    host.put(10, parent=11)
    host.put(11, parent=10)
    host.put(12, parent=12)
    table = ProcessTable(host.root)
    assert sorted(pids(table.scan().started)) == [10, 11, 12]
    table.close()


def test_descriptors_stay_the_same_over_a_thousand_scans(host: FakeHost) -> None:
    """Processes come and go, the descriptors with them; closing gives all back."""
    before = open_descriptors()
    table = ProcessTable(host.root)
    for number in range(1000):
        host.put(100 + number % 10, start_tick=number)
        if number % 3 == 0:
            host.remove(100 + number % 10)
        table.scan()
        assert open_descriptors() <= before + 10
    table.close()
    assert (open_descriptors(), len(table)) == (before, 0)


@pytest.mark.parametrize("kept", [0, 3, 10])
def test_more_processes_than_descriptors(host: FakeHost, kept: int) -> None:
    """Those beyond are opened each time, with the same result; a slot that becomes free is used again."""
    before = open_descriptors()
    table = ProcessTable(host.root, max_descriptors=kept)
    for pid in range(10, 20):
        host.put(pid, start_tick=pid)
    assert len(table.scan().started) == 10
    assert open_descriptors() == before + kept
    for pid in range(10, 20):
        host.put(pid, ticks=(1, 0, 0, 0))
    host.vanish(19)
    assert summary(table.scan()) == ([], [*range(10, 19)], [19])
    host.remove(10)
    host.remove(19)
    host.put(30, start_tick=30)
    table.scan()
    assert open_descriptors() == before + min(kept, 9)
    table.close()
    assert open_descriptors() == before


def test_unwanted_processes_take_no_descriptors(host: FakeHost) -> None:
    """Thousands of strangers do not exhaust the descriptors, and the few that are wanted get them."""
    for pid in range(10, 110):
        host.put(pid, start_tick=pid, name="job" if pid >= 105 else "other")
    before = open_descriptors()
    most = 0

    def wanted(reading: ProcessReading) -> bool:
        nonlocal most
        most = max(most, open_descriptors() - before)
        return reading.name == "job"

    table = ProcessTable(host.root, max_descriptors=8, wanted=wanted)
    assert len(table.scan().started) == 5
    table.scan()
    assert (most, open_descriptors() - before, table.read_errors) == (8, 5, 0)
    table.close()


def test_only_wanted_processes_are_followed(host: FakeHost) -> None:
    """An unwanted pid is asked for once and left alone until it has gone; then a new one is asked again."""
    asked: list[int] = []

    def wanted(reading: ProcessReading) -> bool:
        asked.append(reading.pid)
        return reading.name == "job"

    table = ProcessTable(host.root, wanted=wanted)
    host.put(10, name="job")
    host.put(11, name="other")
    assert summary(table.scan()) == ([10], [], [])
    host.put(11, ticks=(9, 9, 0, 0))
    assert summary(table.scan()) == ([], [], [])
    assert asked == [10, 11]
    assert (table.knows(10), table.knows(11), table.knows(12)) == (True, True, False)
    host.remove(11)
    table.scan()
    host.put(11, name="job", start_tick=5)
    assert summary(table.scan()) == ([11], [], [])
    table.close()


def test_an_undecided_process_is_looked_at_again(host: FakeHost) -> None:
    """A container's process starts outside of its cgroup and enters it a moment later."""
    inside = False
    table = ProcessTable(host.root, wanted=lambda reading: inside, looks=3)
    host.put(10)
    assert summary(table.scan()) == ([], [], [])
    inside = True
    assert summary(table.scan()) == ([10], [], [])
    table.close()


def test_looks_come_to_an_end(host: FakeHost) -> None:
    """After so many looks an unwanted process costs nothing any more."""
    asked: list[int] = []

    def unwanted(reading: ProcessReading) -> bool:
        asked.append(reading.pid)
        return False

    table = ProcessTable(host.root, wanted=unwanted, looks=3)
    host.put(10)
    for _ in range(6):
        table.scan()
    assert asked == [10, 10, 10]
    table.close()


@pytest.mark.parametrize("broken", [b"nonsense\n", b"10 (work) S 1\n"])
def test_a_line_that_is_no_process_is_an_error_that_is_counted(host: FakeHost, broken: bytes) -> None:
    """The last good reading stays and nothing vanishes; a process never read is not there."""
    table = ProcessTable(host.root)
    host.put(10, ticks=(3, 0, 0, 0))
    table.scan()
    stat = Path(host.root, "10/stat")
    good = stat.read_bytes()
    stat.write_bytes(broken)
    assert summary(table.scan()) == ([], [], [])
    assert table.read_errors == 1
    stat.write_bytes(good.replace(b" 3 0 0 0 ", b" 9 0 0 0 "))
    assert summary(table.scan()) == ([], [10], [])
    host.put(11)
    Path(host.root, "11/stat").write_bytes(broken)
    assert summary(table.scan()) == ([], [], [])
    assert (table.read_errors, table.get(11)) == (2, None)
    table.close()


def test_a_process_that_cannot_be_read_for_a_moment_stays(host: FakeHost) -> None:
    """Out of descriptors or memory is not the end of a process: it must not be counted anew afterwards."""
    table = ProcessTable(host.root, max_descriptors=0)
    host.put(10, ticks=(3, 0, 0, 0))
    table.scan()
    stat = Path(host.root, "10/stat")
    stat.rename(stat.with_name("aside"))
    stat.mkdir()
    assert summary(table.scan()) == ([], [], [])
    assert table.read_errors == 1
    stat.rmdir()
    stat.with_name("aside").rename(stat)
    assert summary(table.scan()) == ([], [], [])
    table.close()


def test_one_that_may_never_be_read_is_counted_and_left_out(host: FakeHost) -> None:
    """As with EACCES under hidepid=noaccess: the others are read."""
    host.put(10)
    Path(host.root, "11/stat").mkdir(parents=True)
    table = ProcessTable(host.root)
    assert summary(table.scan()) == ([10], [], [])
    assert table.read_errors == 1
    table.close()


def test_no_proc_says_so() -> None:
    """One sentence with the path and why."""
    with pytest.raises(SourceUnavailable, match="cannot list the processes in /nowhere: No such file"):
        ProcessTable("/nowhere").scan()


def test_real_processes() -> None:
    """A child of ours starts, burns and vanishes."""
    own = os.getpid()
    table = ProcessTable(wanted=lambda reading: reading.parent_pid == own)
    table.scan()
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in pids(table.scan().started)
        child.kill()
    assert child.pid in pids(table.scan().vanished)
    assert table.read_errors == 0
    table.close()
