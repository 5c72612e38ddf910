"""What Prometheus answers to a range query, in JSON, as series. VictoriaMetrics, Mimir and Thanos answer so too."""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from jobmeter.model.evidence.bounds import MAX_LABELS, MAX_SENTENCE, MAX_SENTENCES, MAX_TEXT, is_number
from jobmeter.model.evidence.document import Point, Series

MAX_SAID = 300
"""Characters of what a server says that are said again."""
_REMARK = "PromQL "
"""So begin warnings that concern the query; others say what a server could not reach."""
_MAX_TIME = 1e11
_MOST_ROWS = 100_000
_MOST_REMARKS = 10_000
_MOST_QUOTES = 8 * MAX_LABELS
"""Of the labels of one series: each has four, and a few of its own."""
_Key = tuple[tuple[str, str], ...]
_KINDS = {"scalar": "a single number", "vector": "one moment", "string": "a text"}


class Unreadable(Exception):
    """An answer that gives no series; the message is one sentence."""


class Reading(NamedTuple):
    """What was read; ``partial`` says that the server itself had not all of it."""

    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()
    partial: bool = False
    series_left_out: int = 0
    points_left_out: int = 0


class _Row(Struct):
    metric: Raw = Raw(b"{}")
    values: Raw = Raw(b"[]")
    histograms: Raw = Raw(b"[]")


class _Data(Struct, rename="camel"):
    result_type: str = ""
    result: Raw = Raw(b"[]")


class _Answer(Struct, rename="camel"):
    status: str = ""
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: Raw = Raw(b"null")
    infos: Raw = Raw(b"null")
    is_partial: bool = False


class _Decoders(NamedTuple):
    answer: msgspec.json.Decoder[_Answer]
    remarks: msgspec.json.Decoder[list[str] | None]
    rows: msgspec.json.Decoder[list[_Row]]
    labels: msgspec.json.Decoder[dict[str, str]]
    points: msgspec.json.Decoder[list[Point]]


@cache
def _decoders() -> _Decoders:
    return _Decoders(
        msgspec.json.Decoder(_Answer),
        msgspec.json.Decoder(list[str] | None),
        msgspec.json.Decoder(list[_Row]),
        msgspec.json.Decoder(dict[str, str]),
        msgspec.json.Decoder(list[Point]),
    )


def read(body: bytes, *, max_series: int, max_points: int) -> Reading:
    """The series of an answer; of those above the limits only their number. Raises Unreadable."""
    try:
        return _read(body, max_series, max_points)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(_no_answer(body)) from None


def said(body: bytes) -> str:
    """What the server says of an error, bounded, on one line; empty where it says nothing that can be read."""
    try:
        answer = _decoders().answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return one_line(answer.error or answer.error_type)


def one_line(text: str, most: int = MAX_SAID) -> str:
    """Bounded, without a final period."""
    words = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * most]).split()
    line = " ".join(words)
    return (line if len(line) <= most else f"{line[: most - 1]}…").rstrip(".")


def _read(body: bytes, max_series: int, max_points: int) -> Reading:
    answer = _decoders().answer.decode(body)
    if answer.status != "success" or answer.data is None:
        raise Unreadable(f"The answer is an error: {said(body) or 'without a reason'}.")
    if answer.data.result_type != "matrix":
        kind = answer.data.result_type
        raise Unreadable(
            f"The answer is {_KINDS.get(kind, 'of the type ' + repr(kind[:40]))}, "
            "which is no course over time."
        )
    warned, remarked = _remarks(answer.warnings), _remarks(answer.infos)
    warnings = [one_line(text, MAX_SENTENCE - 1) + "." for text in (*warned, *remarked)[:MAX_SENTENCES]]
    if bytes(answer.data.result).count(b"{") > 2 * _MOST_ROWS:
        raise Unreadable(f"The answer has more than {_MOST_ROWS} series, which are not read.")
    found = _Found(max_series, max_points)
    for row in _decoders().rows.decode(answer.data.result):
        found.take(row)
    return Reading(
        tuple(found.series),
        (*warnings[: MAX_SENTENCES - len(found.warnings())], *found.warnings()),
        answer.is_partial or not all(text.lstrip().startswith(_REMARK) for text in warned),
        found.series_left_out,
        found.points_left_out,
    )


