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
def test_a_record_counts_once(tmp_path, sent, expected):
    """Repeated and overlapping parts add what is new of them."""
    path = tmp_path / "db"
    results = stored(path, *(part("u", first, count) for first, count in sent))
    assert [result.next_sequence for result in results] == expected
    assert lines(path, "u") == list(range(expected[-1]))


def test_a_part_above_what_is_there_is_refused_unless_the_rest_is_gone(tmp_path):
    """Then what lies between is missing for ever."""
    path = tmp_path / "db"
    _, refused, taken, late = stored(
        path, part("u", 0, 2), part("u", 5, 2), part("u", 5, 2, gap=True), part("u", 2, 3)
    )
    assert isinstance(refused, Gap)
    assert refused.next_sequence == 2
    assert (taken.next_sequence, late.next_sequence) == (7, 7)
    assert lines(path, "u") == [0, 1, 5, 6]


def test_a_part_stays_compressed_as_it_came(tmp_path):
    """Nothing is compressed twice."""
    import gzip

    path, sent = tmp_path / "db", gzip.compress(b'{"n":0}\n{"n":1}\n')
    stored(path, Part("u", 0, (b'{"n":0}', b'{"n":1}'), compressed=sent), part("u", 1, 2))
    assert lines(path, "u") == [0, 1, 2]


def test_the_end_finishes_and_a_later_record_opens_again(tmp_path):
    """The summary is there with the end, in one commit."""
    path = tmp_path / "db"
    ended, again = stored(path, part("u", 0, 3, ends_after=0), part("u", 0, 3, ends_after=0))
    assert ended == Progress(3, True, 3)
    assert again == Progress(3, True)
    run = found(path, "u")
    assert (run.state, run.summary) == ("finished", b'{"folded":true}')
    stored(path, part("u", 3, 1))
    assert found(path, "u").state == "running"
    stored(path, part("u", 4, 1, ends_after=4))
    assert found(path, "u").state == "finished"


def test_an_end_that_was_folded_from_other_records_is_refused(tmp_path):
    """Another receiver stored something in the meantime: who folded does it again."""
    path = tmp_path / "db"
    _, refused = stored(path, part("u", 0, 2), part("u", 1, 2, ends_after=1))
    assert isinstance(refused, Outdated)
    assert found(path, "u").next_sequence == 2


def test_a_summary_that_was_sent_is_not_replaced_by_a_folded_one(tmp_path):
    """Stream and push of one run are one row, in either order."""
    for name, changes in {
        "before": (summary("u", b'{"sent":1}'), part("u", 0, 3, ends_after=0)),
        "after": (part("u", 0, 3, ends_after=0), summary("u", b'{"sent":1}')),
        "between": (part("u", 0, 1), summary("u", b'{"sent":1}'), part("u", 1, 2, ends_after=1)),
    }.items():
        path = tmp_path / name
        stored(path, *changes)
        run = found(path, "u")
        assert (run.id, run.state, run.summary) == (1, "finished", b'{"sent":1}'), name


def test_a_silent_run_is_lost_and_a_late_part_opens_it(tmp_path):
    """With what there is as its summary."""
    path = tmp_path / "db"
    lost = Finish("u", FOREVER, Ending(2, b'{"lost":true}', "lost"))
    _, done, again = stored(path, part("u", 0, 2), lost, lost)
    assert (done, again) == (True, False)
    assert (found(path, "u").state, found(path, "u").summary) == ("lost", b'{"lost":true}')
    stored(path, part("u", 2, 1))
    assert found(path, "u").state == "running"


def test_a_run_that_was_heard_of_is_not_lost(tmp_path):
    """Something came between the look at it and its end."""
    path = tmp_path / "db"
    early, other = Finish("u", 0, Ending(2, None, "lost")), Finish("u", FOREVER, Ending(1, None, "lost"))
    assert stored(path, part("u", 0, 2), early, other)[1:] == [False, False]
    assert found(path, "u").state == "running"


def test_a_question_is_a_sign_of_life(tmp_path, monkeypatch):
    """Of a run that is running; one that is over stays over, and an unknown one is not made."""
    path = tmp_path / "db"
    clock = itertools.count(1000)
    monkeypatch.setattr(writer, "_now", lambda: next(clock))
    lost = Finish("u", 1002, Ending(2, None, "lost"))
    unknown, _, asked, done = stored(path, Heard("u"), part("u", 0, 2), Heard("u"), lost)
    assert (unknown, asked, done) == (Progress(0, False), Progress(2, False), False)
    assert found(path, "u").heard_at == 1002
    done, asked = stored(path, lost._replace(heard_before=FOREVER), Heard("u"))
    assert (done, asked) == (True, Progress(2, False))
    assert (found(path, "u").state, found(path, "u").heard_at) == ("lost", 1002)
    _, asked = stored(path, part("u", 2, 1, ends_after=2), Heard("u"))
    assert asked == Progress(3, True)
    assert found(path, "u").state == "finished"


@pytest.mark.parametrize(
    "count, rest", [(0, b"a\nbc\nd\n"), (1, b"bc\nd\n"), (2, b"d\n"), (3, b""), (9, b"")]
)
@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_lines_are_left_out_wherever_the_text_is_cut(cut, count, rest):
    """Pieces end anywhere."""
    text = b"a\nbc\nd\n"
    pieces = (text[place : place + cut] for place in range(0, len(text), cut))
    assert b"".join(without_lines(pieces, count)) == rest
