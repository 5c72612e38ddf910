"""The rows that seed 000 asks for, as the store gives them."""

from __future__ import annotations

import pytest

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import SeedRow, runs_of_job
from jobmeter.receiver.store.summaries import store_summaries
from tests.receiver.store.support import summary


@pytest.mark.parametrize(
    "milliseconds, text",
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_305_599_999, "2026-11-21T23:59:59.999Z"),
        (1_795_305_600_001, "2026-11-22T00:00:00.001Z"),
    ],
)
def test_a_row_has_the_names_the_time_and_the_summary(tmp_path, milliseconds, text):
    """The time is RFC 3339 to the millisecond, whichever it is."""
    database = Database.open(str(tmp_path / "db"))
    with database.writer.begin() as connection:
        store_summaries(connection, [summary("a", b'{"n":1}')], milliseconds)
    rows = database.read_here(lambda asked: runs_of_job(asked, "o", "r", "w", "j", None, 10))
    database.close()
    assert rows == [SeedRow(1, "o", "o/r", "w", "j", "7", text, b'{"n":1}')]
