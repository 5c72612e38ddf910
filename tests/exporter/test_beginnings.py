"""A cgroup began at the earliest sign of it: its directories, its first process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jobmeter.exporter.beginnings import age_seconds, began
from jobmeter.linux.procfs import TICKS_PER_SECOND
from tests.support.fake_host import FakeHost


def process(host: FakeHost, pid: int, age: float) -> None:
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    host.put(pid, start_tick=round((since_boot - age) * TICKS_PER_SECOND))


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    (tmp_path / "proc").mkdir()
    return FakeHost(tmp_path / "proc")


def cgroup(path: Path, *pids: int | str) -> str:
    path.mkdir()
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    return str(path)


def test_its_first_process_is_older_than_the_look_at_it(host: FakeHost, tmp_path: Path) -> None:
    """The kernel does not list them by age; those of another pid namespace are 0."""
    process(host, 12, 1.0)
    process(host, 9, 600.0)
    found = began([cgroup(tmp_path / "a", 12, 0, 9)], host.root, time.time())
    assert found == pytest.approx(time.time() - 600, abs=5)


def test_a_directory_is_older_than_its_first_process(host: FakeHost, tmp_path: Path) -> None:
    """Of several hierarchies the earliest counts."""
    made = cgroup(tmp_path / "cpuacct", 9)
    process(host, 9, 0.0)
    time.sleep(0.05)
    later = cgroup(tmp_path / "memory", 9)
    assert began([later, made], host.root, time.time() + 100) == os.stat(made).st_ctime


@pytest.mark.parametrize("pids", [(), (7,), ("x",)], ids=["none", "gone", "nonsense"])
def test_without_a_process(host: FakeHost, tmp_path: Path, pids: tuple[int | str, ...]) -> None:
    """Its directory tells alone."""
    directory = cgroup(tmp_path / "a", *pids)
    assert began([directory], host.root, time.time() + 100) == os.stat(directory).st_ctime


def test_nothing_began_before_the_machine(host: FakeHost, tmp_path: Path) -> None:
    """Whatever the clock said when its directory was first looked at."""
    directory = cgroup(tmp_path / "a")
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = os.stat(directory).st_ctime + since_boot + 1000
    assert began([directory], host.root, now) == pytest.approx(now - since_boot, abs=5)


def test_no_sign_at_all(host: FakeHost, tmp_path: Path) -> None:
    """It is there now."""
    now = time.time()
    assert began([str(tmp_path / "none")], host.root, now) == now
    assert began([], host.root, now) == now
    assert age_seconds(host.root, 5) is None
