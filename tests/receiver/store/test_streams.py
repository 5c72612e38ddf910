"""What is stored of a stream, whatever arrives again, late or out of order."""

from __future__ import annotations

import itertools

import pytest

from jobmeter.receiver.store import writer
from jobmeter.receiver.store.queries import without_lines
from jobmeter.receiver.store.streams import Ending, Finish, Gap, Heard, Outdated, Part, Progress
from tests.receiver.store.support import found, lines, part, stored, summary

FOREVER = 2**62


@pytest.mark.parametrize(
    "sent, expected",
    [
        ([(0, 3), (3, 2)], [3, 5]),
        ([(0, 3), (0, 3)], [3, 3]),
        ([(0, 3), (1, 2)], [3, 3]),
        ([(0, 3), (2, 3)], [3, 5]),
        ([(0, 3), (0, 5), (4, 2)], [3, 5, 6]),
    ],
)
def test_a_record_counts_once(place, sent, expected):
    """Repeated and overlapping parts add what is new of them."""
    results = stored(place, *(part("u", first, count) for first, count in sent))
    assert [result.next_sequence for result in results] == expected
    assert lines(place, "u") == list(range(expected[-1]))


def test_a_part_above_what_is_there_is_refused_unless_the_rest_is_gone(place):
    """Then what lies between is missing for ever."""
    _, refused, taken, late = stored(
        place, part("u", 0, 2), part("u", 5, 2), part("u", 5, 2, gap=True), part("u", 2, 3)
    )
    assert isinstance(refused, Gap)
    assert refused.next_sequence == 2
    assert (taken.next_sequence, late.next_sequence) == (7, 7)
    assert lines(place, "u") == [0, 1, 5, 6]


def test_a_part_stays_compressed_as_it_came(place):
    """Nothing is compressed twice."""
    import gzip

    sent = gzip.compress(b'{"n":0}\n{"n":1}\n')
    stored(place, Part("u", 0, (b'{"n":0}', b'{"n":1}'), compressed=sent), part("u", 1, 2))
    assert lines(place, "u") == [0, 1, 2]


def test_the_end_finishes_and_a_later_record_opens_again(place):
    """The summary is there with the end, in one commit."""
    ended, again = stored(place, part("u", 0, 3, ends_after=0), part("u", 0, 3, ends_after=0))
    assert ended == Progress(3, True, 3)
    assert again == Progress(3, True)
    run = found(place, "u")
    assert (run.state, run.summary) == ("finished", b'{"folded":true}')
    stored(place, part("u", 3, 1))
    assert found(place, "u").state == "running"
    stored(place, part("u", 4, 1, ends_after=4))
    assert found(place, "u").state == "finished"


def test_an_end_that_was_folded_from_other_records_is_refused(place):
    """Another receiver stored something in the meantime: who folded does it again."""
    _, refused = stored(place, part("u", 0, 2), part("u", 1, 2, ends_after=1))
    assert isinstance(refused, Outdated)
    assert found(place, "u").next_sequence == 2


@pytest.mark.parametrize(
    "changes",
    [
        (summary("u", b'{"sent":1}'), part("u", 0, 3, ends_after=0)),
        (part("u", 0, 3, ends_after=0), summary("u", b'{"sent":1}')),
        (part("u", 0, 1), summary("u", b'{"sent":1}'), part("u", 1, 2, ends_after=1)),
    ],
    ids=["before", "after", "between"],
)
def test_a_summary_that_was_sent_is_not_replaced_by_a_folded_one(place, changes):
    """Stream and push of one run are one row, in either order."""
    stored(place, *changes)
    run = found(place, "u")
    assert (run.id, run.state, run.summary) == (1, "finished", b'{"sent":1}')


def test_a_silent_run_is_lost_and_a_late_part_opens_it(place):
    """With what there is as its summary."""
    lost = Finish("u", FOREVER, Ending(2, b'{"lost":true}', "lost"))
    _, done, again = stored(place, part("u", 0, 2), lost, lost)
    assert (done, again) == (True, False)
    assert (found(place, "u").state, found(place, "u").summary) == ("lost", b'{"lost":true}')
    stored(place, part("u", 2, 1))
    assert found(place, "u").state == "running"


def test_a_run_that_comes_back_has_a_summary_of_all_of_it(place):
    """In place of the one of what was there when it was lost; one is better than none."""
    lost = Finish("u", FOREVER, Ending(2, b'{"lost":true}', "lost"))
    stored(place, part("u", 0, 2), lost, part("u", 2, 1, ends_after=2))
    assert (found(place, "u").state, found(place, "u").summary) == ("finished", b'{"folded":true}')
    stored(place, part("u", 3, 1), part("u", 4, 1)._replace(ends=True, ending=Ending(4, None)))
    assert (found(place, "u").state, found(place, "u").summary) == ("finished", b'{"folded":true}')


def test_a_run_that_was_heard_of_is_not_lost(place):
    """Something came between the look at it and its end."""
    early, other = Finish("u", 0, Ending(2, None, "lost")), Finish("u", FOREVER, Ending(1, None, "lost"))
    assert stored(place, part("u", 0, 2), early, other)[1:] == [False, False]
    assert found(place, "u").state == "running"


def test_a_question_is_a_sign_of_life(place, monkeypatch):
    """Of a run that is running; one that is over stays over, and an unknown one is not made."""
    clock = itertools.count(1000)
    monkeypatch.setattr(writer, "_now", lambda: next(clock))
    lost = Finish("u", 1002, Ending(2, None, "lost"))
    unknown, _, asked, done = stored(place, Heard("u"), part("u", 0, 2), Heard("u"), lost)
    assert (unknown, asked, done) == (Progress(0, False), Progress(2, False), False)
    assert found(place, "u").heard_at == 1002
    done, asked = stored(place, lost._replace(heard_before=FOREVER), Heard("u"))
    assert (done, asked) == (True, Progress(2, False))
    assert (found(place, "u").state, found(place, "u").heard_at) == ("lost", 1002)
    _, asked = stored(place, part("u", 2, 1, ends_after=2), Heard("u"))
    assert asked == Progress(3, True)
    assert found(place, "u").state == "finished"


@pytest.mark.parametrize(
    "count, rest", [(0, b"a\nbc\nd\n"), (1, b"bc\nd\n"), (2, b"d\n"), (3, b""), (9, b"")]
)
@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_lines_are_left_out_wherever_the_text_is_cut(cut, count, rest):
    """Pieces end anywhere."""
    text = b"a\nbc\nd\n"
    pieces = (text[place : place + cut] for place in range(0, len(text), cut))
    assert b"".join(without_lines(pieces, count)) == rest
