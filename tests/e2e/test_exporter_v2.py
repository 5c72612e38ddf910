"""`jobmeter exporter` on a machine with cgroup v2 alone, against the account of the cgroup around its containers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import guest_exporter as guest
from tests.e2e.support.exporter_guests import run_in_guest
from tests.e2e.support.exporters import Scrape
from tests.e2e.support.vm import VirtualMachine

KILLED = 137
MIB = 1024 * 1024
CONTAINERS = (guest.JOB, guest.BUSY, guest.SHORT)


@pytest.fixture(scope="module")
def said(vm: VirtualMachine) -> dict[str, Any]:
    """What the guest says."""
    return run_in_guest(vm, "guest_exporter")


@pytest.fixture(scope="module")
def scrape(said: dict[str, Any]) -> Scrape:
    return Scrape(said["scrape"])


def test_cpu_time_is_the_account_around(said: dict[str, Any], scrape: Scrape) -> None:
    """What is shown of all containers, ended ones too, is what the cgroup around them counts; parts make the whole."""
    shown = sum(scrape.container("cpu_usage_seconds_total", one) for one in CONTAINERS)

    assert said["cpu_seconds"] > 1
    assert shown == pytest.approx(said["cpu_seconds"], rel=0.001, abs=0.02)
    for one in CONTAINERS:
        parts = [scrape.container(f"cpu_{mode}_seconds_total", one) for mode in ("user", "system")]
        assert sum(parts) == pytest.approx(scrape.container("cpu_usage_seconds_total", one), abs=1e-5)


def test_cpu_limit(scrape: Scrape) -> None:
    """It binds one container alone, which is throttled, and gets no more than it."""
    (limited,) = scrape.labels("jobmeter_container_cpu_limit_cores")
    lived = scrape.container("end_time_seconds", guest.BUSY) - scrape.container(
        "start_time_seconds", guest.BUSY
    )

    assert limited["id"] == guest.BUSY
    assert scrape.container("cpu_limit_cores", guest.BUSY) == guest.CPU_LIMIT_CORES
    assert 0 < scrape.container("cpu_throttled_seconds_total", guest.BUSY) < lived
    assert scrape.container("cpu_usage_seconds_total", guest.BUSY) < 2 * guest.CPU_LIMIT_CORES * lived
    assert [scrape.container("cpu_throttled_periods_total", one) for one in (guest.JOB, guest.SHORT)] == [
        0,
        0,
    ]


def test_memory(said: dict[str, Any], scrape: Scrape) -> None:
    """What it holds, the limit that it met, and the process that was killed then."""
    held = scrape.container("memory_usage_bytes", guest.JOB)

    assert said["killed"] == KILLED
    assert guest.HELD_BYTES <= held <= guest.HELD_BYTES + 4 * MIB
    assert scrape.container("memory_limit_bytes", guest.JOB) == guest.MEMORY_LIMIT_BYTES
    assert scrape.container("memory_charged_peak_bytes", guest.JOB) == pytest.approx(
        guest.MEMORY_LIMIT_BYTES, rel=0.05
    )
    assert [scrape.container("memory_oom_kills_total", one) for one in CONTAINERS] == [1, 0, 0]


def test_pressure(scrape: Scrape) -> None:
    """Each waits for what it wants: one for CPU beyond its limit, the other for memory and the disk."""

    def waited(resource: str, container_id: str) -> float:
        name = "jobmeter_container_pressure_seconds_total"
        return scrape.value(name, id=container_id, resource=resource, kind="some")

    throttled = scrape.container("cpu_throttled_seconds_total", guest.BUSY)

    assert throttled / 2 < waited("cpu", guest.BUSY) < 2 * throttled
    assert waited("memory", guest.JOB) > 0
    assert waited("io", guest.JOB) > 0
    assert [waited(one, guest.BUSY) for one in ("memory", "io")] == [0, 0]


def test_disk(scrape: Scrape) -> None:
    """To the byte."""
    names = ("io_written_bytes_total", "io_read_bytes_total")

    assert [scrape.container(name, guest.JOB) for name in names] == [guest.WRITTEN_BYTES, guest.READ_BYTES]
    assert [scrape.container(name, guest.BUSY) for name in names] == [0, 0]
    assert scrape.container("io_writes_total", guest.JOB) >= guest.WRITTEN_BYTES / MIB


def test_nothing_fails(said: dict[str, Any], scrape: Scrape) -> None:
    """Every file is as it is understood."""
    assert sum(scrape.values("jobmeter_exporter_read_errors_total")) == 0
    assert scrape.value("jobmeter_exporter_samples_dropped_total") == 0
    assert said["code"] == 0
