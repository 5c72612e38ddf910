"""What is in several accounts is credited once, to the innermost container's job."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from jobmeter.containers.cgroup_path import ContainerRef
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.crediting import Crediting
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Sums, Totals
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job

OUTER, INNER = Job(repository="org/outer"), Job(repository="org/inner")
OF_OUTER, OF_INNER = Of("org/outer"), Of("org/inner")
NOW = 1000.0


@dataclass(eq=False)
class Used:
    """A container with its account and what is known of it."""

    path: str
    around: Used | None = None
    job: Job | None = None
    seen: float = 0.0
    row: Row = field(init=False)

    def __post_init__(self) -> None:
        self.ref = ContainerRef(engine=None, id=self.path, path=self.path, parent_path=None)
        self.row = Row(
            id=self.path, path=self.path, parent=None, engine=None, pod=None, started=0.0,
            identity=Identity(job=self.job), account=Account(), bounds=Bounds(),
        )  # fmt: skip

    def use(self, cpu: float | None, received: int = 0, sent: int = 0, kills: int = 0) -> None:
        account = Account(
            cpu_seconds=cpu, network_received_bytes=received, network_sent_bytes=sent, oom_kills=kills
        )
        self.row = replace(self.row, account=account)


class Host:
    def __init__(self, *, kills_are_nested: bool = True) -> None:
        self.totals = Totals()
        self.crediting = Crediting(self.totals, kills_are_nested=kills_are_nested)
        self.outer = Used("/a", job=OUTER)
        self.inner = Used("/a/b", self.outer, INNER)

    def credited(self, now: float = NOW) -> dict[Of, Sums]:
        self.crediting.credit((self.outer, self.inner), now)
        return dict(self.totals.shown_to(Asking(str(now))))


@pytest.mark.parametrize("kills_are_nested, outer_kills", [(True, 2), (False, 3)])
def test_beyond_what_is_within(kills_are_nested: bool, outer_kills: int) -> None:
    """With version 1 of cgroups, a container's OOM kills are not in the account around it."""
    host = Host(kills_are_nested=kills_are_nested)
    host.outer.use(5.0, 100, 10, 3)
    host.inner.use(2.0, 30, 40, 1)
    assert host.credited() == {
        OF_OUTER: Sums(3.0, 70, 0, outer_kills, 1),
        OF_INNER: Sums(2.0, 30, 40, 1, 1),
    }


def test_those_who_were_there_before_anyone_watched() -> None:
    """Only what grows counts, and their jobs do not: another exporter may have counted them before a restart."""
    host = Host()
    host.outer.use(5.0, 100, 10, 3)
    host.inner.use(2.0, 30, 4, 1)
    host.crediting.begin((host.outer, host.inner))
    assert host.credited() == {OF_OUTER: Sums(), OF_INNER: Sums()}
    host.outer.use(9.0, 100, 10, 3)
    host.inner.use(3.0, 30, 4, 1)
    assert host.credited() == {OF_OUTER: Sums(3.0), OF_INNER: Sums(1.0)}


def test_readings_of_different_moments() -> None:
    """What was read of the inner one after the outer one is made up for, and nothing falls."""
    host = Host()
    for outer, inner, left in (
        (1.0, 0.0, 1.0),
        (1.0, 0.5, 1.0),
        (2.0, 0.5, 1.5),
        (2.0, 2.0, 1.5),
        (4.0, 2.0, 2.0),
    ):
        host.outer.use(outer)
        host.inner.use(inner)
        found = host.credited()
        assert (found[OF_OUTER].cpu_seconds, found[OF_INNER].cpu_seconds) == (left, inner)


def test_reading_that_failed() -> None:
    """Of the inner one: what it had used is not given to the outer one."""
    host = Host()
    for inner in (2.0, None, 2.5):
        host.outer.use(4.0)
        host.inner.use(inner)
        host.credited()
    assert host.credited()[OF_OUTER].cpu_seconds == 2.0


def test_one_within_that_is_shown_no_more() -> None:
    """Its use stays its own."""
    host = Host()
    host.outer.use(4.0)
    host.inner.use(3.0)
    host.credited()
    host.crediting.finish(host.inner, within=True)
    host.outer.use(4.5)
    host.crediting.credit((host.outer,), NOW)
    assert dict(host.totals.shown_to(Asking("x")))[OF_OUTER].cpu_seconds == 1.5


@pytest.mark.parametrize(
    "job, ended, held",
    [
        (OUTER, False, 2.0),
        (OUTER, True, 0.0),
        (None, False, 30.0),
        (None, True, 30.0),
        (Job(forge="x"), True, 30.0),
    ],
)
def test_held_while_more_may_be_known(job: Job | None, ended: bool, held: float) -> None:
    """A job's name may follow its repository, and a repository the container; from when it was seen, not made."""
    host = Host()
    one = Used("/c", job=job, seen=NOW)
    one.use(1.0)
    if ended:
        one.row = replace(one.row, ended=NOW)
    if held:
        host.crediting.credit((one,), NOW + held - 0.1)
        assert dict(host.totals.shown_to(Asking("x"))) == {}
    host.crediting.credit((one,), NOW + held)
    assert [sums.cpu_seconds for _, sums in host.totals.shown_to(Asking("y"))] == [1.0]
