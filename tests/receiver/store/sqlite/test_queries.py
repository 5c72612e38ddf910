"""What lists of runs cost: an index finds them, whatever is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import RunFilter, newest_runs
from tests.receiver.store.support import summary


@pytest.mark.parametrize("repository", ["r", "o3/r"])
def test_a_repository_is_found_by_an_index(tmp_path, repository):
    """Its name alone too, by one look-up for each organization: no step goes through all runs."""
    database = Database.open(str(tmp_path / "db"))
    rows = [summary(str(n))._replace(organization=f"o{n}", repository=f"o{n}/r") for n in range(9)]
    with database.writer.begin() as connection:
        database.backend.store_summaries(connection, rows, 0)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database.reader, "before_cursor_execute")
    def told(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        asked.append((statement, values))

    def work(connection: Any) -> tuple[list[str], list[str]]:
        found = [run.run_uid for run in newest_runs(connection, RunFilter(repository=repository), None, 5)]
        statement, values = asked[-1]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return found, [row[-1] for row in plan]

    found, plan = database.read_here(work)
    database.close()
    assert found == (["8", "7", "6", "5", "4"] if repository == "r" else ["3"])
    assert any("USING COVERING INDEX runs_by_repository (repository=?)" in step for step in plan)
    assert [step for step in plan if step.startswith("SCAN runs")] == []
