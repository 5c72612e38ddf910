"""The cgroups that are no containers, read like containers; what lies inside containers is left out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.exporter import groups as room
from jobmeter.exporter.container import Row
from jobmeter.exporter.groups import Groups
from jobmeter.exporter.machine import Machine, read_machine
from jobmeter.linux.cgroup_mounts import Hierarchy
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.procfs import TICKS_PER_SECOND
from jobmeter.model.account import Interface
from tests.exporter.rows import MACHINE
from tests.support.fake_host import open_descriptors
from tests.support.hosts import CONTAINER, HOSTS, hierarchies, job_directories, proc
from tests.support.kernel import stat_line
from tests.support.kernel_files import no_device

NET_DEV = "a\nb\n  lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n eth0: 7 1 0 0 0 0 0 0 8 2 0 0 0 0 0 0\n"
POD = "kubepods/burstable/pod2c48913c-9bca-8d63-d5fa-2c48913c9bca"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree of version 2 with a service, a pod and two containers."""
    real = Path(job_directories("v2")[""])
    for path in ("system.slice/ssh.service", POD):
        shutil.copytree(real, tmp_path / "cgroup" / path)
    for path in (f"docker/{CONTAINER}/inner.slice", f"{POD}/{CONTAINER}"):
        (tmp_path / "cgroup" / path).mkdir(parents=True)
    (tmp_path / "cgroup/cpu.stat").write_text("usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n")
    (tmp_path / "cgroup/memory.stat").write_text("anon 1000\nfile 500\ninactive_file 200\n")
    (tmp_path / "1/net").mkdir(parents=True)
    (tmp_path / "1/net/dev").write_text(NET_DEV)
    return tmp_path / "cgroup"


def groups_of(
    top: Path,
    machine: Machine = MACHINE,
    *,
    clock: Callable[[], float] = lambda: 1.0,
    errors: dict[str, int] | None = None,
    descriptors: int = 100,
) -> Groups:
    return Groups(
        [Hierarchy(("",), str(top), "/")], machine, descriptors=Descriptors(descriptors),
        errors=errors if errors is not None else {}, root=str(top.parent), clock=clock,
    )  # fmt: skip


def by_path(groups: Groups) -> dict[str, Row]:
    groups.tick()
    return {row.path: row for row in groups.rows}


def test_all_but_containers_and_what_is_in_them(top: Path) -> None:
    """From the root downwards; the id is the path."""
    groups = groups_of(top)
    found = by_path(groups)
    assert next(iter(found)) == "/"
    assert found.keys() == {
        "/", "/system.slice", "/system.slice/ssh.service", "/kubepods", "/kubepods/burstable", f"/{POD}", "/docker",
    }  # fmt: skip
    service = found["/system.slice/ssh.service"]
    assert (service.id, service.account.memory_usage_bytes) == ("/system.slice/ssh.service", 22151168)
    assert service.account.io_bytes_by_device
    assert service.bounds.spec is not None
    assert service.bounds.spec.memory_limit_bytes == 67108864
    groups.close()


def test_the_root_is_the_machine(top: Path) -> None:
    """It was made when the machine was started; its limits are what there is; version 2 counts no usage for it."""
    groups = groups_of(top)
    root = by_path(groups)["/"]
    assert (root.started, root.account.cpu_seconds) == (MACHINE.booted, 5.0)
    assert (root.account.memory_usage_bytes, root.account.memory_working_set_bytes) == (1500, 1300)
    assert root.account.interfaces == (Interface("eth0", 7, 1, 0, 0, 8, 2, 0, 0),)
    assert root.bounds.spec is not None
    assert root.bounds.spec.memory_limit_bytes == MACHINE.memory_bytes
    groups.close()


def test_a_machine_of_which_nothing_can_be_read(top: Path) -> None:
    """What is not known is not there."""
    (top.parent / "1/net/dev").unlink()
    (top / "memory.stat").write_text("nonsense\n")
    groups = groups_of(top, Machine())
    root = by_path(groups)["/"]
    assert (root.account.interfaces, root.account.memory_usage_bytes, root.started) == (None, None, 1.0)
    assert root.bounds.spec is not None
    assert root.bounds.spec.memory_limit_bytes is None
    groups.close()


