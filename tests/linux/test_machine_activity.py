"""What happened on the whole machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.linux.machine_activity import (
    CPU_PRESSURE,
    EVERYTHING,
    IO_PRESSURE,
    MEMORY_PRESSURE,
    OOM_KILLS,
    MachineActivity,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "vmstat").write_text("pgfault 7\noom_kill 3\n")
    for resource in ("cpu", "memory", "io"):
        stall(tmp_path, f"pressure/{resource}", 5)
    return tmp_path


def stall(root: Path, name: str, total: int) -> None:
    (root / name).write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n")


@pytest.mark.parametrize(
    "name, text",
    [
        (OOM_KILLS, "pgfault 9\noom_kill 4\n"),
        (CPU_PRESSURE, "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n"),
        (MEMORY_PRESSURE, "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n"),
        (IO_PRESSURE, "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"),
    ],
)
def test_what_grew_is_told_twice(root: Path, name: str, text: str) -> None:
    """At first everything may have; a cgroup's own counter may follow the machine's a moment later."""
    activity = MachineActivity(str(root))
    assert [activity.grown() for _ in range(3)] == [EVERYTHING, EVERYTHING, frozenset()]
    (root / name).write_text(text)
    assert [activity.grown() for _ in range(3)] == [{name}, {name}, frozenset()]


def test_other_words_of_the_same_file_are_nothing(root: Path) -> None:
    """Averages fade while nobody waits; pages are faulted in all the time."""
    activity = MachineActivity(str(root))
    activity.grown()
    activity.grown()
    (root / "vmstat").write_text("pgfault 8\noom_kill 3\n")
    (root / "pressure/io").write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n")
    assert activity.grown() == frozenset()


@pytest.mark.parametrize(
    "name, text",
    [
        (OOM_KILLS, None),
        (OOM_KILLS, "pgfault 7\n"),
        (OOM_KILLS, "oom_kill x\n"),
        (IO_PRESSURE, None),
        (IO_PRESSURE, "nonsense"),
    ],
)
def test_what_cannot_be_told_may_have_grown(root: Path, name: str, text: str | None) -> None:
    """An old kernel does not count OOM kills; one may have been built without pressure."""
    (root / name).unlink()
    if text is not None:
        (root / name).write_text(text)
    activity = MachineActivity(str(root))
    assert [activity.grown() for _ in range(3)][-1] == {name}
