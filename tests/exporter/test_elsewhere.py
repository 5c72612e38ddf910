"""Containers of another machine: who is shown, and what is credited, whatever its teller leaves out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from msgspec.structs import replace

from jobmeter.exporter import elsewhere
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.elsewhere import Elsewhere, path_of
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Sums, Totals
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job

NOW = 1_795_300_000.0
OLD, YOUNG = NOW - 60.0, NOW + 5.0
ENGINE = Identity(job=Job(repository="acme/engine"), execution="12")
OF_ENGINE = Of("acme/engine")


def row(
    container_id: str = "a",
    cpu: float | None = 0.0,
    *,
    started: float | None = YOUNG,
    ended: float | None = None,
    parent: str | None = None,
    identity: Identity = ENGINE,
) -> Row:
    return Row(
        id=container_id, path=path_of("vm-1", container_id), parent=parent, engine=None, pod=None, identity=identity,
        account=Account(cpu_seconds=cpu), bounds=Bounds(), started=started, ended=ended, runtime="linux-vm",
        machine="vm-1",
    )  # fmt: skip


class Machine:
    """Tells of itself while time passes."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.totals = Totals(monotonic=lambda: self.passed)
        self.shown = Elsewhere(
            self.totals, linger_seconds=20.0, grace_seconds=100.0, clock=lambda: NOW + self.passed - 1000.0,
            monotonic=lambda: self.passed,
        )  # fmt: skip

    def tells(self, *rows: Row, still: Collection[str] = (), after: float = 10.0) -> None:
        self.passed += after
        self.shown.tell(rows, still)

    def ticks(self, after: float = 0.0) -> None:
        self.passed += after
        self.shown.tick()

    def ids(self) -> list[str]:
        return [one.id for one in self.shown.rows]

    def cpu(self, of: Of = OF_ENGINE) -> float:
        return self.sums().get(of, Sums()).cpu_seconds

    def sums(self) -> dict[Of, Sums]:
        self.ticks()
        return dict(self.totals.shown_to(Asking(str(self.passed))))


@pytest.fixture
def machine() -> Machine:
    return Machine()


# --- Who is shown


def test_what_is_told_is_shown(machine: Machine) -> None:
    """At once, as it was told last."""
    machine.tells(row("a", 1.0), row("b", 2.0))
    machine.tells(row("a", 3.0), row("b", 2.0))
    assert [(one.id, one.account.cpu_seconds) for one in machine.shown.rows] == [("a", 3.0), ("b", 2.0)]


def test_what_is_told_no_more_has_ended(machine: Machine) -> None:
    """Its last values stay for the time that anyone's do."""
    machine.tells(row("a", 1.0), row("b"))
    machine.tells(row("b"))
    assert {one.id: one.ended for one in machine.shown.rows} == {"a": NOW + 20.0, "b": None}
    machine.ticks(after=20.0)
    assert machine.ids() == ["a", "b"]
    machine.ticks(after=1.0)
    assert machine.ids() == ["b"]


def test_one_that_cannot_be_read_now_is_still_there(machine: Machine) -> None:
    """Its machine says so."""
    machine.tells(row("a", 1.0), row("b"))
    machine.tells(row("b"), still=("a",))
    assert {one.id: one.ended for one in machine.shown.rows} == {"a": None, "b": None}


def test_one_that_its_machine_has_shown_after_its_end_goes_at_once(machine: Machine) -> None:
    """It has had its time there."""
    machine.tells(row("a", 1.0, ended=NOW))
    assert machine.ids() == ["a"]
    machine.tells()
    assert machine.ids() == []


def test_a_machine_that_is_not_heard_of_keeps_its_series_for_a_time(machine: Machine) -> None:
    """As they were last; then all go."""
    machine.tells(row("a", 1.0))
    machine.ticks(after=100.0)
    assert {one.id: one.ended for one in machine.shown.rows} == {"a": None}
    machine.ticks(after=1.0)
    assert machine.ids() == []


