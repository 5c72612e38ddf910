"""What is no longer kept goes, all of it and nothing else, on every kind of database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from jobmeter.receiver import retention as sweeping
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.retention import Retention
from jobmeter.receiver.store import retention
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence
from jobmeter.receiver.store.retention import Bound, Keep, RemoveParts, RemoveRuns, some_parts
from jobmeter.receiver.store.streams import Ending, Finish
from jobmeter.receiver.store.summaries import NewSummary
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import asked, found, part, stored, summary, with_writer

DAY = 86_400_000
NOW = 1_790_000_000_000


class Messages:
    """A log that is looked at."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []

    def info(self, message: str, **fields: object) -> None:
        self.said.append((message, fields))

    def warn(self, message: str, **fields: object) -> None:
        raise AssertionError(message)


def changed(place: str, statement: str, **values: object) -> None:
    """Change the database behind the receiver's back."""
    database = Database.open(place)
    try:
        with database.writer.begin() as connection:
            connection.execute(text(statement), values)
    finally:
        database.close()


def streamed(uid: str, days: float, *, ended: bool = True, job: str = "j") -> list[Any]:
    """A run of three parts that was last heard of so many days ago."""
    changes: list[Any] = [part(uid, 0, 1), part(uid, 1, 1)]
    changes.append(part(uid, 2, 1, ends_after=2) if ended else part(uid, 2, 1))
    return [changes, uid, days, job]


def fill(place: str, runs: Sequence[list[Any]]) -> None:
    """Store runs; then say when they were heard of."""
    stored(place, *(change for changes, *_ in runs for change in changes))
    for _, uid, days, job in runs:
        heard = NOW - int(days * DAY)
        statement = "UPDATE runs SET heard_at = :heard, start_time = :heard, job = :job WHERE run_uid = :uid"
        changed(place, statement, heard=heard, job=job, uid=uid)


def swept(place: str, keep: Keep, *, now: int = NOW, is_told: bool = True) -> tuple[Messages, str]:
    """What was said, and the figures; history has taken in all runs before, or none since."""
    log, figures = Messages(), Figures(CollectorRegistry())

    async def work(writer: Writer, database: Database) -> None:
        if is_told:
            await Bookkeeping(database, writer, log).look_back()
        await Retention(database, writer, figures, log, keep).sweep(now)

    with_writer(place, work)
    return log, generate_latest(figures.registry).decode()


def left(place: str) -> dict[str, int]:
    """The runs there are, and how many parts each has."""
    key = "id" if not place.startswith("postgresql") else "run_uid"
    found = asked(
        place, f"SELECT run_uid, (SELECT count(*) FROM parts WHERE run = runs.{key}) FROM runs ORDER BY 1"
    )
    return dict(found)


AGES = [streamed(f"age-{days}", days) for days in (400, 40, 20, 5, 1)]
JOBS = [streamed(f"{job}-{number}", 9 - number, job=job) for number in range(4) for job in ("a", "b")]


@pytest.mark.parametrize(
    "runs, keep, expected",
    [
        (AGES, Keep(), {"age-1": 3, "age-5": 3, "age-20": 3, "age-40": 3, "age-400": 3}),
        (
            AGES,
            Keep(timelines=Bound(seconds=10 * 86400)),
            {"age-1": 3, "age-5": 3, "age-20": 0, "age-40": 0, "age-400": 0},
        ),
        (AGES, Keep(runs=Bound(seconds=30 * 86400)), {"age-1": 3, "age-5": 3, "age-20": 3}),
        (
            AGES,
            Keep(timelines=Bound(seconds=3 * 86400), runs=Bound(seconds=30 * 86400)),
            {"age-1": 3, "age-5": 0, "age-20": 0},
        ),
        (
            JOBS,
            Keep(timelines=Bound(per_job=1)),
            {f"{job}-{number}": 3 if number == 3 else 0 for job in "ab" for number in range(4)},
        ),
        (JOBS, Keep(runs=Bound(per_job=2)), {f"{job}-{number}": 3 for job in "ab" for number in (2, 3)}),
        (
            [*JOBS, streamed("a-going", 9, ended=False, job="a")],
            Keep(runs=Bound(per_job=1), timelines=Bound(seconds=1)),
            {"a-going": 3, "b-3": 0},
        ),
    ],
    ids=["all", "timelines", "runs", "both", "timelines of jobs", "runs of jobs", "what goes on"],
)
def test_what_is_not_kept_goes(place, runs, keep, expected):
    """And nothing else, whatever the bites are."""
    fill(place, runs)
    swept(place, keep)
    assert left(place) == expected


