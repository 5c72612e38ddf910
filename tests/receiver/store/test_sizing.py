"""The summaries that sizing asks for, as the store gives them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.sizing import MAX_BYTES, MAX_SUMMARY_BYTES, JobSummary, newest_summaries
from tests.receiver.store.support import part, stored, summary

NAMES = ("o", "r", "w", "j")


def asked(place: str, limit: int = 100) -> list[JobSummary]:
    """What is found, twice: nothing is left open on the connection by the first time."""
    database = Database.open(place)
    try:
        return database.read_here(
            lambda connection: [list(newest_summaries(connection, *NAMES, limit)) for _ in range(2)][1]
        )
    finally:
        database.close()


@pytest.mark.parametrize("limit, found", [(1, [4]), (3, [4, 3, 1]), (100, [4, 3, 1])])
def test_the_newest_of_one_job_come_first(place: str, limit: int, found: list[int]) -> None:
    """Whichever form their repository has."""
    rows = [summary("a"), summary("b", job="other"), summary("c")._replace(repository="r"), summary("d")]
    database = Database.open(place)
    with database.writer.begin() as connection:
        database.backend.store_summaries(connection, rows, 5_000)
    database.close()

    rows_found = asked(place, limit)

    assert [row.id for row in rows_found] == found
    assert rows_found[0] == JobSummary(4, "d", 5_000, b"{}")


def test_it_reads_no_more_than_is_bounded(place: str) -> None:
    """A very large summary is left out, and of many large ones the newest are taken."""
    large = b'{"n":"' + b"x" * (MAX_SUMMARY_BYTES - 8) + b'"}'
    sizes = {"huge": large + b" "} | {f"{number:02}": large for number in range(66)}
    database = Database.open(place)
    for run_uid, content in sizes.items():
        with database.writer.begin() as connection:
            database.backend.store_summaries(connection, [summary(run_uid, content)], 0)
    with database.writer.begin() as connection:
        database.backend.store_summaries(connection, [summary("newest", large + b" ")], 0)
    database.close()

    assert [row.run_uid for row in asked(place)] == [f"{number:02}" for number in range(65, 1, -1)]
    assert MAX_BYTES == 64 * MAX_SUMMARY_BYTES


def test_a_run_that_goes_on_again_has_no_summary_that_holds(place: str) -> None:
    """It was folded before a late part came; one that was sent still holds."""
    stored(place, part("folded", 0, 2, ends_after=1), part("folded", 2, 1))
    assert asked(place) == []
    stored(place, summary("pushed"), part("pushed", 0, 2))
    assert [row.run_uid for row in asked(place)] == ["pushed"]


def test_it_is_found_by_the_index_of_jobs(tmp_path) -> None:
    """Neither other jobs nor summaries are read for the order."""
    statements: list[tuple[str, Any]] = []
    database = Database.open(str(tmp_path / "db"))

    @event.listens_for(database.reader, "before_cursor_execute")
    def said(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    def plans(connection) -> list[str]:
        list(newest_summaries(connection, *NAMES, 10))
        return [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(statements)
        ]

    found = database.read_here(plans)
    database.close()
    assert len(found) == 2
    assert all("USING INDEX runs_by_job" in plan and "B-TREE" not in plan for plan in found)


def test_no_name_has_a_nul(place: str) -> None:
    """PostgreSQL would refuse the question."""
    database = Database.open(place)
    found = database.read_here(lambda asked: list(newest_summaries(asked, "o", "r\0", "w", "j", 10)))
    assert (found, database.read_here(lambda asked: asked.execute(text("SELECT 1")).scalar_one())) == ([], 1)
    database.close()
