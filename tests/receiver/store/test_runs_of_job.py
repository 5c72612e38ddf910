"""The runs of a job are found by its names and its time, and by an index; another job's never are."""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event, text

from jobmeter.model.job import Job
from jobmeter.receiver.store import runs_of_job as module
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence, NewEvidenceOfJob
from jobmeter.receiver.store.runs_of_job import NoRunYet, OneJob, SeveralRuns, runs_of_job
from jobmeter.receiver.store.streams import Part
from jobmeter.receiver.store.summaries import NewSummary
from tests.receiver.store.support import asked, stored

BEGIN, END = 1_000_000, 2_000_000
"""Milliseconds: a job of a thousand seconds."""
JOB = Job(forge="gitea", organization="o", repository="o/r", workflow="w", job="j", run_id="7")


def wanted(task: str | None = None, **names: object) -> OneJob:
    """That job, as who handed it out tells it."""
    job = replace(JOB, **names)
    return OneJob(job.organization or "o", job, task, BEGIN, END)


def run(run_uid: str, begin: int = 0, end: int | None = 1000, **names: object) -> NewSummary:
    """A run of that job from so many seconds to so many seconds after its begin."""
    job = replace(JOB, **names)
    content = {} if end is None else {"end_time": f"1970-01-01T{_clock(BEGIN // 1000 + end)}Z"}
    return NewSummary(
        run_uid, job.forge, job.organization, job.repository, job.workflow, job.job, job.run_id, job.ref,
        BEGIN + begin * 1000, msgspec.json.encode(job), json.dumps(content).encode(),
    )  # fmt: skip


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def going(run_uid: str, begin: int = 0) -> Part:
    """One that goes on."""
    return Part(run_uid, 0, (b'{"n":0}',), job=JOB, start_time=BEGIN + begin * 1000)


def heard(run_uid: str, at: int) -> Any:
    """Has it been heard of once, so many seconds after the job's begin."""

    class Hearing:
        size = 0

        def apply(self, connection: Connection, now: int) -> None:
            told = {"at": BEGIN + at * 1000, "uid": run_uid}
            connection.execute(
                text("UPDATE runs SET received_at = :at, heard_at = :at WHERE run_uid = :uid"), told
            )

    return Hearing()


def told(place: str, one: OneJob) -> list[str] | type[Exception]:
    """Its runs, or why they cannot be told."""
    database = Database.open(place)
    try:
        return database.read_here(lambda connection: runs_of_job(connection, one))
    except (NoRunYet, SeveralRuns) as error:
        return type(error)
    finally:
        database.close()


@pytest.mark.parametrize(
    "names, one, is_found",
    [
        ({}, wanted(), True),
        ({"repository": "r"}, wanted(), True),
        ({}, wanted(repository="r"), True),
        ({"server_url": "http://a", "forge": None}, wanted(server_url="http://b"), True),
        ({"run_id": "8"}, wanted(), False),
        ({"run_id": None}, wanted(), False),
        ({"job": "other"}, wanted(), False),
        ({"workflow": "other"}, wanted(), False),
        ({"repository": "o/other"}, wanted(), False),
        ({"organization": "p", "repository": "p/r"}, wanted(), False),
        ({"attempt": 2}, wanted(attempt=1), False),
        ({"attempt": 2}, wanted(), True),
        ({"matrix": {"os": "a"}}, wanted(matrix={"os": "b"}), False),
        ({"matrix": {"os": "a"}}, wanted(matrix={"os": "a"}), True),
        ({"runner": "one"}, wanted(runner="two"), False),
        ({"runner": "one"}, wanted(), True),
        ({"forge": "gitlab", "runner": "one"}, wanted(forge="gitlab", runner="two"), True),
        ({}, wanted(job="j\0"), False),
    ],
)
def test_all_that_both_tell_is_the_same(
    place: str, names: dict[str, Any], one: OneJob, is_found: bool
) -> None:
    """Not the forge's address, which is the gateway's to a job behind one, nor what runners of GitLab are called."""
    stored(place, run("u", **names))
    assert told(place, one) == (["u"] if is_found else NoRunYet)