@pytest.mark.parametrize("keep", [Bound(seconds=30 * 86400), Bound(per_job=1)], ids=["by age", "by number"])
def test_no_run_goes_before_history_has_taken_it_in(place, keep):
    """As it is; the next sweep after that removes it, though history had passed by the time it was heard of."""
    fill(place, AGES)
    assert swept(place, Keep(runs=Bound(seconds=300 * 86400)))[0].said[0][1]["runs"] == 1
    changed(place, "UPDATE usages SET heard_at = -1 WHERE run_uid = 'age-40'")
    swept(place, Keep(runs=keep), is_told=False)
    assert left(place).get("age-40") is not None
    swept(place, Keep(runs=keep))
    assert "age-40" not in left(place)
    assert asked(place, "SELECT sum(runs) FROM usage_days") == [(5,)]


def test_evidence_goes_with_its_run(place):
    """Not with its timeline."""
    fill(place, AGES)
    stored(place, *(NewEvidence(f"age-{days}", KeptEvidence(1, 1, 1, False, b"")) for days in (400, 20)))
    changed(place, "UPDATE runs SET heard_at = start_time")
    swept(place, Keep(timelines=Bound(seconds=3 * 86400), runs=Bound(seconds=30 * 86400)))
    assert left(place) == {"age-1": 3, "age-5": 0, "age-20": 0}
    key = "run_uid" if place.startswith("postgresql") else "id"
    assert asked(place, f"SELECT run_uid FROM runs JOIN evidence ON run = {key}") == [("age-20",)]
    assert asked(place, "SELECT count(*) FROM evidence") == [(1,)]


def test_a_sweep_in_the_smallest_bites_removes_the_same(place, monkeypatch):
    """Page by page, bite by bite."""
    for name in ("_LOOKED_AT", "_FOUND", "_BITE"):
        monkeypatch.setattr(sweeping, name, 1)
    monkeypatch.setattr(retention, "_PARTS", 1)
    fill(place, AGES + JOBS)
    swept(place, Keep(Bound(seconds=6 * 86400, per_job=1), Bound(seconds=30 * 86400, per_job=3)))
    expected = {"age-1": 3, "age-5": 0, "age-20": 0}
    expected |= {f"{job}-{number}": 3 if number == 3 else 0 for job in "ab" for number in (1, 2, 3)}
    assert left(place) == expected


def test_what_was_removed_is_told_once(place):
    """In the log and in the figures; of a sweep that removes nothing nothing is said."""
    fill(place, AGES)
    keep = Keep(timelines=Bound(seconds=10 * 86400), runs=Bound(seconds=100 * 86400))
    log, figures = swept(place, keep)
    ((message, fields),) = log.said
    assert (message, fields["runs"], fields["timelines"]) == ("removed what is no longer kept", 1, 3)
    assert 'jobmeter_receiver_removed_total{what="timelines"} 3.0' in figures
    assert 'jobmeter_receiver_removed_total{what="runs"} 1.0' in figures
    assert f"jobmeter_receiver_retention_timestamp_seconds {NOW / 1000:.9g}" in figures
    assert swept(place, keep)[0].said == []


def test_a_run_without_a_name_is_no_job(place):
    """Of summaries without names none is one too many."""
    stored(place, *(summary(f"u{number}")._replace(job=None) for number in range(5)))
    swept(place, Keep(runs=Bound(per_job=1)))
    assert len(left(place)) == 5


@pytest.mark.parametrize("start", [None, 0, NOW + 900 * DAY], ids=["not told", "behind", "ahead"])
def test_a_wrong_clock_of_a_sender_removes_nothing_too_early_and_keeps_nothing(place, start):
    """Old is what was not heard of, by the clock of the receiver."""
    stored(place, *(NewSummary(*summary(uid)[:8], start, b"{}", b"{}") for uid in ("old", "young")))
    for uid, days in (("old", 40), ("young", 1)):
        changed(place, "UPDATE runs SET heard_at = :at WHERE run_uid = :uid", at=NOW - days * DAY, uid=uid)
    swept(place, Keep(runs=Bound(seconds=30 * 86400)))
    assert left(place) == {"young": 0}


