"""What is within a scope: in memory and in a query the same."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from sqlalchemy import select

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import RunFilter, find_run, newest_runs
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.scopes import Scope, Scopes, covered, within
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
