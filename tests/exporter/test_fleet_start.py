"""What was there before the exporter is not counted again; what begins from then on is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobmeter.exporter.totals import Of, Sums
from tests.exporter.tree import Watched

OLD, NEW = "/docker/" + "a" * 64, "/docker/" + "b" * 64
LABELS = {"jobmeter.repository": "acme/x", "jobmeter.job": "build"}
OF = Of("acme/x", "", "build")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path, there={OLD: 1000.0})
    yield made
    made.fleet.close()


def name(host: Watched, path: str) -> None:
    host.catalog.put(path.rpartition("/")[2], "", LABELS)


def test_what_it_used_before_is_not_counted(host: Watched) -> None:
    """The exporter that ran before a restart has counted it, and its job."""
    name(host, OLD)
    host.fleet.tick()
    host.tree.use(OLD, 2.0)
    for _ in range(3):
        host.tick(10)
    assert host.totals() == {OF: Sums(cpu_seconds=2.0)}


def test_who_begins_during_the_first_reading(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is new."""
    name(host, NEW)
    take = host.fleet._take_events

    def begin(seconds: float) -> bool:
        monkeypatch.undo()
        host.tree.make(NEW)
        host.tree.use(NEW, 0.5)
        return take(seconds)

    monkeypatch.setattr(host.fleet, "_take_events", begin)
    host.fleet.tick()
    host.tree.use(NEW, 7.0)
    for _ in range(3):
        host.tick(10)
    assert host.totals() == {OF: Sums(cpu_seconds=7.5, jobs=1)}


def test_a_first_reading_that_fails(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one knows who was there before."""
    name(host, OLD)

    def fail(containers: object) -> None:
        monkeypatch.undo()
        raise OSError("once")

    monkeypatch.setattr(host.identities, "learn", fail)
    with pytest.raises(OSError, match="once"):
        host.fleet.tick()
    for _ in range(3):
        host.tick(10)
    assert host.totals() == {}


def test_one_that_ends_before_it_is_credited(host: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """And another one with its path, which is new."""
    name(host, OLD)
    take = host.fleet._take_events

    def again(seconds: float) -> bool:
        monkeypatch.undo()
        host.tree.remove(OLD)
        host.tree.make(OLD)
        host.tree.use(OLD, 3.0)
        return take(seconds)

    monkeypatch.setattr(host.fleet, "_take_events", again)
    host.fleet.tick()
    for _ in range(3):
        host.tick(10)
    assert host.totals()[OF].cpu_seconds == 3.0
