"""Cgroups of the real kernel that come, go and change: since when they are there, and what they count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.container import Container, Row
from jobmeter.exporter.groups import Groups
from jobmeter.exporter.machine import read_machine
from jobmeter.exporter.network import NO_TRAFFIC
from jobmeter.linux.account_reader import AccountReader
from jobmeter.linux.cgroup_mounts import parse_mountinfo
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.machine_activity import MachineActivity
from tests.e2e.support.cgroup import V2, Cgroup
from tests.support.hosts import CONTAINER

PYTHON = (sys.executable, "-S", "-c")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with Cgroup.create() as made:
        yield made


def groups_of(errors: dict[str, int]) -> Groups:
    """As an exporter makes them that starts now."""
    hierarchies = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return Groups(hierarchies, read_machine(), descriptors=Descriptors(1000), errors=errors)


def row_of(cgroup: Cgroup, groups: Groups) -> Row:
    groups.tick()
    name = next(iter(cgroup.paths.values())).name
    return next(row for row in groups.rows if row.path.endswith(f"/{name}"))


def test_a_slice_is_as_old_as_its_first_service(cgroup: Cgroup) -> None:
    """The kernel's own date of it is that of the last service that came, as with systemd, which sets attributes."""
    began = time.time()
    service = Cgroup({key: path / "first.service" for key, path in cgroup.paths.items()})
    for path in service.paths.values():
        path.mkdir(exist_ok=True)
    with service.spawn(["sleep", "60"]) as process:
        time.sleep(1)
        for path in cgroup.paths.values():
            os.setxattr(path, "trusted.invocation_id", b"x")
            (path / "later.service").mkdir(exist_ok=True)
        dates = [path.stat().st_ctime for path in (*cgroup.paths.values(), *service.paths.values())]
        groups = groups_of({})
        found = row_of(cgroup, groups).started
        groups.close()
        process.kill()
    assert min(dates[: len(cgroup.paths)]) > began + 0.9
    assert found == pytest.approx(began, abs=0.5)


def test_one_that_is_made_again_between_two_looks(cgroup: Cgroup) -> None:
    """What is held is of the one before: the other has its own counters and its own beginning, and no reading fails."""
    errors: dict[str, int] = {}
    groups = groups_of(errors)
    cgroup.run([*PYTHON, "pass"])
    first = row_of(cgroup, groups)
    time.sleep(1)
    cgroup.remove()
    for path in cgroup.paths.values():
        path.mkdir()
    second = row_of(cgroup, groups)
    cgroup.run([*PYTHON, "x = b'x' * (30 << 20)"])
    third = row_of(cgroup, groups)
    groups.close()
    peaks = [row.account.memory_charged_peak_bytes or 0 for row in (first, second, third)]
    assert 0 == peaks[1] < peaks[0] < peaks[2] == cgroup.memory_peak_bytes()
    assert (second.started or 0.0) >= (first.started or 0.0) + 0.9
    assert errors == {}


def test_files_that_are_taken_away_and_given_back(cgroup: Cgroup) -> None:
    """As those of a controller are; pressure is what can be switched on and off everywhere."""
    switch = cgroup.paths[V2] / "cgroup.pressure"
    if not switch.exists():
        pytest.skip("the kernel has no cgroup.pressure (Linux 6.1)")
    switch.write_text("0")
    errors: dict[str, int] = {}
    reader = AccountReader({"": str(cgroup.paths[V2])}, Descriptors(100), errors)

    def seen(readings: int) -> float | None:
        return [reader.read(whole=True).cpu_waiting_seconds for _ in range(readings)][-1]

    assert seen(1) is None
    switch.write_text("1")
    assert seen(12) is not None
    for _ in range(2):
        switch.write_text("0")
        switch.write_text("1")
        assert seen(2) is not None
    switch.write_text("0")
    assert seen(2) is None
    reader.close()
    assert errors == {}


def test_all_processes_are_counted(cgroup: Cgroup) -> None:
    """More than the kernel tells at once."""
    forks = "import os, signal\nfor _ in range(999): os.fork() or signal.pause()\nprint(flush=True)\nsignal.pause()"
    where = {"" if key == V2 else key: str(path) for key, path in cgroup.paths.items()}
    with cgroup.spawn([*PYTHON, forks], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        reader = AccountReader(where, Descriptors(100), {}, detailed=True)
        found = reader.read().process_count
        reader.close()
        cgroup.remove()
    assert found == 1000


def test_a_kill_in_a_unit_of_a_container(cgroup: Cgroup) -> None:
    """Version 1 counts it there alone; it stays when the unit goes."""
    if "memory" not in cgroup.paths:
        pytest.skip("the kernel counts it above too")
    container = Cgroup({key: path / "docker" / CONTAINER for key, path in cgroup.paths.items()})
    unit = Cgroup({key: path / "init.scope" for key, path in container.paths.items()})
    for directory in unit.paths.values():
        directory.mkdir(parents=True, exist_ok=True)
    container.limit_memory(24 * 1024 * 1024)
    top, path = str(cgroup.paths["memory"]), f"/docker/{CONTAINER}"
    ref = locate(path)
    assert ref is not None
    watched = Container(ref, {"memory": top}, started=0, seen=0, descriptors=Descriptors(50), errors={})
    watched.open_what_is_there()
    machine = MachineActivity()
    watched.read(NO_TRAFFIC, grown=machine.grown())
    before = watched.row.account.oom_kills
    killed = unit.run([*PYTHON, "x = b'x' * (80 << 20)"])
    watched.read(NO_TRAFFIC, grown=machine.grown())
    after = watched.row.account.oom_kills
    unit.remove()
    watched.read(NO_TRAFFIC, whole=True)
    watched.close()
    assert killed.returncode == -signal.SIGKILL
    assert (before, after, watched.row.account.oom_kills) == (0, 1, 1)
