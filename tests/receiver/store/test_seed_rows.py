"""The rows that seed 000 asks for, as the store gives them."""

from __future__ import annotations

from functools import partial

import pytest

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import SeedPage, SeedRow, runs_of_job
from tests.receiver.store.support import summary


@pytest.mark.parametrize(
    "milliseconds, text",
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_305_599_999, "2026-11-21T23:59:59.999Z"),
        (1_795_305_600_001, "2026-11-22T00:00:00.001Z"),
    ],
)
def test_a_row_has_the_names_the_time_and_the_summary(place, milliseconds, text):
    """The time is RFC 3339 to the millisecond, whichever it is."""
    database = Database.open(place)
    with database.writer.begin() as connection:
        database.backend.store_summaries(connection, [summary("a", b'{"n":1}')], milliseconds)
    page = database.read_here(lambda asked: runs_of_job(asked, "o", "r", "w", "j", None, 10))
    database.close()
    assert page == SeedPage([SeedRow(1, "o", "o/r", "w", "j", "7", text, b'{"n":1}')], True)


@pytest.mark.parametrize("limit", [2, 3, 10])
def test_a_page_ends_by_its_rows_or_by_their_bytes(place, limit):
    """All rows come, newest first, whichever form their repository has; a page has little more than 4 MiB of each."""
    database = Database.open(place)
    large = b'{"n":"' + b"x" * 1_500_000 + b'"}'
    rows = [summary(str(n), large)._replace(repository=("r", "o/r")[n % 2]) for n in range(12)]
    with database.writer.begin() as connection:
        database.backend.store_summaries(connection, rows, 0)
    found: list[int] = []
    is_last = False
    while not is_last:
        # A page is read with the connection of the page before: nothing of that is left open.
        ask = partial(runs_of_job, organization="o", repository="r", workflow="w", job="j", limit=limit)
        page, is_last = database.read_here(partial(ask, before=found[-1] if found else None))
        assert len(page) <= 5
        found += [row.id for row in page]
    database.close()
    assert found == list(range(12, 0, -1))
