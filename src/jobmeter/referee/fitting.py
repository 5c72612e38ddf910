"""Makes a document as small as a receiver takes it."""

from collections.abc import Callable

from msgspec.structs import replace

from jobmeter.model.evidence.bounds import MAX_BYTES, MAX_TEXTS
from jobmeter.model.evidence.document import Evidence, QueryAnswer, encode


def fitted(document: Evidence, max_bytes: int = MAX_BYTES, max_texts: int = MAX_TEXTS) -> Evidence:
    """The document; where it is too large, without the series of its largest queries, which say so."""
    text = encode(document)
    size, texts = len(text), text.count(b'"') // 2
    if size > max_bytes:
        document = _lightened(document, size, max_bytes, _bytes, "bytes")
        texts = encode(document).count(b'"') // 2
    if texts > max_texts:
        document = _lightened(document, texts, max_texts, _texts, "texts")
    return document


def _lightened(
    document: Evidence, size: int, most: int, size_of: Callable[[QueryAnswer], int], what: str
) -> Evidence:
    # What the sentences need is left free.
    too_much = size - most * 15 // 16
    sizes = [size_of(query) for query in document.queries]
    left_out = set()
    for number in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if too_much <= 0:
            break
        left_out.add(number)
        too_much -= sizes[number]
    queries = (
        _emptied(query, f"{most} {what}") if number in left_out else query
        for number, query in enumerate(document.queries)
    )
    return replace(document, queries=tuple(queries))


def _bytes(query: QueryAnswer) -> int:
    """About those of its series as JSON."""
    labels = sum(
        len(name) + len(value) + 8 for series in query.series for name, value in series.labels.items()
    )
    points = sum(len(value) + 18 for series in query.series for _, value in series.points)
    return labels + points


def _texts(query: QueryAnswer) -> int:
    """Those of its series: names and values of labels, and values of points."""
    return query.point_count + 2 * sum(len(series.labels) for series in query.series)


def _emptied(query: QueryAnswer, most: str) -> QueryAnswer:
    reason = f"Its series are left out: with them the document would have more than {most}."
    return replace(
        query,
        state="partial",
        reason=reason,
        series=(),
        series_left_out=query.series_left_out + len(query.series),
        points_left_out=query.points_left_out + query.point_count,
    )