def test_no_more_than_there_is_room_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond it are counted, also where a machine tells of others each time."""
    monkeypatch.setattr(elsewhere, "MAX_CONTAINERS", 2)
    machine.tells(row("a"), row("b"), row("c"))
    assert (machine.ids(), machine.shown.refused) == (["a", "b"], 1)
    for number in range(50):
        machine.tells(row(f"{number}", ended=NOW))
    assert len(machine.ids()) <= 2
    assert machine.shown.refused >= 40


# --- What is credited


def test_one_that_began_since_anyone_watched_is_credited_in_full(machine: Machine) -> None:
    """Also what it had used when it was first told of, and when it is gone before the next tick."""
    machine.tells(row("a", 3.0), row("b", 4.0))
    machine.tells(row("b", 5.0, ended=NOW + 9.0))
    machine.tells()
    machine.ticks(after=30.0)
    assert machine.sums()[OF_ENGINE] == Sums(cpu_seconds=8.0, jobs=1)


@pytest.mark.parametrize("started", [OLD, None])
def test_one_that_was_there_before_is_credited_from_here(machine: Machine, started: float | None) -> None:
    """What was used before anyone watched was another's to count; its job too."""
    machine.tells(row("a", 300.0, started=started))
    machine.ticks(after=3.0)
    assert machine.sums()[OF_ENGINE] == Sums()
    machine.tells(row("a", 302.5, started=started), after=40.0)
    assert machine.sums()[OF_ENGINE] == Sums(cpu_seconds=2.5)


def test_one_of_an_unknown_start_that_comes_later_is_new(machine: Machine) -> None:
    """It was not there when the machine told of itself before."""
    machine.tells()
    machine.tells(row("a", 3.0, started=None))
    machine.ticks(after=30.0)
    assert machine.cpu() == 3.0


def test_one_that_was_away_is_taken_up_where_it_was(machine: Machine) -> None:
    """However long: what it used meanwhile is credited, and nothing twice."""
    for left_out in (10.0, 30.0, 200.0):
        machine.tells(row("a", left_out, started=None))
        machine.ticks(after=3.0)
        machine.tells()
        machine.ticks(after=left_out)
    machine.tells(row("a", 250.0, started=None))
    machine.ticks(after=3.0)
    assert machine.cpu() == 240.0


@pytest.mark.parametrize(
    "second, credited",
    [
        pytest.param(row("a", 2.0), 5.0 + 0.5, id="a fall gives no value"),
        pytest.param(row("a", 2.0, started=YOUNG + 30.0), 5.0 + 2.5, id="another one with the id"),
        pytest.param(row("a", 7.0, started=YOUNG + 30.0), 5.0 + 7.5, id="another one, that used more"),
    ],
)
@pytest.mark.parametrize("ticked_between", [True, False])
def test_counters_that_begin_anew(
    machine: Machine, second: Row, credited: float, ticked_between: bool
) -> None:
    """From what fell on, growth counts; a container that is known to be another counts in full."""
    machine.tells(row("a", 5.0))
    if ticked_between:
        machine.ticks(after=3.0)
    machine.tells(second)
    machine.ticks(after=3.0)
    machine.tells(replace(second, account=Account(cpu_seconds=(second.account.cpu_seconds or 0.0) + 0.5)))
    machine.ticks(after=3.0)
    assert machine.cpu() == credited


