"""Documents that are too large."""

from __future__ import annotations

from jobmeter.model.evidence.document import Series, encode
from jobmeter.referee.fitting import fitted
from tests.model.evidence.examples import answer, evidence, points

SMALL = answer("small", Series({"a": "b"}, points("1", "2")))
LARGE = answer("large", Series({"a": "x" * 4000}, points(*["0.5"] * 200)), Series({}, points("1")))


def test_what_fits_stays_as_it_is() -> None:
    """To the last byte."""
    document = evidence(SMALL, LARGE)
    assert fitted(document, len(encode(document))) is document


def test_the_largest_queries_give_way() -> None:
    """They say so, and how much it was; no other loses anything."""
    document = evidence(LARGE, SMALL, LARGE)
    size = len(encode(document))
    found = fitted(document, size - 1)
    assert len(encode(found)) < size
    first, small, last = found.queries
    assert (small, last) == (SMALL, LARGE)
    assert (first.state, first.series, first.series_left_out, first.points_left_out) == (
        "partial",
        (),
        2,
        201,
    )
    assert first.reason == (
        f"Its series are left out: with them the document would have more than {size - 1} bytes."
    )


def test_many_short_texts_are_too_many_too() -> None:
    """A receiver counts them before it decodes: the query with the most gives way."""
    labels = Series({f"l{number}": "" for number in range(100)}, points("1"))
    document = evidence(LARGE, answer("labels", labels, labels), SMALL)
    texts = encode(document).count(b'"') // 2
    assert fitted(document, max_texts=texts) is document
    large, emptied, small = fitted(document, max_texts=texts - 1).queries
    assert (large, small) == (LARGE, SMALL)
    assert emptied.reason == (
        f"Its series are left out: with them the document would have more than {texts - 1} texts."
    )
    both = fitted(document, len(encode(document)) - 1, texts - 500)
    assert [query.series for query in both.queries] == [(), (), SMALL.series]


def test_however_little_there_is_room_for() -> None:
    """What is left has no series."""
    found = fitted(evidence(SMALL, LARGE), 100)
    assert [query.series for query in found.queries] == [(), ()]