def _remarks(raw: Raw) -> list[str]:
    """What the server says beside its answer; of very much only that it does."""
    if bytes(raw).count(b'"') > 2 * _MOST_REMARKS:
        return ["The server makes more remarks than are read"]
    return _decoders().remarks.decode(raw) or []


class _Found:
    """Series of one answer up to the limits; those above are counted, and not made."""

    def __init__(self, max_series: int, max_points: int) -> None:
        self.series: list[Series] = []
        self.series_left_out = 0
        self.points_left_out = 0
        self._max_series = max_series
        self._room = max_points
        self._large = 0
        self._histograms = 0
        self._times: dict[float, int | float] = {}
        self._values: dict[str, str] = {}

    def take(self, row: _Row) -> None:
        """One more."""
        # Every point begins with a bracket, and no value has one.
        count = bytes(row.values).count(b"[") - 1
        if count < 1:
            is_histogram = bytes(row.histograms).count(b"[") > 1
            self._histograms += is_histogram
            self.series_left_out += is_histogram
            return
        labels = _labels(row.metric)
        self._large += labels is None
        if labels is None or count > self._room or len(self.series) >= self._max_series:
            self.series_left_out += 1
            self.points_left_out += count
            return
        self._room -= count
        points = tuple(map(self._point, _decoders().points.decode(row.values)))
        if any(later[0] <= earlier[0] for earlier, later in pairwise(points)):
            raise Unreadable("The answer has points that are not in the order of their times.")
        self.series.append(Series(labels, points))

    def _point(self, sent: Point) -> Point:
        """Raises Unreadable for what is no point; times and values that come again are kept once."""
        time, value = self._times.get(sent[0]), self._values.get(sent[1])
        if time is None:
            time = self._times.setdefault(sent[0], _time(sent[0]))
        if value is None:
            value = self._values.setdefault(sent[1], _number(sent[1]))
        return time, value

    def warnings(self) -> list[str]:
        """One sentence for each kind of series that is left out for itself."""
        sentences = []
        if self._large:
            sentences.append(f"Series with too many or too long labels are left out: {self._large}.")
        if self._histograms:
            sentences.append(f"Series of native histograms are left out: {self._histograms}.")
        return sentences


def _labels(metric: Raw) -> dict[str, str] | None:
    """None for those that are too many or too long."""
    if bytes(metric).count(b'"') > _MOST_QUOTES:
        return None
    labels = _decoders().labels.decode(metric)
    large = len(labels) > MAX_LABELS or any(
        len(name) > MAX_TEXT or len(value) > MAX_TEXT for name, value in labels.items()
    )
    return None if large else labels


def _time(sent: float) -> int | float:
    """To the millisecond, and whole where it is. Raises Unreadable."""
    if not 0 <= sent < _MAX_TIME:
        raise Unreadable(f"The answer has a point at the time {sent}.")
    time = round(sent, 3)
    return int(time) if time == int(time) else time


def _number(sent: str) -> str:
    """The value as it was sent. Raises Unreadable for what is none."""
    if not is_number(sent):
        raise Unreadable(f"The answer has a value that is no number: {sent[:40]!r}.")
    return sent


def _no_answer(body: bytes) -> str:
    begin = body[:200].lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html", b"<")):
        return "The answer is a page of HTML; is the address that of Prometheus?"
    return "The answer is not the JSON of a Prometheus, or not all of it."


def joined(parts: list[Reading], *, max_series: int, max_points: int) -> Reading:
    """The answers for the parts of one range, in their order, as one; no time is twice in a series."""
    if len(parts) == 1:
        return parts[0]
    courses: dict[_Key, list[Point]] = {}
    refused: set[_Key] = set()
    points_left_out, room = sum(part.points_left_out for part in parts), max_points
    for series in (series for part in parts for series in part.series):
        key = tuple(sorted(series.labels.items()))
        is_new = key not in courses
        if key in refused or len(series.points) > room or (is_new and len(courses) >= max_series):
            refused.add(key)
            points_left_out += len(series.points)
            continue
        room -= len(series.points)
        course = courses.setdefault(key, [])
        last = course[-1][0] if course else -1
        course += [point for point in series.points if point[0] > last]
    return Reading(
        tuple(Series(dict(key), tuple(course)) for key, course in courses.items()),
        tuple(dict.fromkeys(warning for part in parts for warning in part.warnings))[:MAX_SENTENCES],
        any(part.partial for part in parts),
        max(part.series_left_out for part in parts) + len(refused - courses.keys()),
        points_left_out,
    )
