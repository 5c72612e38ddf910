"""What is within a scope: in memory and in a query the same."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from sqlalchemy import insert, select

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import RunFilter, find_run, newest_runs
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.scopes import Scope, Scopes, covered, covered_job, within
from jobmeter.receiver.store.usage_tables import NAMES as USAGE_NAMES
from jobmeter.receiver.store.usage_tables import jobs
from jobmeter.receiver.store.usages import names_of
from tests.receiver.store.support import stored, summary

NAMES = [
    ("o", "o/r", "w", "j"), ("o", "r", "w", "j"), ("o", "o/r", "w", "k"), ("o", "r2", "w", "j"),
    ("o", "p/r", "w", "j"), ("p", "p/r", "w", "j"), (None, "o/r", "w", "j"), ("o", None, None, None),
    (None, None, None, None), ("O", "O/r", "w", "j"), ("o", "o/R", "w", "j"),
]  # fmt: skip
CASES: list[tuple[Scopes, set[int]]] = [
    (None, set(range(11))),
    ((), set()),
    ((Scope(organization="o"),), {0, 1, 2, 3, 4, 7, 10}),
    ((Scope(organization="o", repository="r"),), {0, 1, 2}),
    ((Scope(organization="o", repository="o/r"),), {0, 1, 2}),
    ((Scope(organization="o", repository="r", workflow="w", job="j"),), {0, 1}),
    ((Scope(organization="o", workflow="w", job="k"),), {2}),
    ((Scope(organization="p"), Scope(organization="o", repository="r2")), {3, 5}),
    ((Scope(organization="p", repository="o/r"),), set()),
]


@pytest.mark.parametrize("scopes, expected", CASES)
def test_both_agree(place, scopes, expected):
    """A run without a name is in no organization; a repository has two forms."""
    changes = [
        summary(f"{n:02}")._replace(organization=o, repository=r, workflow=w, job=j)
        for n, (o, r, w, j) in enumerate(NAMES)
    ]
    stored(place, *changes)
    assert {n for n, names in enumerate(NAMES) if covered(scopes, *names)} == expected
    database = Database.open(place)
    try:
        asked = database.read_here(
            lambda c: c.execute(select(runs.c.run_uid).where(within(scopes))).scalars().all()
        )
        listed = database.read_here(
            lambda c: [r.run_uid for r in newest_runs(c, RunFilter(scopes=scopes), None, 99)]
        )
        one = [
            n
            for n in range(len(NAMES))
            if database.read_here(partial(find_run, run_uid=f"{n:02}", scopes=scopes))
        ]
    finally:
        database.close()
    assert {int(uid) for uid in asked} == {int(uid) for uid in listed} == set(one) == expected


@pytest.mark.parametrize("scopes, expected", CASES)
def test_jobs_are_seen_by_who_sees_their_runs(place, scopes, expected):
    """Though a job has the repository by its name alone: that of another one may begin with its organization."""
    told = [names for names in NAMES if None not in names] + [("o", "o/o/r", "w", "j")]
    seen = {names for number, names in enumerate(NAMES) if number in expected}
    seen |= {told[-1]} if scopes is None or covered(scopes, *told[-1]) else set()
    wanted = {names_of(*names) for names in told if names in seen}
    database = Database.open(place)
    try:
        with database.writer.begin() as connection:
            connection.execute(
                insert(jobs),
                [
                    dict(zip(USAGE_NAMES, names, strict=True))
                    for names in sorted({names_of(*one) for one in told})
                ],
            )
        columns = [jobs.c[name] for name in USAGE_NAMES]
        found = database.read_here(
            lambda c: {tuple(row) for row in c.execute(select(*columns).where(within(scopes, jobs)))}
        )
        one = {names for names in found | wanted if covered_job(scopes, names)}
        assert found == one == wanted
        assert {names_of(*names) for names in told if covered_job(scopes, names_of(*names))} == wanted
    finally:
        database.close()


def test_a_scope_includes_what_is_narrower():
    """And itself; what is wider it does not."""
    chain = [
        Scope(organization="o"),
        Scope(organization="o", repository="o/r"),
        Scope(organization="o", repository="r", workflow="w"),
        Scope(organization="o", repository="r", workflow="w", job="j"),
    ]
    for (one, wide), (other, narrow) in itertools.product(enumerate(chain), repeat=2):
        assert wide.includes(narrow) == (one <= other)
    assert [str(one) for one in chain] == ["o", "o/r", "o/r/w", "o/r/w/j"]
