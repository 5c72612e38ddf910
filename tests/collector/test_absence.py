"""What a collector says that sees no container."""

from __future__ import annotations

import pytest

from jobmeter.collector.absence import Absence
from jobmeter.model.job import Host, Job
from jobmeter.model.sample import ContainerInfo, Sample
from jobmeter.model.summarize import RunFold
from jobmeter.spool.recorder import Recorder


class Sidecar:
    """A collector whose every tick scans, or the first ``scans`` of them."""

    def __init__(self, scans: int = 1000, *, on_host: bool = False) -> None:
        self._scans = scans
        self.ticks = 0
        self.fold = RunFold()
        self.recorder = Recorder("run", self.fold)
        self.absence = Absence(lambda: min(self.ticks, self._scans), self.recorder.warn, on_host=on_host)
        self.recorder.add_sink(self.absence.take)
        self.recorder.start(
            start_time="2026-11-21T12:00:00.000Z", monotonic_seconds=5.0, boot_id=None, interval_seconds=1.0,
            version="1", meter="collector", job=Job(), host=Host(),
        )  # fmt: skip

    def tick(self, elapsed: float) -> list[str]:
        self.ticks += 1
        self.recorder.sample(
            Sample(
                elapsed_seconds=elapsed, due_seconds=elapsed, unattributed_cpu_seconds=0.0, cpu_complete=True
            )
        )
        return self.warnings()

    def warnings(self) -> list[str]:
        return self.fold.summary().warnings


def test_it_is_said_after_a_while_and_once() -> None:
    """Early enough to be mended, and of the time that has passed only."""
    sidecar = Sidecar()
    assert [sidecar.tick(second) for second in (0, 2, 4, 9.9)] == [[]] * 4
    (said,) = sidecar.tick(10.02)
    assert said.startswith(
        "No container was seen in the first 10 s: if the job runs already, the collector needs"
    )
    sidecar.tick(60)
    sidecar.absence.end()
    assert sidecar.warnings() == [said]


@pytest.mark.parametrize("ticks, scans", [((0, 30), 1000), ((0, 5, 10, 15), 2)])
def test_it_waits_for_three_looks(ticks, scans) -> None:
    """A long interval, or a crowded host that is looked at seldom, has not been looked at in ten seconds."""
    sidecar = Sidecar(scans)
    assert [sidecar.tick(second) for second in ticks][-1] == []


def test_a_container_that_comes_late_is_no_absence() -> None:
    """A sidecar starts before its peers as a rule."""
    sidecar = Sidecar()
    sidecar.tick(0)
    sidecar.recorder.declare(8, ContainerInfo(key="a", name="a"))
    sidecar.tick(20)
    sidecar.absence.end()
    assert sidecar.warnings() == []


def test_a_short_run_says_it_at_its_end() -> None:
    """Without the time, since it is of the whole run."""
    sidecar = Sidecar()
    sidecar.tick(1)
    sidecar.absence.end()
    assert [one.split(" (")[0] for one in sidecar.warnings()] == [
        "No container was seen: the collector needs the pid namespace of the job"
    ]


def test_a_host_without_containers_is_not_told_to_be_one() -> None:
    """There is no pid namespace above it to ask for."""
    sidecar = Sidecar(on_host=True)
    for second in (0, 5, 10):
        sidecar.tick(second)
    (said,) = sidecar.warnings()
    assert said.startswith("No container was seen in the first 10 s: this is the host, and none runs here")
    assert "needs" not in said