@pytest.mark.parametrize(
    "starts, credited",
    [
        pytest.param((None, None, None), 110.0 + 0.5, id="falls give no value"),
        pytest.param((YOUNG, NOW + 68.0, NOW + 75.0), 110.0 + 3.0 + 2.0, id="each another one"),
    ],
)
def test_one_that_begins_anew_again_and_again_between_two_ticks(
    machine: Machine, starts: Sequence[float | None], credited: float
) -> None:
    """Each in its turn: what the first one had used is not credited once more when it leaves."""
    first, second, third = starts
    machine.tells()
    machine.tells(row("a", 100.0, started=first))
    machine.ticks(after=40.0)
    machine.tells(row("a", 110.0, started=first), after=5.0)
    machine.tells(row("a", 3.0, started=second), after=5.0)
    machine.tells(row("a", 1.5, started=third), after=10.0)
    machine.ticks()
    machine.tells(row("a", 2.0, started=third))
    machine.ticks(after=3.0)
    assert machine.cpu() == credited


@pytest.mark.parametrize("away", [False, True])
def test_a_start_that_is_told_otherwise_makes_no_other_container(machine: Machine, away: bool) -> None:
    """A machine whose clock was set, or that looks anew, tells of what it has told already."""
    machine.tells(row("a", 100.0))
    machine.ticks(after=40.0)
    if away:
        machine.tells()
        machine.ticks(after=40.0)
    machine.tells(row("a", 101.0, started=YOUNG + 3.0))
    machine.ticks(after=3.0)
    assert machine.cpu() == 101.0


def test_a_counter_that_falls_beside_others(machine: Machine) -> None:
    """Goes on by itself, as where an interface has gone; it has the place and the name that it had."""
    for cpu, received in ((1.0, 1000), (2.0, 100), (3.0, 150), (4.0, 2000)):
        machine.tells(replace(row("a"), account=Account(cpu_seconds=cpu, network_received_bytes=received)))
    numbers = {one.number for one in machine.shown.rows}
    machine.ticks(after=3.0)
    assert machine.sums()[OF_ENGINE] == Sums(4.0, network_received_bytes=1000 + 1900, jobs=1)
    assert {one.number for one in machine.shown.rows} == numbers


def test_one_around_others_that_falls(machine: Machine) -> None:
    """What lies in it is credited once from there on."""
    inner = Identity(job=Job(repository="acme/tool"))
    for outer_cpu, inner_cpu in ((30.0, 20.0), (29.9, 21.0), (40.0, 25.0)):
        machine.tells(row("p", outer_cpu), row("c", inner_cpu, parent="p", identity=inner))
        machine.ticks(after=3.0)
    assert (machine.cpu(), machine.cpu(Of("acme/tool"))) == (15.0, 25.0)


def test_another_one_has_another_number(machine: Machine) -> None:
    """One that was away, and what lies in one that began anew, keep theirs."""

    def numbers() -> dict[str, int]:
        return {one.id: one.number for one in machine.shown.rows}

    machine.tells(row("a"), row("b", parent="a"))
    first = numbers()
    machine.tells()
    machine.ticks(after=40.0)
    machine.tells(row("a"), row("b", parent="a"))
    assert numbers() == first
    machine.tells(row("a", started=NOW + 75.0), row("b", parent="a"))
    assert numbers()["b"] == first["b"]
    assert numbers()["a"] not in first.values()


def test_one_that_is_told_before_what_it_lies_in_is_credited_once(machine: Machine) -> None:
    """Also by then."""
    inner = Identity(job=Job(repository="acme/tool"))
    machine.tells(row("b", 2.0, parent="a", identity=inner))
    machine.tells(row("a", 5.0), row("b", 2.5, parent="a", identity=inner))
    machine.ticks(after=3.0)
    assert (machine.cpu(), machine.cpu(Of("acme/tool"))) == (2.5, 2.5)


def test_what_lies_in_a_container_is_credited_once(machine: Machine) -> None:
    """To the job of the innermost; one that says it lies in itself lies in none."""
    inner = Identity(job=Job(repository="acme/tool"))
    machine.tells(row("a", 5.0), row("b", 2.0, parent="a", identity=inner), row("c", 1.0, parent="c"))
    machine.ticks(after=3.0)
    assert (machine.cpu(), machine.cpu(Of("acme/tool"))) == (4.0, 2.0)
