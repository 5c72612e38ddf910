"""Questions about history are bounded, and found by an index, on each database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event

from jobmeter.model.exits import Exit
from jobmeter.receiver.api.histories import job_history
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store import day_sums, history, known_jobs
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.history import RunQuestion
from jobmeter.receiver.store.known_jobs import OfRepository
from jobmeter.receiver.store.scopes import Scope, Scopes
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.writer import Writer
from tests.model.budgets.runs import JOB
from tests.receiver.store.support import with_writer
from tests.receiver.store.test_usages import START, Quiet, build, sent

NAMES = ("acme", "engine", "ci.yaml", "build")


def asked(place: str, question: Any, *summaries: Any) -> Any:
    """The answer of a question to a database with these runs."""

    async def work(writer: Writer, database: Database) -> Any:
        await asyncio.gather(*map(writer.submit, sent(*summaries)))
        await Bookkeeping(database, writer, Quiet()).catch_up()
        return await database.read(question)

    return with_writer(place, work)


def of_job(connection: Connection, wanted: RunQuestion, limit: int = 100) -> list[str]:
    job = known_jobs.find_job(connection, NAMES)
    assert job is not None
    return [one.run.run_uid for one in history.runs_of(connection, job.id, wanted, limit)]


def test_runs_are_found_beyond_a_page_that_has_none_of_them(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as is looked through."""
    failed = {"exit": Exit(reason="failure", code=1)}
    runs = [build(number, **({} if number % 10 == 0 else failed)) for number in range(100)]
    monkeypatch.setattr(history, "_LEAST_PAGE", 7)
    monkeypatch.setattr(history, "MOST_LOOKED_AT", 70)

    def question(connection: Connection) -> tuple[list[str], list[str]]:
        whole = RunQuestion(ended="whole")
        return of_job(connection, whole, 3), of_job(connection, whole)

    few, all_of_them = asked(place, question, *runs)

    assert few == ["run-0090", "run-0080", "run-0070"]
    assert all_of_them == [f"run-{number:04}" for number in range(90, 29, -10)]


@pytest.mark.parametrize(
    "wanted", [RunQuestion(ended="failed"), RunQuestion(ended="failed", ref=JOB.ref, leg="")]
)
def test_failed_runs_are_found_behind_any_number_of_others(
    place: str, monkeypatch: pytest.MonkeyPatch, wanted: RunQuestion
) -> None:
    """In pages that are full; a run whose end is not known did not fail."""
    failed = {"exit": Exit(reason="failure", code=1)}
    runs = [build(number, **(failed if number < 3 else {})) for number in range(40)]
    monkeypatch.setattr(history, "_LEAST_PAGE", 2)
    monkeypatch.setattr(history, "MOST_LOOKED_AT", 6)

    found = asked(place, lambda connection: in_pages(connection, wanted, 2), *runs)

    assert found == [["run-0002", "run-0001"], ["run-0000"]]


@pytest.mark.parametrize(
    "wanted", [RunQuestion(leg="os=a"), RunQuestion(ended="whole"), RunQuestion(leg="os=a", ended="whole")]
)
def test_where_it_was_not_looked_further_it_can_be_gone_on(
    place: str, monkeypatch: pytest.MonkeyPatch, wanted: RunQuestion
) -> None:
    """Though nothing was found."""
    runs = [build(number, exit=Exit(reason="failure", code=1)) for number in range(17)]
    for number in (0, 1, 9):
        runs[number].exit = Exit(reason="success")
        runs[number].job = replace(JOB, matrix={"os": "a"})
    monkeypatch.setattr(history, "_LEAST_PAGE", 2)
    monkeypatch.setattr(history, "MOST_LOOKED_AT", 6)

    found = asked(place, lambda connection: in_pages(connection, wanted, 1), *runs)

    assert found == [[], ["run-0009"], ["run-0001"], ["run-0000"]]


def in_pages(connection: Connection, wanted: RunQuestion, limit: int) -> list[list[str]]:
    """As the API answers, until nothing follows."""
    pages = []
    while True:
        answer = job_history(connection, NAMES, None, wanted, limit)
        pages.append([run.run_uid for run in answer.runs])
        if answer.next_cursor is None:
            return pages
        begun_at, _, run_uid = answer.next_cursor.partition(":")
        wanted = wanted._replace(before=(int(begun_at), run_uid))


@pytest.mark.parametrize(
    "scopes, found",
    [
        (None, ["build", "test"]),
        ((), []),
        ((Scope(organization="acme"),), ["build", "test"]),
        ((Scope(organization="other"),), []),
        ((Scope(organization="acme", repository="engine", workflow="ci.yaml", job="test"),), ["test"]),
        ((Scope(organization="acme", repository="acme/engine"),), ["build", "test"]),
        ((Scope(organization="acme", repository="acme/other"),), []),
    ],
)
def test_only_what_may_be_seen_is_told(place: str, scopes: Scopes, found: list[str]) -> None:
    """Of lists and of sums alike."""

    def question(connection: Connection) -> tuple[Any, ...]:
        day = START // DAY
        return (
            known_jobs.jobs_of(connection, OfRepository(scopes, "acme", "engine"), "last", 0, 10),
            known_jobs.known_repositories(connection, scopes, "", "name", 0, 10),
            day_sums.sums_by_job(connection, scopes, day, day + 1),
            day_sums.sums_by_day(connection, scopes, day, day + 1),
        )

    jobs, repositories, by_job, by_day = asked(place, question, build(0), build(1, job="test"))

    assert sorted(job.job for job in jobs) == found
    assert [(one.repository, one.jobs, one.runs) for one in repositories] == (
        [("engine", len(found), len(found))] if found else []
    )
    assert sorted(one.names[3] for one in by_job) == found
    assert [one.sums.runs for one in by_day] == ([len(found)] if found else [])


