"""Figures of the daemon itself."""

from __future__ import annotations

import platform

from jobmeter.gateway.figures.process import MACHINE_STATES, Build, CountingLog, Machines, ProcessFigures
from tests.gateway.figures.told import BUILD


class Lines(list[str]):
    """A log that keeps what it is told."""

    def warn(self, message: str, **fields: object) -> None:
        self.append(f"warn {message} {fields}")

    def info(self, message: str, **fields: object) -> None:
        self.append(f"info {message} {fields}")


def test_warnings_are_counted_and_passed_on() -> None:
    """What is no warning is only passed on."""
    figures, lines = ProcessFigures(BUILD), Lines()
    log = CountingLog(lines, figures)
    log.warn("a forge is away", forge="lab")
    log.info("it is back")
    assert figures.log_entries == {"panic": 0, "fatal": 0, "error": 0, "warning": 1}
    assert lines == ["warn a forge is away {'forge': 'lab'}", "info it is back {}"]


def test_machines() -> None:
    """What was done with them adds up, in which state they are is told anew each time."""
    machines = Machines()
    machines.acted("created", 45.0)
    machines.acted("used", 9.0)
    machines.now({"idle": 2, "creating": 1})
    machines.now({"idle": 3, "on fire": 1})
    assert machines.actions == {"created": 1, "removed": 0, "used": 1}
    assert machines.states == {**dict.fromkeys(MACHINE_STATES, 0), "idle": 3}
    assert (machines.creation_seconds.count, machines.creation_seconds.sum) == (1, 45.0)


def test_a_machine_goes_from_state_to_state() -> None:
    """It is in one at a time, and at the end in none."""
    machines = Machines()
    machines.move(None, "creating")
    machines.move(None, "creating")
    machines.move("creating", "used")
    assert (machines.states["creating"], machines.states["used"]) == (1, 1)
    machines.move("used", None)
    machines.move("creating", None)
    assert not any(machines.states.values())


def test_this_program() -> None:
    """The Python that runs the tests."""
    build = Build.here("1.2")
    assert (build.version, build.python, build.os) == ("1.2", platform.python_version(), "linux")
    assert build.architecture not in ("", "x86_64", "aarch64")