@pytest.mark.parametrize(
    "runs, found",
    [
        ([run("u", 10, 990)], ["u"]),
        ([run("u", -10, 1010)], ["u"]),
        ([run("u", -11, 990)], NoRunYet),
        ([run("u", 10, 1011)], NoRunYet),
        ([run("u", -11, 990), run("v", 10, 990)], ["v"]),
        ([run("u", 0, 500), run("v", 10, 990)], SeveralRuns),
        ([run("v", 500, 990), run("u", 0, 500)], ["u", "v"]),
        ([run("u", 10, 990), run("v", 1003, 1009)], ["u"]),
        ([run("u", 10, 990), run("v", 995, 1005)], ["u"]),
        ([run("v", 1003, 1009)], NoRunYet),
        ([run("v", -9, -3)], NoRunYet),
        ([run("u", 10, None), heard("u", 990)], ["u"]),
        ([run("u", 10, None), heard("u", 1011)], NoRunYet),
        ([going("u"), heard("u", 990)], NoRunYet),
        ([run("v", 10, 500), going("u", 600), heard("u", 990)], NoRunYet),
        ([run("v", 10, 500), going("u"), heard("u", 1011)], ["v"]),
        ([run(f"u{n:02}", 10 * n, 10 * n + 9) for n in range(20)], [f"u{n:02}" for n in range(20)]),
        ([run(f"u{n:02}", 10 * n, 10 * n + 9) for n in range(21)], SeveralRuns),
    ],
    ids=[
        "within", "clocks", "begun before", "over later", "another's begun before", "two at once", "steps",
        "a leg soon after", "a leg at its end", "only a leg soon after", "only a leg just before",
        "no end", "no end, heard later", "going on", "a step going on", "another's going on", "20 steps", "21",
    ],
)  # fmt: skip
def test_a_run_lies_within_its_job(place: str, runs: list[Any], found: object) -> None:
    """Several only one after another; as long as one may go on nothing is told."""
    stored(place, *runs)
    assert told(place, wanted()) == found


def test_a_run_with_evidence_of_another_task_is_that_ones(place: str) -> None:
    """So the legs of a matrix are told apart, the shortest first."""
    legs = [run("short", 0, 300), run("middle", 0, 600), run("long", 0, 990)]
    stored(place, *legs)
    lengths = {"3": 300, "2": 600, "1": 990}
    found = []
    for task in ("1", "3", "2", "1", "3", "4"):
        end = BEGIN + lengths.get(task, 990) * 1000
        of = wanted(task)._replace(end=end)
        kept = KeptEvidence(1, 1, 1, False, zlib.compress(task.encode()), BEGIN, end, task)
        (result,) = stored(place, NewEvidenceOfJob(of, kept))
        found.append(result if isinstance(result, list) else type(result))
    short, middle, long = ([(uid, True)] for uid in ("short", "middle", "long"))
    assert found == [SeveralRuns, short, middle, long, short, NoRunYet]
    assert sorted(asked(place, "SELECT task FROM evidence")) == [("1",), ("2",), ("3",)]


def test_the_answer_of_a_second_asking_finds_the_same_run(place: str) -> None:
    """Also where nothing but its arrival says when it ended."""
    stored(place, run("u", 10, None), heard("u", 990))
    kept = [KeptEvidence(asked, 1, 1, False, zlib.compress(b"x"), BEGIN, END, "7") for asked in (1, 2)]
    changes = (NewEvidenceOfJob(wanted("7"), one) for one in kept)
    assert stored(place, *changes) == [[("u", True)], [("u", True)]]


def test_evidence_of_no_task_takes_no_run_away(place: str) -> None:
    """A step of the job may have attached it."""
    kept = KeptEvidence(1, 1, 1, False, zlib.compress(b"x"), BEGIN, END)
    stored(place, run("u"), NewEvidence("u", kept))
    assert told(place, wanted("7")) == ["u"]


def test_the_newest_runs_are_looked_at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there ever were."""
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 2)
    stored(place, run("old"), run("u", run_id="8"), run("v", run_id="9"))
    assert (told(place, wanted()), told(place, wanted(run_id="8"))) == (NoRunYet, ["u"])


def test_an_index_finds_them(place: str) -> None:
    """No step goes through all runs."""
    stored(place, *(run(str(n), run_id=str(n), job=f"j{n}") for n in range(9)))
    statements: list[tuple[str, Any]] = []

    def plan(connection: Connection) -> str:
        @event.listens_for(connection, "before_cursor_execute")
        def said(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
            statements.append((statement, values))

        assert runs_of_job(connection, wanted(run_id="7", job="j7")) == ["7"]
        statement, values = next(one for one in statements if "evidence" in one[0])
        words = "EXPLAIN QUERY PLAN"
        if connection.dialect.name == "postgresql":
            # Of so few rows all would be read.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            words = "EXPLAIN"
        found = connection.exec_driver_sql(f"{words} {statement}", values).all()
        return "\n".join(str(row[-1]) for row in found)

    database = Database.open(place)
    found = database.read_here(plan)
    database.close()
    assert "runs_by_job (organization=? AND" in found or "workflow_job_id_idx" in found, found
    assert "SCAN runs" not in found
    assert "Seq Scan on runs" not in found
