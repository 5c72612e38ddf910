"""How large a document of evidence may be, for who makes one and for who takes one."""

import re

from msgspec.structs import asdict

from jobmeter.model.errors import EvidenceError
from jobmeter.model.evidence.document import Evidence, QueryAnswer, Series, seconds_of
from jobmeter.model.job import Job

MAX_BYTES = 24 * 1024 * 1024
"""Of the whole document as JSON: a point of 500,000 may have as many digits as a number has."""
MAX_QUERIES = 200
MAX_SERIES = 1_000
"""Of one query."""
MAX_POINTS = 500_000
"""Of the whole document."""
MAX_LABELS = 100
"""Of one series."""
MAX_TEXT = 8_192
"""Characters of a query, a selector, a label's value."""
MAX_SENTENCE = 1_000
MAX_SENTENCES = 100
"""Of problems, and of warnings of one query."""
_MAX_LISTS = 1_000_000
"""Of the document's text: of points, of series, of labels that have such signs."""
MAX_TEXTS = 1_500_000
"""Of the document's text: values of points, labels, and what else stands in quotes."""
_MAX_VALUE = 64
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|[+-]?Inf")
_MAX_TIME = 1e11
"""Of a point: the year 5138; of what lies between two of them."""


def check_text(text: bytes) -> None:
    """Raises EvidenceError for text that is too large to be decoded: a list of empty lists takes 20 times its size."""
    if len(text) > MAX_BYTES:
        raise EvidenceError(f"it has {len(text)} bytes; accepted are at most {MAX_BYTES}")
    _check_count(text.count(b"["), _MAX_LISTS, "lists")
    _check_count(text.count(b'"') // 2, MAX_TEXTS, "texts")


def check(document: Evidence) -> None:
    """Raises EvidenceError for a document that is too large or that nobody could draw."""
    if seconds_of(document.end_time) < seconds_of(document.start_time):
        raise EvidenceError(f"end_time is {document.end_time!r}, before start_time {document.start_time!r}")
    seconds_of(document.asked_time)
    for field in ("interval_seconds", "step_seconds", "tail_seconds"):
        _check_span(getattr(document, field), field)
    _check_count(len(document.queries), MAX_QUERIES, "queries")
    _check_sentences(document.problems, "problems")
    for field in ("made_by", "selector", "run_uid", "task"):
        _check_text(getattr(document, field) or "", field)
    _check_text(document.source.address, "source.address")
    _check_job(document.job)
    _check_count(sum(query.point_count for query in document.queries), MAX_POINTS, "points")
    for number, query in enumerate(document.queries):
        _check_query(query, f"queries[{number}]")


def _check_job(job: Job) -> None:
    _check_count(len(job.runner_labels), MAX_LABELS, "job.runner_labels")
    _check_count(len(job.matrix or {}), MAX_LABELS, "job.matrix")
    texts = {name: value for name, value in asdict(job).items() if isinstance(value, str)}
    several = ((*job.runner_labels, *(job.matrix or {})), (job.matrix or {}).values())
    for field, text in texts.items():
        _check_text(text, f"job.{field}")
    for text in (one for some in several for one in some if isinstance(one, str)):
        _check_text(text, "job")


def _check_query(query: QueryAnswer, place: str) -> None:
    for field in ("name", "query", "expression"):
        _check_text(getattr(query, field), f"{place}.{field}")
    _check_span(query.step_seconds, f"{place}.step_seconds")
    _check_span(query.window_seconds, f"{place}.window_seconds")
    _check_sentences((*query.warnings, query.reason or ""), f"{place}.warnings")
    _check_count(len(query.series), MAX_SERIES, f"{place}.series")
    if query.series_left_out < 0 or query.points_left_out < 0:
        raise EvidenceError(f"{place}: what is left out is a number from 0 on")
    for number, series in enumerate(query.series):
        _check_series(series, f"{place}.series[{number}]")


def _check_series(series: Series, place: str) -> None:
    _check_count(len(series.labels), MAX_LABELS, f"{place}.labels")
    for name, value in series.labels.items():
        _check_text(name, f"{place}.labels")
        _check_text(value, f"{place}.labels.{name[:60]}")
    before: int | float = -1
    for time, value in series.points:
        if not before < time < _MAX_TIME:
            raise EvidenceError(f"{place}.points: the time {time} is none, or not after the one before it")
        before = time
        if not is_number(value):
            raise EvidenceError(f"{place}.points: {value[:60]!r} is no number as Prometheus writes one")


def is_number(value: str) -> bool:
    """Whether Prometheus writes a number so: as Go does, which knows no blanks and no other digits than ours."""
    return len(value) <= _MAX_VALUE and _NUMBER.fullmatch(value) is not None


def _check_span(seconds: float, place: str) -> None:
    if not 0 <= seconds <= _MAX_TIME:
        raise EvidenceError(f"{place} is {seconds}; accepted are seconds from 0 to {_MAX_TIME:.0f}")


def _check_sentences(sentences: tuple[str, ...], place: str) -> None:
    _check_count(len(sentences), MAX_SENTENCES + 1, place)
    for sentence in sentences:
        _check_length(sentence, MAX_SENTENCE, place)


def _check_text(text: str, place: str) -> None:
    _check_length(text, MAX_TEXT, place)


def _check_length(text: str, most: int, place: str) -> None:
    if len(text) > most:
        raise EvidenceError(f"{place} has {len(text)} characters; accepted are at most {most}")


def _check_count(count: int, most: int, place: str) -> None:
    if count > most:
        raise EvidenceError(f"{place}: there are {count}; accepted are at most {most}")