def test_old_runs_go_in_one_sweep_however_they_started(place):
    """Where there are always some with a start, those without one or with one ahead are not left for ever."""
    starts = {"known": NOW - 40 * DAY, "not told": None, "ahead": NOW + 900 * DAY, "young": NOW}
    stored(place, *(NewSummary(*summary(uid)[:8], start, b"{}", b"{}") for uid, start in starts.items()))
    changed(place, "UPDATE runs SET heard_at = :at WHERE run_uid <> 'young'", at=NOW - 40 * DAY)
    log, _ = swept(place, Keep(runs=Bound(seconds=30 * 86400)))
    assert left(place) == {"young": 0}
    assert log.said[0][1]["runs"] == 3


def test_a_run_that_goes_on_again_meanwhile_is_left(place):
    """It was looked for before, and is not removed: neither as a whole nor in part."""
    fill(place, [streamed("u", 40)])
    database = Database.open(place)
    key = asked(place, "SELECT run FROM parts")[0][0]
    parts = database.read_here(lambda connection: some_parts(connection, [key]))
    database.close()
    later = [part("u", 3, 1), RemoveParts(parts, NOW), RemoveRuns([key], NOW)]
    assert stored(place, *later)[1:] == [(0, 0), 0]
    assert left(place) == {"u": 4}


def test_a_late_part_after_the_timeline_has_gone_is_taken(place):
    """The run is there, so its stream goes on where it was."""
    fill(place, [streamed("u", 40)])
    swept(place, Keep(timelines=Bound(seconds=86400)))
    assert stored(place, part("u", 3, 1))[0].next_sequence == 4
    assert left(place) == {"u": 1}


REST, NOTHING = Ending(3, b'{"rest":true}'), Ending(3, None)


@pytest.mark.parametrize(
    "changes, state, expected",
    [
        ([part("u", 3, 1)._replace(ends=True, ending=REST)], "finished", b'{"folded":true}'),
        ([part("u", 3, 1)._replace(ends=True, ending=NOTHING)], "finished", b'{"folded":true}'),
        ([part("u", 3, 1), Finish("u", 2**62, Ending(4, None, "lost"))], "lost", b'{"folded":true}'),
        ([part("u", 3, 1), Finish("u", 2**62, Ending(4, b"{}", "lost"))], "lost", b'{"folded":true}'),
        ([part("u", 3, 1), summary("u", b'{"sent":1}')], "finished", b'{"sent":1}'),
    ],
    ids=["the rest", "nothing", "silent", "the rest, silent", "sent"],
)
@pytest.mark.parametrize("bites", [1, 500])
def test_a_run_that_comes_back_keeps_the_summary_of_its_whole_timeline(
    place, monkeypatch, bites, changes, state, expected
):
    """Also where a part of the timeline alone has gone; what its sender says of it counts more."""
    fill(place, [streamed("u", 40)])
    database = Database.open(place)
    key = asked(place, "SELECT run FROM parts")[0][0]
    monkeypatch.setattr(retention, "_PARTS", bites)
    gone = database.read_here(lambda connection: some_parts(connection, [key]))
    database.close()
    stored(place, RemoveParts(gone, NOW), *changes)
    assert left(place) == {"u": 4 - len(gone)}
    assert (found(place, "u").state, found(place, "u").summary) == (state, expected)


def test_the_file_becomes_smaller(tmp_path):
    """A tenth of it may stay free."""
    place = str(tmp_path / "db")
    fill(place, [streamed("young", 1)])
    big = b"".join(number.to_bytes(4) for number in range(500_000))
    changed(place, "UPDATE parts SET body = :body", body=big)
    fill(place, [streamed("old", 40)])
    changed(place, "UPDATE parts SET body = :body", body=big)
    pages = asked(place, "PRAGMA page_count")[0][0]
    swept(place, Keep(runs=Bound(seconds=86400 * 30)))
    assert left(place) == {"young": 3}
    assert asked(place, "PRAGMA page_count")[0][0] < 0.6 * pages


def test_one_receiver_at_a_time_removes(postgresql_url):
    """The other one leaves it to the first, and takes over when that one is gone."""
    fill(postgresql_url, AGES)
    other = Database.open(postgresql_url)
    with other.backend.alone_at_removing() as alone:
        assert alone
        assert swept(postgresql_url, Keep(runs=Bound(seconds=30 * 86400)))[0].said == []
    other.close()
    with suppress(KeyError):
        assert swept(postgresql_url, Keep(runs=Bound(seconds=30 * 86400)))[0].said[0][1]["runs"] == 2
    assert len(left(postgresql_url)) == 3
