"""The whole machine and the meter itself at one tick."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.metering.host import HostReader, read_boot_id
from jobmeter.model.sample import HostSample
from tests.support.fake_host import FakeHost, open_descriptors
from tests.support.hosts import proc


@pytest.mark.parametrize("host", ["hybrid", "v1", "v2", "hidepid", "private_cgroupns"])
def test_each_host_tells_of_the_machine(host: str) -> None:
    """These two files are readable in every container."""
    said: list[str] = []
    reader = HostReader(proc(host), said.append)
    found = reader.read()
    assert found.busy_seconds == 3407.5
    assert found.steal_seconds == 3.62
    assert (found.memory_total_bytes, found.memory_available_bytes) == (24684084 * 1024, 24108192 * 1024)
    assert (reader.cpus, reader.read_errors, said) == (2, 0, [])
    reader.close()


def test_the_counters_are_read_anew(tmp_path: Path) -> None:
    """Descriptors are kept and read from the beginning at each tick."""
    host = FakeHost(tmp_path)
    reader = HostReader(host.root)
    host.machine(busy=150, idle=50, total_kb=100, available_kb=60)
    assert reader.read() == HostSample(
        busy_seconds=1.5,
        idle_seconds=0.5,
        steal_seconds=0.0,
        memory_total_bytes=102400,
        memory_available_bytes=61440,
    )
    reader.close()


def test_what_cannot_be_opened_is_said_once_and_left_out(tmp_path: Path) -> None:
    """The other file is read."""
    host = FakeHost(tmp_path)
    (tmp_path / "stat").unlink()
    said: list[str] = []
    reader = HostReader(host.root, said.append)
    for _ in range(2):
        found = reader.read()
    assert (found.busy_seconds, found.memory_total_bytes) == (None, 8192 * 1024)
    assert said == [
        f"{host.root}/stat cannot be read (No such file or directory): the numbers of the whole machine are missing."
    ]
    assert reader.describe().cpus is None
    reader.close()


def test_nonsense_is_an_error_that_is_counted(tmp_path: Path) -> None:
    """The next good reading is taken."""
    host = FakeHost(tmp_path)
    reader = HostReader(host.root)
    (tmp_path / "meminfo").write_text("MemTotal: much\n")
    found = reader.read()
    assert (found.busy_seconds, found.memory_total_bytes, reader.read_errors) == (0, None, 1)
    (tmp_path / "meminfo").write_text("MemTotal: 4 kB\n")
    found = reader.read()
    assert (found.memory_total_bytes, found.memory_available_bytes, reader.read_errors) == (4096, None, 1)
    reader.close()


def test_the_machine_is_described() -> None:
    """Name, size and kernel."""
    reader = HostReader()
    found = reader.describe()
    reader.close()
    assert (found.name, found.kernel) == (os.uname().nodename, os.uname().release)
    assert found.cpus == os.sysconf("SC_NPROCESSORS_ONLN")
    assert found.memory_bytes is not None
    assert abs(found.memory_bytes - os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) < 1 << 20


@pytest.mark.parametrize("root", ["/proc", "/nowhere"])
def test_the_meter_is_metered(root: str) -> None:
    """Its own CPU time and peak, with what it could not do; also where /proc does not tell of it."""
    reader = HostReader(root)
    found = reader.meter(read_errors=3, late_ticks=2)
    reader.close()
    assert (found.read_errors, found.late_ticks) == (3, 2)
    assert found.cpu_seconds > 0
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 1 << 20


def test_the_boot_is_known() -> None:
    """By the kernel's id, where it can be read."""
    assert len(read_boot_id() or "") == 36
    assert read_boot_id("/nowhere") is None


def test_descriptors_are_given_back() -> None:
    """By closing, twice too."""
    before = open_descriptors()
    reader = HostReader()
    reader.close()
    reader.close()
    assert open_descriptors() == before
