"""Makes a document as small as a receiver takes it."""

from msgspec.structs import replace

from jobmeter.model.evidence.bounds import MAX_BYTES
from jobmeter.model.evidence.document import Evidence, QueryAnswer, encode


def fitted(document: Evidence, max_bytes: int = MAX_BYTES) -> Evidence:
    """The document; where it is too large, without the series of its largest queries, which say so."""
    size = len(encode(document))
    if size <= max_bytes:
        return document
    # What the sentences need is left free.
    too_much = size - max_bytes * 15 // 16
    sizes = [_size(query) for query in document.queries]
    left_out = set()
    for number in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if too_much <= 0:
            break
        left_out.add(number)
        too_much -= sizes[number]
    queries = (
        _emptied(query, max_bytes) if number in left_out else query
        for number, query in enumerate(document.queries)
    )
    return replace(document, queries=tuple(queries))


def _size(query: QueryAnswer) -> int:
    """About that of its series as JSON."""
    labels = sum(
        len(name) + len(value) + 8 for series in query.series for name, value in series.labels.items()
    )
    points = sum(len(value) + 18 for series in query.series for _, value in series.points)
    return labels + points


def _emptied(query: QueryAnswer, max_bytes: int) -> QueryAnswer:
    reason = f"Its series are left out: with them the document would have more than {max_bytes} bytes."
    return replace(
        query,
        state="partial",
        reason=reason,
        series=(),
        series_left_out=query.series_left_out + len(query.series),
        points_left_out=query.points_left_out + query.point_count,
    )