@pytest.mark.parametrize(
    "words, found",
    [("ÉTÉ", ["Été"]), ("été", ["Été"]), ("STRASSE", ["Straße"]), ("o/s", ["Straße", "s%t"]), ("s%t", ["s%t"]),
     ("e\u0301té", ["Été"]), ("жУК", ["Жук"]), ("_", []), ("", ["Été", "Straße", "s%t", "Жук"])],
)  # fmt: skip
def test_names_are_found_in_any_case_of_letters(place: str, words: str, found: list[str]) -> None:
    """Of any language, alike on each database; of repositories and of jobs."""
    names = ["Été", "Straße", "s%t", "Жук"]
    runs = [build(number, repository=f"o/{name}", job=name) for number, name in enumerate(names)]
    for run, name in zip(runs, names, strict=True):
        run.job = replace(run.job, organization="o", workflow="O" if name != "Жук" else "w")

    def question(connection: Connection) -> tuple[Any, ...]:
        repositories = known_jobs.known_repositories(connection, None, words, "last", 0, 10)
        jobs = (
            known_jobs.jobs_of(connection, OfRepository(None, "o", name, words), "last", 0, 10)
            for name in names
        )
        return {one.repository for one in repositories}, {job.job for few in jobs for job in few}

    repositories, jobs = asked(place, question, *runs)

    assert repositories == set(found)
    assert jobs == set(found)


def test_jobs_are_ordered_and_counted_by_the_database(place: str) -> None:
    """All of them, not those that ran last; by what they used only so many."""
    runs = [
        build(
            number,
            job=f"job-{number:02}",
            duration_seconds=60.0 + (number * 7) % 20,
            cpu_seconds=90.0 - number,
        )
        for number in range(20)
    ]
    failed = build(25, job="job-03", duration_seconds=900.0, exit=Exit(reason="failure", code=1))

    def question(connection: Connection) -> dict[str, list[str]]:
        of = OfRepository(None, "acme", "engine")

        def names(found: list[known_jobs.KnownJob]) -> list[str]:
            return [job.job.removeprefix("job-") for job in found]

        def by_use(order: known_jobs.JobUse, most: int) -> list[str]:
            return names(
                known_jobs.jobs_by_use(
                    connection, of, most, lambda job: known_jobs.used_lately(connection, job.id, order, 30)
                )
            )

        assert known_jobs.count_jobs(connection, of) == 20
        assert known_jobs.count_jobs(connection, of._replace(words="JOB-1")) == 10
        return {
            "name": names(known_jobs.jobs_of(connection, of, "name", 18, 10)),
            "last": names(known_jobs.jobs_of(connection, of, "last", 1, 2)),
            "runs": names(known_jobs.jobs_of(connection, of._replace(words="-0"), "runs", 0, 1)),
            "duration": by_use("duration", 20)[:2],
            "cpu": by_use("cpu", 5),
            "waste": by_use("memory_waste", 20)[:2],
        }

    assert asked(place, question, *runs, failed) == {
        "name": ["18", "19"],
        "last": ["19", "18"],
        "runs": ["03"],
        "duration": ["17", "14"],
        "cpu": ["03", "16", "17", "18", "19"],
        "waste": ["03", "17"],
    }


def test_refs_and_legs_are_those_of_the_newest_runs(place: str) -> None:
    """Each once, the last one first."""
    runs = [build(number) for number in range(4)]
    for run, ref, os in zip(runs, ("a", "b", "a", "c"), ("x", "y", "x", "x"), strict=True):
        run.job = replace(JOB, ref=ref, matrix={"os": os})

    def question(connection: Connection) -> Any:
        job = known_jobs.find_job(connection, NAMES)
        assert job is not None
        return history.refs_and_legs_of(connection, job.id, 3, 2)

    assert asked(place, question, *runs) == (["c", "a"], ["os=x", "os=y"])


def test_no_question_reads_a_table_through(place: str) -> None:
    """Each is found by an index; jobs, which are few, are listed whole."""
    questions = {
        "usages_by_job": lambda asking: history.runs_of(
            asking, 1, RunQuestion(until=START, before=(START, "x")), 50
        ),
        "usages_by_ref": lambda asking: history.runs_of(asking, 1, RunQuestion(ref="refs/heads/faster"), 50),
        "usages_failed": lambda asking: history.runs_of(
            asking, 1, RunQuestion(ref=JOB.ref, ended="failed", before=(START, "x")), 50
        ),
        "jobs_": lambda asking: known_jobs.find_job(asking, NAMES),
        "usage_days": lambda asking: day_sums.sums_by_day(asking, None, 20_000, 20_030),
    }

    def question(connection: Connection) -> dict[str, str]:
        return {index: plan(connection, ask) for index, ask in questions.items()}

    plans = asked(place, question, *(build(number) for number in range(30)))

    for index, told in plans.items():
        assert index in told, told
        assert "SCAN usages" not in told, told
        assert "Seq Scan" not in told, told
        assert "TEMP B-TREE FOR ORDER" not in told, told


def plan(connection: Connection, ask: Any) -> str:
    """How the database finds the rows of the one statement of a question."""
    said: list[Any] = []

    def executing(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", executing)
    ask(connection)
    event.remove(connection, "before_cursor_execute", executing)
    statement, parameters = said[-1]
    if connection.dialect.name == "postgresql":
        # Of so few rows all would be read.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        statement = f"EXPLAIN {statement}"
    else:
        statement = f"EXPLAIN QUERY PLAN {statement}"
    return "\n".join(" ".join(map(str, row)) for row in connection.exec_driver_sql(statement, parameters))
