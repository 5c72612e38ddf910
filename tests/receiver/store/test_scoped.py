"""Who is limited to some runs stores no others, in whatever way it tries."""

from __future__ import annotations

import pytest

from jobmeter.model.job import Job
from jobmeter.receiver.store.errors import Foreign
from jobmeter.receiver.store.scopes import Scope
from jobmeter.receiver.store.streams import Heard, Part
from jobmeter.receiver.store.summaries import NewSummary, ScopedSummary
from tests.receiver.store.support import asked, found, part, results_of, stored, summary, with_writer

MINE = (Scope(organization="o", repository="o/r", workflow="w", job="j"),)
OTHERS = (Scope(organization="o", repository="r", workflow="w", job="other"),)


def scoped(run_uid: str, content: bytes = b"{}", job: str = "j") -> NewSummary:
    """A summary of a sender that may store that job only."""
    return ScopedSummary.of(
        summary(run_uid, content, job), (Scope(organization="o", repository="r", job=job),)
    )


def limited(one: Part, scopes=MINE) -> Part:
    """The same part, of a sender that may store some runs."""
    return one._replace(scopes=scopes)


def kinds(results):
    """Ids and progress are one thing, refusals another."""
    return [type(one) is Foreign for one in results]


def test_a_summary_of_its_own_job_is_stored_and_replaced(place):
    """As without a limit."""
    first, again = stored(place, scoped("a"), scoped("a", b'{"n":2}'))
    assert first == again
    assert found(place, "a").summary == b'{"n":2}'


def test_a_run_of_another_job_is_not_replaced(place):
    """Whoever stored it."""
    results = stored(place, summary("a", b'{"n":1}'), scoped("a", b'{"n":2}', job="other"))
    assert kinds(results) == [False, True]
    assert (found(place, "a").summary, asked(place, "SELECT job FROM runs")) == (b'{"n":1}', [("j",)])


def test_what_comes_at_once_is_looked_at_one_after_the_other(place):
    """The first one is its owner; what else is in the commit is stored."""

    async def work(writer, _):
        writer.submit(part("block", 0, 1))
        return await results_of(
            writer,
            scoped("a", b"1"),
            scoped("a", b"2", job="other"),
            scoped("b"),
            summary("c"),
            scoped("a", b"3"),
        )

    results = with_writer(place, work)
    assert kinds(results) == [False, True, False, False, False]
    assert results[0] == results[4]
    assert found(place, "a").summary == b"3"
    assert asked(place, "SELECT count(*) FROM runs") == [(4,)]


def test_many_new_ones_are_stored_at_once(place):
    """With their ids, each the own one."""

    async def work(writer, _):
        return await results_of(writer, *(scoped(f"run-{n:03}") for n in range(200)))

    results = with_writer(place, work)
    assert sorted(asked(place, "SELECT id, run_uid FROM runs")) == sorted(
        (number, f"run-{n:03}") for n, number in enumerate(results)
    )


@pytest.mark.parametrize(
    "change",
    [
        limited(part("a", 1, 1), OTHERS),
        limited(part("a", 0, 2), OTHERS),
        limited(part("a", 9, 1, gap=True), OTHERS),
        limited(part("a", 1, 1, ends_after=1), OTHERS),
        Heard("a", OTHERS),
        Heard("a", ()),
        limited(part("new", 0, 1), OTHERS),
        limited(part("new", 5, 1, gap=True)),
        limited(
            part("a", 1, 1)._replace(job=Job(organization="o", repository="r", workflow="w", job="other"))
        ),
    ],
    ids=[
        "more",
        "again",
        "after a gap",
        "its end",
        "a sign of life",
        "nothing may",
        "a start",
        "no start",
        "renamed",
    ],
)
def test_a_stream_of_another_job_goes_on_by_its_own_sender_only(place, change):
    """Nothing of it changes, and nothing is begun."""
    results = stored(place, limited(part("a", 0, 1)), change)
    assert kinds(results) == [False, True]
    run = found(place, "a")
    assert (run.next_sequence, run.state) == (1, "running")
    assert asked(place, "SELECT count(*) FROM runs") == [(1,)]


def test_a_stream_of_the_own_job_goes_on(place):
    """To its end, with a summary after it."""
    results = stored(
        place, limited(part("a", 0, 1)), Heard("a", MINE), limited(part("a", 1, 1, ends_after=1)), scoped("a"),
        Heard("unknown", OTHERS),
    )  # fmt: skip
    assert kinds(results) == [False] * 5
    assert found(place, "a").pushed


def test_a_summary_takes_no_run_that_streams_for_another_job(place):
    """Nor one that has no names."""
    nameless = Part("b", 3, (b'{"n":3}',), gap=True)
    results = stored(place, part("a", 0, 1), scoped("a", job="other"), nameless, scoped("b"))
    assert kinds(results) == [False, True, False, True]
    assert not found(place, "a").pushed