def test_what_comes_and_goes(top: Path) -> None:
    """At the next tick; nothing is held of what is gone."""
    before = open_descriptors()
    groups = groups_of(top)
    groups.tick()
    held = open_descriptors()
    shutil.copytree(top / "system.slice/ssh.service", top / "user.slice")
    assert "/user.slice" in by_path(groups)
    assert open_descriptors() > held
    shutil.rmtree(top / "user.slice")
    assert "/user.slice" not in by_path(groups)
    assert open_descriptors() == held
    groups.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("descriptors", [0, 100])
def test_a_service_that_is_started_again_is_another(
    top: Path, monkeypatch: pytest.MonkeyPatch, descriptors: int
) -> None:
    """Its counters begin anew, and so does what is told of its beginning; nothing failed."""
    monkeypatch.setattr(os, "pread", no_device())
    now, errors = [100.0], dict[str, int]()
    groups = groups_of(top, clock=lambda: now[0], errors=errors, descriptors=descriptors)
    service, old = top / "system.slice/ssh.service", top / "old"
    first = by_path(groups)["/system.slice/ssh.service"]
    now[0] = 200.0
    shutil.copytree(service, old)  # So that its inode is not used again.
    service.rename(top.parent / "gone")
    old.rename(service)
    shutil.rmtree(top.parent / "gone")
    (service / "cpu.stat").write_text("usage_usec 7000\n")
    second = by_path(groups)["/system.slice/ssh.service"]
    assert (first.started, second.started, second.account.cpu_seconds) == (100.0, 200.0, 0.007)
    assert second.account.memory_usage_bytes == first.account.memory_usage_bytes
    assert errors == {}
    groups.close()


def test_one_that_is_made_anew_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd makes the directory of each controller on its own: it is another at the next tick."""
    monkeypatch.setattr(os, "pread", no_device())
    for one in ("memory", "cpuacct"):
        (tmp_path / one / "a.service").mkdir(parents=True)
    (tmp_path / "cpuacct/a.service/cpuacct.usage").write_text("3000000000\n")
    made = [Hierarchy((one,), str(tmp_path / one), "/") for one in ("memory", "cpuacct")]
    errors: dict[str, int] = {}
    groups = Groups(made, MACHINE, descriptors=Descriptors(10), errors=errors, root=str(tmp_path))
    assert by_path(groups)["/a.service"].account.cpu_seconds == 3.0
    (tmp_path / "cpuacct/a.service").rename(tmp_path / "old")
    (tmp_path / "cpuacct/a.service").mkdir()
    (tmp_path / "cpuacct/a.service/cpuacct.usage").write_text("1000000000\n")
    shutil.rmtree(tmp_path / "old")
    assert "/a.service" not in by_path(groups)
    assert by_path(groups)["/a.service"].account.cpu_seconds == 1.0
    assert errors == {}
    groups.close()


def test_a_directory_of_another_controller_that_comes_later(tmp_path: Path) -> None:
    """Systemd makes them one after the other."""
    (tmp_path / "memory/a.service").mkdir(parents=True)
    (tmp_path / "cpuacct").mkdir()
    made = [Hierarchy((one,), str(tmp_path / one), "/") for one in ("memory", "cpuacct")]
    groups = Groups(made, MACHINE, descriptors=Descriptors(0), errors={}, root=str(tmp_path))
    before = by_path(groups)["/a.service"]
    assert before.account.cpu_seconds is None
    time.sleep(0.02)
    (tmp_path / "memory/a.service").chmod(0o700)
    (tmp_path / "cpuacct/a.service").mkdir()
    (tmp_path / "cpuacct/a.service/cpuacct.usage").write_text("3000000000\n")
    seen = [by_path(groups)["/a.service"] for _ in range(7)]
    assert (seen[-1].account.cpu_seconds, seen[-1].started) == (3.0, before.started)
    groups.close()


def test_a_slice_began_no_later_than_what_is_in_it(top: Path) -> None:
    """Services, and containers, though they are no rows here; what comes later changes nothing."""
    now, uptime = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    ages = {f"{POD}/{CONTAINER}": 3000, "system.slice/ssh.service": 600}
    for pid, (path, age) in enumerate(ages.items(), 10):
        (top / path / "cgroup.procs").write_text(f"{pid}\n")
        (top.parent / str(pid)).mkdir()
        stat = stat_line(pid, start_tick=round((uptime - age) * TICKS_PER_SECOND))
        (top.parent / str(pid) / "stat").write_bytes(stat)
    groups = groups_of(top, clock=lambda: now)
    first = by_path(groups)
    old = {"/kubepods": 3000, "/kubepods/burstable": 3000, f"/{POD}": 3000}
    old |= {"/system.slice": 600, "/system.slice/ssh.service": 600, "/docker": 0}
    assert {path: now - (first[path].started or 0.0) for path in old} == pytest.approx(old, abs=5)
    assert first["/"].started == MACHINE.booted
    (top / "system.slice/ssh.service").chmod(0o700)
    (top / "docker/late.slice").mkdir()
    assert {path: row.started for path, row in by_path(groups).items() if path in first} == {
        path: row.started for path, row in first.items()
    }
    groups.close()


def test_they_are_bounded(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies deepest is left out, and counted."""
    monkeypatch.setattr(room, "MAX_GROUPS", 4)
    groups = groups_of(top)
    assert by_path(groups).keys() == {"/", "/system.slice", "/kubepods", "/docker"}
    assert groups.refused > 0
    groups.close()


