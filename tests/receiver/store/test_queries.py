"""What is asked for is found, on every kind of database."""

from __future__ import annotations

import pytest

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import RunFilter, SeedPage, find_run, newest_runs, runs_of_job
from tests.receiver.store.support import part, stored, summary

RUNS = [
    summary(f"u{number}", job=f"j{number % 2}")._replace(
        organization=f"o{number % 3}", repository=f"o{number % 3}/r", ref=None if number % 4 else "main"
    )
    for number in range(12)
]


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (RunFilter(), ["going", *(f"u{number}" for number in range(11, -1, -1))]),
        (RunFilter(job="j1"), ["u11", "u9", "u7", "u5", "u3", "u1"]),
        (RunFilter(organization="o1", repository="r", workflow="w"), ["u10", "u7", "u4", "u1"]),
        (RunFilter(repository="r", job="j0"), ["u10", "u8", "u6", "u4", "u2", "u0"]),
        (RunFilter(repository="o2/r"), ["u11", "u8", "u5", "u2"]),
        (RunFilter(ref="main"), ["u8", "u4", "u0"]),
        (RunFilter(state="running"), ["going"]),
        (RunFilter(since=1000, until=1001, organization="o0"), ["u9", "u6", "u3", "u0"]),
        (RunFilter(since=1001), []),
        (RunFilter(job="\0"), []),
        (RunFilter(repository="r\0"), []),
    ],
)
def test_a_filter_finds_its_runs_page_by_page(place, wanted, expected):
    """Newest first, each once, whatever the size of a page."""
    stored(place, *RUNS, part("going", 0, 1))
    database = Database.open(place)
    try:
        found, before = [], None
        while True:
            page = database.read_here(
                lambda asked, before=before: list(newest_runs(asked, wanted, before, 5))  # type: ignore[misc]
            )
            if not page:
                break
            found += [run.run_uid for run in page]
            before = page[-1].id
    finally:
        database.close()
    assert found == expected


def test_what_can_be_no_name_is_not_there(place):
    """PostgreSQL would take it for an error."""
    database = Database.open(place)
    try:
        assert database.read_here(lambda asked: find_run(asked, "a\0b")) is None
        page = database.read_here(lambda asked: runs_of_job(asked, "o", "r\0", "w", "j", None, 5))
        assert page == SeedPage([], True)
    finally:
        database.close()
