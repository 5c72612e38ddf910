"""What the whole machine uses, read of a /proc of a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.exporter.machine import MachineReader, MachineUse

STAT = "cpu  {user} 2 3 {idle} 5 6 7 8 9 10\ncpu0 1 2\ncpu3 1 2\nintr 7\nbtime 1795200000\n"
MEMINFO = "MemTotal: 64 kB\nMemFree: 1 kB\nMemAvailable: 32 kB\nSwapTotal: 16 kB\nSwapFree: 8 kB\n"
STALL = "some avg10=0.00 avg60=0.00 avg300=0.00 total={some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={full}\n"
WHOLE = MachineUse(
    cpu_seconds={
        "user": 100.0, "nice": 0.02, "system": 0.03, "idle": 400.0, "iowait": 0.05, "irq": 0.06, "softirq": 0.07,
        "steal": 0.08,
    },
    cpus=2, memory_total_bytes=65536, memory_available_bytes=32768, swap_total_bytes=16384, swap_free_bytes=8192,
    pressure_seconds={
        ("cpu", "some"): 1.5, ("memory", "some"): 2.5, ("memory", "full"): 0.25, ("io", "some"): 3.5,
        ("io", "full"): 0.5,
    },
    booted=1795200000,
)  # fmt: skip


class Machine:
    """A /proc, its reader, and what could not be read of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.errors: dict[str, int] = {}
        self.passed = 0.0
        self.reader = MachineReader(str(root), self.errors, monotonic=lambda: self.passed)
        (root / "pressure").mkdir()
        self.write(idle=400.0)
        (root / "meminfo").write_text(MEMINFO)
        for resource, some, full in (("cpu", 1.5, 0), ("memory", 2.5, 0.25), ("io", 3.5, 0.5)):
            text = STALL.format(some=round(some * 1e6), full=round(full * 1e6))
            (root / "pressure" / resource).write_text(text)

    def write(self, *, user: float = 100.0, idle: float) -> None:
        """Seconds of two modes."""
        (self.root / "stat").write_text(STAT.format(user=round(user * 100), idle=round(idle * 100)))

    def idle(self, seconds: float, *, after: float = 1000.0) -> float:
        """What is shown when the kernel says this, so many seconds after the last reading."""
        self.passed += after
        self.write(idle=seconds)
        return self.reader.read().cpu_seconds["idle"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_everything_is_read(machine: Machine) -> None:
    """Each number as the kernel means it; no time in which all work waited for a CPU."""
    assert machine.reader.read() == WHOLE
    assert machine.errors == {}


@pytest.mark.parametrize(
    "name, gone",
    [
        ("stat", {"cpu_seconds": {}, "cpus": None, "booted": None}),
        ("meminfo", dict.fromkeys(
            ("memory_total_bytes", "memory_available_bytes", "swap_total_bytes", "swap_free_bytes")
        )),
        ("pressure/cpu", {"pressure_seconds": {
            key: value for key, value in WHOLE.pressure_seconds.items() if key[0] != "cpu"
        }}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(machine: Machine, name: str, gone: dict[str, object]) -> None:
    """A file that is not there is no error, one that is not understood is; the others are read all the same."""
    expected = MachineUse(**{field: getattr(WHOLE, field) for field in WHOLE.__struct_fields__} | gone)
    (machine.root / name).unlink()
    assert machine.reader.read() == expected
    assert machine.errors == {}

    (machine.root / name).write_text("some text=x\nMemTotal: x\nbtime x\n")
    assert machine.reader.read() == expected
    assert machine.errors["format"] >= 1

    (machine.root / name).unlink()
    (machine.root / name).mkdir()
    assert machine.reader.read() == expected
    assert machine.errors["read"] == 1

    (machine.root / name).rmdir()
    (machine.root / name).symlink_to(machine.root / name)
    assert machine.reader.read() == expected
    assert machine.errors["open"] == 1


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    """There is nothing to show, and nothing wrong."""
    errors: dict[str, int] = {}
    assert MachineReader(str(tmp_path / "none"), errors).read() == MachineUse()
    assert errors == {}


def test_a_mode_never_falls(machine: Machine) -> None:
    """A small fall is waited for, a large one is a CPU that was taken away: what comes after it is added."""
    readings = [400.0, 399.5, 400.25, 300.0, 301.0, 302.0, 299.5, 303.0, 100.0, 110.0]
    shown = [machine.idle(seconds) for seconds in readings]
    assert shown == [400.0, 400.0, 400.25, 400.25, 401.25, 402.25, 402.25, 403.25, 403.25, 413.25]


def test_a_cpu_that_comes_back(machine: Machine) -> None:
    """Brings the time of before it was taken away: that was counted then, and nobody was idle for an hour since."""
    readings = [10000.0, 10010.0, 6010.0, 6020.0, 10030.0, 10040.0]
    shown = [machine.idle(seconds, after=10.0) for seconds in readings]
    assert shown == [10000.0, 10010.0, 10010.0, 10020.0, 10020.0, 10030.0]


def test_this_machine_is_read() -> None:
    """Its own /proc, twice: no counter falls."""
    errors: dict[str, int] = {}
    reader = MachineReader("/proc", errors)
    before, after = reader.read(), reader.read()
    assert errors == {}
    assert (before.cpus or 0) >= 1
    assert 0 < (before.memory_available_bytes or 0) <= (before.memory_total_bytes or 0)
    assert all(after.cpu_seconds[mode] >= seconds for mode, seconds in before.cpu_seconds.items())