def test_counters_grow(top: Path) -> None:
    """Each tick reads what has changed; what is written is not the row of before."""
    groups = groups_of(top)
    before = by_path(groups)["/"]
    (top / "cpu.stat").write_text("usage_usec 6000000\nuser_usec 5000000\nsystem_usec 1000000\n")
    after = by_path(groups)["/"]
    assert (before.account.cpu_seconds, after.account.cpu_seconds) == (5.0, 6.0)
    groups.close()


@pytest.mark.parametrize("host", ["hybrid", "v1", "v2"])
def test_a_real_host(host: str) -> None:
    """Every version has its root, and no container is among them."""
    groups = Groups(
        hierarchies(host), read_machine(proc(host)), descriptors=Descriptors(0), errors={}, root=proc(host)
    )
    found = by_path(groups)
    assert "/" in found
    assert not any(CONTAINER in path for path in found)
    assert found["/"].bounds.spec is not None
    groups.close()


def test_what_a_machine_tells(tmp_path: Path) -> None:
    """Its size from the kernel, its names from files of the host; what is not there is not known."""
    host = Path(proc("hybrid"))
    for name in ("stat", "meminfo"):
        shutil.copy(host / name, tmp_path)
    for path, text in (
        ("1/root/etc/machine-id", "5d41\n"), ("sys/kernel/random/boot_id", "9f01\n"),
        ("class/dmi/id/product_uuid", "ec2e\n"),
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    found = read_machine(str(tmp_path), str(tmp_path))
    assert (found.cpus, found.memory_bytes) == (2, 24684084 * 1024)
    assert (found.machine_id, found.boot_id, found.system_uuid) == ("5d41", "9f01", "ec2e")
    assert read_machine(str(tmp_path / "none"), str(tmp_path / "none")) == Machine()
    (tmp_path / "stat").write_text("nonsense")
    (tmp_path / "meminfo").write_text("MemTotal: x")
    assert read_machine(str(tmp_path), str(tmp_path)) == replace(
        Machine(), machine_id="5d41", boot_id="9f01", system_uuid="ec2e"
    )


def test_hosts_are_there() -> None:
    """So that the tests above read something."""
    assert all((HOSTS / host).is_dir() for host in ("hybrid", "v1", "v2"))
