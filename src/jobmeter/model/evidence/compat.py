"""The form of GitLab's own referee: ``{"name": [[timestamp, "value"], …]}``, of each query its first series.

To the byte what its runner writes: names sorted, no blanks, of what HTML could take for markup the codes, and values
with all their digits, as Prometheus' library writes them (`model.SampleValue`: Go's format "f"). A query that failed
or is empty is left out; of two with one name the last that has data is kept. Points after the job's end are not of
this form.
"""

import math
from decimal import Decimal

import msgspec

from jobmeter.model.evidence.document import Evidence, Point, seconds_of

FILE_NAME = "metrics_referee.json"
# Go's encoder writes these so.
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "&<>\u2028\u2029"}


def plain(value: str) -> str:
    """The number with the fewest digits that say it, and without an exponent: 1e-07 is 0.0000001."""
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    digits = format(Decimal(repr(number)), "f")
    return digits.removesuffix(".0")


def encode(document: Evidence) -> bytes:
    """The document's first series in that form; ``{}`` where there is none."""
    end = seconds_of(document.end_time)
    metrics: dict[str, tuple[Point, ...]] = {}
    for query in document.queries:
        courses = (
            tuple((time, plain(value)) for time, value in series.points if time <= end)
            for series in query.series
        )
        first = next(filter(None, courses), None)
        if first is not None:
            metrics[query.name] = first
    text = msgspec.json.encode(metrics, order="sorted").decode()
    return text.translate(_ESCAPED).encode()
