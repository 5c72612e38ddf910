"""A run has one document of evidence, the one that knows most of what came last, on every kind of database."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from functools import partial
from typing import Any

import pytest

from jobmeter.model.errors import JournalError
from jobmeter.model.evidence.document import Weight
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.errors import Foreign
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence, OtherTime, UnknownRun, kept_evidence
from jobmeter.receiver.store.scopes import Scope, Scopes
from jobmeter.receiver.store.summaries import NewSummary
from tests.receiver.store.support import asked, found, part, stored, summary

FIRST = Weight(1000.5, 2, 20, False)
MINE = (Scope(organization="o", repository="r", workflow="w", job="j"),)
OTHERS = (Scope(organization="o", repository="r", workflow="w", job="other"),)


def evidence(text: str, weight: Weight = FIRST, run_uid: str = "u", scopes: Scopes = None) -> NewEvidence:
    """A document that is told by its text."""
    return NewEvidence(run_uid, KeptEvidence.of(weight, zlib.compress(text.encode())), scopes)


def kept(place: str, run_uid: str = "u", scopes: Scopes = None) -> bytes | None:
    """What is there."""
    database = Database.open(place)
    try:
        return database.read_here(partial(kept_evidence, run_uid=run_uid, scopes=scopes))
    finally:
        database.close()


@pytest.mark.parametrize(
    "first, second, is_stored",
    [
        (FIRST, FIRST, True),
        (FIRST, FIRST._replace(asked_at=1015.5), True),
        (FIRST, FIRST._replace(asked_at=1000.4), False),
        (FIRST, FIRST._replace(asked_at=1015.5, points=19), False),
        (FIRST._replace(tail_open=True), FIRST._replace(asked_at=1015.5, points=19), True),
        (FIRST._replace(tail_open=True), FIRST._replace(asked_at=1015.5, answered=1), False),
    ],
    ids=["the same", "newer", "older", "fewer points", "after an open tail", "fewer answers"],
)
def test_the_one_that_knows_more_stays(place: str, first: Weight, second: Weight, is_stored: bool) -> None:
    """Whichever comes last; what is sent again is there once."""
    _, one, other = stored(place, summary("u"), evidence("one", first), evidence("other", second))
    assert (one, other) == (True, is_stored)
    assert kept(place) == (b"other" if is_stored else b"one")
    assert asked(place, "SELECT count(*) FROM evidence") == [(1,)]


def test_what_was_asked_in_time_to_come_was_asked_now(place: str) -> None:
    """A clock that is ahead keeps no later document away."""
    early, late = FIRST._replace(asked_at=2.5e11), FIRST._replace(asked_at=time.time() + 60)
    _, one, other = stored(place, summary("u"), evidence("one", early), evidence("other", late))
    assert (one, other) == (True, True)
    assert kept(place) == b"other"


TIMED = FIRST._replace(begin=900.0, end=1000.0, task="7")


@pytest.mark.parametrize(
    "second, is_stored",
    [
        ({}, True),
        ({"begin": 899.999, "end": 1000.001}, True),
        ({"begin": 900.001}, False),
        ({"end": 999.999}, False),
        ({"task": "8"}, False),
        ({"begin": None, "end": None, "task": None}, True),
    ],
    ids=["the same", "a longer time", "a later begin", "an earlier end", "another task", "not told"],
)
def test_what_is_of_another_job_takes_no_place(place: str, second: dict[str, Any], is_stored: bool) -> None:
    """Nor what is of a part of its time."""
    changes = (evidence("one", TIMED), evidence("other", TIMED._replace(**second)))
    assert stored(place, timed("u", 950), *changes)[1:] == [True, is_stored]


def timed(run_uid: str, begin: float | None, end: object = None) -> NewSummary:
    """A run that began then, in seconds."""
    content = json.dumps({} if end is None else {"end_time": end}).encode()
    return summary(run_uid, content)._replace(start_time=None if begin is None else int(begin * 1000))


@pytest.mark.parametrize(
    "run, is_refused",
    [
        (timed("u", 1600), False),
        (timed("u", 1601), True),
        (timed("u", 100, "1970-01-01T00:05:00Z"), False),
        (timed("u", 100, "1970-01-01T00:04:59Z"), True),
        (timed("u", 100), False),
        (timed("u", 100, "soon"), False),
        (timed("u", 100, 7), False),
        (timed("u", None), False),
        (part("u", 0, 1)._replace(start_time=1601_000), True),
        (part("u", 0, 1)._replace(start_time=1_000), False),
    ],
    ids=[
        "ten minutes after", "later", "ten minutes before", "earlier", "an end that is not told", "a word",
        "a number", "no times", "to come", "going on",
    ],
)  # fmt: skip
def test_a_document_of_another_time_is_refused(place: str, run: Any, is_refused: bool) -> None:
    """Nothing is kept of it; what is not known contradicts nothing."""
    _, result = stored(place, run, evidence("one", TIMED))
    assert isinstance(result, OtherTime) is is_refused
    assert kept(place) == (None if is_refused else b"one")


def test_a_run_that_goes_on_again_has_not_ended(place: str) -> None:
    """Whatever its summary said."""
    over, again = timed("u", 100, "1970-01-01T00:04:59Z"), part("u", 0, 1)._replace(start_time=100_000)
    assert stored(place, over, again, evidence("one", TIMED))[2] is True


def test_it_is_given_back_as_it_was_sent(place: str) -> None:
    """Compressed by its sender, too; of what is damaged one sentence."""
    sent, damaged = (KeptEvidence.of(FIRST, body) for body in (gzip.compress(b"sent"), b"damaged"))
    runs = [summary(uid) for uid in ("u", "v", "none")]
    stored(place, *runs, NewEvidence("u", sent), NewEvidence("v", damaged))
    assert kept(place) == b"sent"
    assert kept(place, "none") is None
    with pytest.raises(JournalError, match="damaged"):
        kept(place, "v")


def test_it_is_of_a_run_that_is_there(place: str) -> None:
    """Nothing is kept of any other."""
    (refused,) = stored(place, evidence("one"))
    assert isinstance(refused, UnknownRun)
    assert asked(place, "SELECT count(*) FROM evidence") == [(0,)]
    assert kept(place, "\0") is None


def test_who_may_store_the_run_may_attach_to_it(place: str) -> None:
    """And who may see the run sees it."""
    results = stored(place, summary("u"), evidence("others", scopes=OTHERS), evidence("mine", scopes=MINE))
    assert isinstance(results[1], Foreign)
    assert (kept(place, scopes=MINE), kept(place, scopes=OTHERS), kept(place, scopes=())) == (
        b"mine",
        None,
        None,
    )


def test_a_run_that_is_over_was_heard_of_then(place: str) -> None:
    """Else no later export would take it along; of one that goes on it is no sign of life."""
    stored(place, part("going", 0, 1), part("u", 0, 1), part("u", 1, 1, ends_after=1))
    before = {uid: found(place, uid).heard_at for uid in ("going", "u")}
    stored(place, evidence("one"), evidence("one", run_uid="going"))
    after = {uid: found(place, uid) for uid in ("going", "u")}
    assert after["going"].heard_at == before["going"]
    assert after["u"].heard_at > before["u"]
    assert (after["u"].state, after["going"].state) == ("finished", "running")
