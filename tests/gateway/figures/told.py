"""Runners to whom something happens, and the series that this makes."""

from __future__ import annotations

from msgspec import Struct

from jobmeter.gateway.figures.events import (
    Declared,
    Draining,
    Event,
    Fetched,
    LogReported,
    StageChanged,
    StateReported,
    StepChanged,
    TaskBegan,
    TaskClosing,
    TaskEnded,
    Waiting,
    WorkBegan,
)
from jobmeter.gateway.figures.exposition import Exposition, written
from jobmeter.gateway.figures.process import Build, ProcessFigures
from jobmeter.gateway.figures.runners import Runners
from jobmeter.model.job import Job
from tests.exporter.reading import Series, read

BUILD = Build("1.2", "3.11.7", "amd64", "linux")
AT = 1795300000.0
JOB = Job(
    forge="forgejo", server_url="https://forge.example", organization="acme", repository="acme/engine",
    workflow="ci.yml", job="build", run_id="4711", attempt=2, ref="refs/heads/main", event="push",
)  # fmt: skip
OTHER_JOB = Job(
    forge="gitlab", server_url="https://lab.example", repository="acme/site", job="pages", run_id="31"
)


class Someone(Struct, frozen=True):
    """A runner that a forge knows."""

    key: str
    name: str | None = None


LARGE = Someone("0a1b2c3d-6c55-4c1e-9a51-3f6d1f0f9d11", "large-1")
SMALL = Someone("9f8e7d6c-2f3c-4a58-8a67-5d0a2f4a7c22", "small-1")
LAB = Someone("token:t3stT0ke")

A_WORKING_DAY: tuple[tuple[Someone, Event], ...] = (
    (LARGE, Declared("large-1", "v0.6.1", ("ubuntu-latest", "large"), 60)),
    (LARGE, Fetched("empty", 0.02)),
    (LARGE, Waiting(2.0)),
    (LARGE, Fetched("empty", None)),
    (LARGE, Waiting(4.0)),
    (LARGE, Fetched("error", 0.3)),
    (LARGE, Fetched("task", 0.25)),
    (LARGE, TaskBegan("12", AT, JOB)),
    (LARGE, WorkBegan("12", 3.5)),
    (LARGE, StepChanged("12", 0, "Checkout", None)),
    (LARGE, LogReported(True, 0.004, 3, "12")),
    (LARGE, LogReported(False, 5.5, None, "12")),
    (LARGE, StateReported(True, 0.02)),
    (LARGE, StateReported(False, 0.4)),
    (LARGE, StepChanged("12", 0, "Checkout", 1.25)),
    (LARGE, TaskBegan("13", AT + 1, JOB)),
    (LARGE, TaskClosing("12")),
    (LARGE, TaskEnded("12", "success", 65.5)),
    (SMALL, Declared("small-1", "v0.6.1", (), None)),
    (SMALL, Fetched("task", 0.1)),
    (SMALL, TaskBegan("14", AT + 2)),
    (SMALL, TaskEnded("14", "cancelled", None)),
    (SMALL, Draining(True)),
    (LAB, TaskBegan("31", AT + 3, OTHER_JOB)),
    (LAB, StageChanged("31", "get_sources", "running", "docker_run")),
    (LAB, TaskBegan("32", AT + 4, OTHER_JOB)),
    (LAB, TaskEnded("32", "failure", 12.0, "runner_system_failure")),
)  # fmt: skip


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Told:
    """Runners, and what is shown of them."""

    def __init__(self, *dialects: str, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.runners = Runners(clock=self.clock)
        self.process = ProcessFigures(BUILD)
        self.exposition = Exposition(self.runners, self.process, dialects or ("act_runner",))

    def tell(self, *events: Event, of: Someone = LARGE) -> Told:
        """One after the other."""
        for event in events:
            self.runners.tell(of, event)
        return self

    def all(self) -> dict[str, float]:
        """The page of all runners."""
        return series(self.text())

    def of(self, name: str = "large-1") -> dict[str, float]:
        """The page of one runner."""
        return series(self.text(name))

    def text(self, name: str | None = None) -> str:
        """A page as it is written: of all runners, or of one."""
        families = self.exposition.families() if name is None else self.exposition.families_of(name)
        assert families is not None
        return written(families).decode()


def a_working_day(*dialects: str) -> Told:
    """Some time has gone since it began."""
    told = Told(*dialects)
    for someone, event in A_WORKING_DAY:
        told.tell(event, of=someone)
    told.clock.now += 90
    return told


def series(text: str) -> dict[str, float]:
    """Values by the line's beginning; none is there twice, and the parts of a histogram are its sum and its count."""
    found = [(_line(one), one.value) for one in read(text)]
    assert len(dict(found)) == len(found)
    return {line: value for line, value in found if "_bucket{" not in line}


def _line(one: Series) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
    return f"{one.name}{{{labels}}}" if labels else one.name


def changes(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What is there now and was not, or was another value."""
    assert before.keys() <= after.keys()
    return {line: value for line, value in after.items() if before.get(line) != value}
