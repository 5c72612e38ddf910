"""What is asked for is found, on every kind of database."""

from __future__ import annotations

import pytest

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import (
    RunFilter,
    SeedPage,
    find_run,
    looked_down_to,
    newest_runs,
    runs_of_job,
)
from jobmeter.receiver.store.scopes import Scope
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


@pytest.mark.parametrize(
    "ref, expected",
    [
        ("main", ["tag", "branch", "bare"]),
        ("refs/heads/main", ["branch"]),
        ("tags/main", ["tag"]),
        ("refs/pull/7/merge", ["pull"]),
        ("pull/7/merge", ["pull"]),
        ("mai", []),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        {},
        {"repository": "o/r"},
        {"organization": "o", "repository": "r", "workflow": "w", "job": "j"},
    ],
)
def test_a_ref_is_found_by_what_people_call_it(place, ref, expected, names):
    """A branch and a tag of one name are both found; a whole ref is that alone."""
    refs = {
        "bare": "main",
        "branch": "refs/heads/main",
        "tag": "refs/tags/main",
        "pull": "refs/pull/7/merge",
        "none": None,
    }
    stored(place, *(summary(uid)._replace(ref=known) for uid, known in refs.items()))
    assert found_by(place, RunFilter(ref=ref, **names)) == expected


def test_a_path_finds_the_repository_in_both_forms(place):
    """Its owner may stand apart; a repository of another owner with the same name is another one."""
    forms = {
        "path": ("o", "o/r"),
        "apart": ("o", "r"),
        "alone": (None, "o/r"),
        "other": ("p", "r"),
        "nobody": (None, "r"),
    }
    stored(
        place,
        *(summary(uid)._replace(organization=owner, repository=name) for uid, (owner, name) in forms.items()),
    )
    assert found_by(place, RunFilter(repository="o/r")) == ["alone", "apart", "path"]


@pytest.mark.parametrize(
    "wanted, lowest",
    [
        (RunFilter(ended="failed"), "u8"),
        (RunFilter(state="lost"), "u8"),
        (RunFilter(forge="gitea"), "u8"),
        (RunFilter(job="j7"), "u8"),
        (RunFilter(organization="o7"), None),
        (RunFilter(scopes=(Scope(organization="o7"),)), None),
        (RunFilter(until=0), None),
        (RunFilter(ended="failed", ref="main"), None),
        (RunFilter(ended="failed", repository="o1/r"), None),
        (RunFilter(ended="failed", workflow="w", repository="o1/r"), None),
        (RunFilter(), None),
        (RunFilter(state="running"), None),
        (RunFilter(repository="o1/r", job="j7"), None),
        (RunFilter(ended="failed", job="\0"), None),
    ],
)
def test_for_what_no_index_tells_only_so_many_runs_are_looked_through(place, wanted, lowest):
    """They are counted among those that an index tells; where these are fewer, all of them are looked at."""
    stored(place, *RUNS, part("going", 0, 1))
    database = Database.open(place)
    try:
        down_to = database.read_here(lambda asked: looked_down_to(asked, wanted, None, most=5))
        found = (
            []
            if down_to is None
            else database.read_here(
                lambda asked: [run.run_uid for run in newest_runs(asked, RunFilter(), None, 20, down_to)]
            )
        )
    finally:
        database.close()
    assert found == ([] if lowest is None else ["going", "u11", "u10", "u9", lowest])


def found_by(place, wanted):
    """The keys of the newest runs of a filter."""
    database = Database.open(place)
    try:
        return database.read_here(lambda asked: [run.run_uid for run in newest_runs(asked, wanted, None, 20)])
    finally:
        database.close()


def test_what_can_be_no_name_is_not_there(place):
    """PostgreSQL would take it for an error."""
    database = Database.open(place)
    try:
        assert database.read_here(lambda asked: find_run(asked, "a\0b")) is None
        page = database.read_here(lambda asked: runs_of_job(asked, "o", "r\0", "w", "j", None, 5))
        assert page == SeedPage([], True)
    finally:
        database.close()
