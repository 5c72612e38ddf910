"""Totals of jobs never fall, are bounded, and begin at 0 for who was here before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import OTHER, Of, Sums, Totals
from jobmeter.model.account import Account
from jobmeter.model.job import Job

BUILD = Job(repository="acme/engine", workflow="ci.yml", job="build", run_id="1")
ROW = Of("acme/engine", "ci.yml", "build")


def shown(totals: Totals, scraper: str = "prometheus") -> dict[Of, Sums]:
    return dict(totals.shown_to(Asking(scraper)))


def used(cpu: float, received: int = 0, kills: int = 0) -> Account:
    return Account(
        cpu_seconds=cpu, network_received_bytes=received, network_sent_bytes=2 * received, oom_kills=kills
    )


def test_containers_of_a_job_are_added_up():
    """What each used since its beginning, once; the job counts once."""
    totals = Totals()
    totals.credit("a", BUILD, used(1.0, 10))
    totals.credit("a", BUILD, used(1.5, 30))
    totals.credit("b", BUILD, used(2.0, 5, kills=1))
    assert shown(totals) == {ROW: Sums(3.5, 35, 70, 1, 1)}


def test_another_run_of_the_job_is_another_job():
    """In the same row."""
    totals = Totals()
    for number, container in enumerate("abc"):
        totals.credit(container, Job(repository="r", job="j", run_id=str(number // 2)), used(1.0))
    assert shown(totals)[Of("r", "", "j")].jobs == 2


def test_a_job_is_counted_once_for_each_execution() -> None:
    """Three nights of one name are three; one whose name is learned bit by bit is one."""
    totals = Totals()
    for night in range(3):
        totals.credit(f"c{night}", BUILD, used(1.0), f"night {night}")
    totals.credit("d", Job(repository=BUILD.repository), used(1.0), "a task")
    totals.credit("d", BUILD, used(1.5), "a task")
    assert sum(sums.jobs for _, sums in totals.shown_to(Asking("one"))) == 4


def test_what_belongs_to_no_job_has_a_row_of_its_own():
    """And counts no job."""
    totals = Totals()
    totals.credit("a", None, used(1.0))
    assert shown(totals) == {Of(): Sums(1.0)}


def test_who_was_here_before_sees_a_new_row_at_0_first():
    """So that its growth is in `increase()`; each scraper for itself. A new one sees it as it is."""
    now = 0.0
    totals = Totals(monotonic=lambda: now)
    assert shown(totals, "one") == shown(totals, "other") == {}
    totals.credit("a", BUILD, used(0.3))
    seen: dict[str, list[float]] = {"one": [], "other": []}
    for _ in range(5):
        now += 10
        for scraper, values in seen.items():
            values.append(shown(totals, scraper)[ROW].cpu_seconds)
    assert seen == {"one": [0, 0, 0, 0.3, 0.3], "other": [0, 0, 0, 0.3, 0.3]}
    assert shown(totals, "new")[ROW].cpu_seconds == 0.3


def test_a_row_is_shown_before_anyone_is_told_of_it():
    """One who asks while it is made does not take what it held for having seen it begin."""
    totals = Totals()
    pages = []

    class Asking(dict[Of, Sums]):
        def __setitem__(self, key: Of, value: Sums) -> None:
            if key not in self:
                pages.append(shown(totals))
                super().__setitem__(key, value)
                pages.append(shown(totals))
            super().__setitem__(key, value)

    totals._sums = Asking()
    totals.credit("a", BUILD, used(0.3))
    assert pages == [{}, {ROW: Sums()}]
    assert shown(totals) == {ROW: Sums()}


def test_a_container_that_is_forgotten_begins_anew():
    """One of the same name is another one."""
    totals = Totals()
    totals.credit("a", BUILD, used(1.0))
    totals.forget("a")
    totals.credit("a", BUILD, used(0.25))
    assert shown(totals)[ROW].cpu_seconds == 1.25


def test_rows_are_bounded():
    """What comes later is together, and nothing is lost."""
    totals = Totals(max_rows=3)
    for number in range(10):
        totals.credit(str(number), Job(repository=f"r{number}"), used(1.0))
    found = shown(totals)
    assert len(found) == 4
    assert found[OTHER].cpu_seconds == 7.0


def test_rows_that_would_look_the_same_are_one():
    """A scraper takes no series twice."""
    totals = Totals()
    for name in ("build", "build ", " build", "bu\x01ld", "bu\x02ld"):
        totals.credit(name, Job(repository="r", job=name), used(1.0))
    assert {of.job: sums.cpu_seconds for of, sums in shown(totals).items()} == {"build": 3.0, "bu ld": 2.0}


def test_a_job_that_calls_itself_other():
    """It is not in the row of those that have none of their own."""
    totals = Totals(max_rows=1)
    totals.credit("a", Job(repository="other", workflow="other", job="other"), used(1.0))
    totals.credit("b", BUILD, used(5.0))
    assert {of: sums.cpu_seconds for of, sums in shown(totals).items()} == {
        Of("other", "other", ""): 1.0, OTHER: 5.0,
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from([None, BUILD, Job(repository="x")]),
            st.one_of(st.none(), st.floats(0, 1e9)),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_nothing_ever_falls(events):
    """Whatever containers say, come and go."""
    totals, last = Totals(max_rows=1), dict[Of, Sums]()
    for container, job, cpu, goes in events:
        totals.credit(container, job, Account(cpu_seconds=cpu))
        if goes:
            totals.forget(container)
        now = shown(totals)
        for of, sums in last.items():
            assert all(value >= before for value, before in zip(astuple(now[of]), astuple(sums), strict=True))
        last = now
