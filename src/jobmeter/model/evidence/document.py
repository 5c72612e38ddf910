"""Evidence: what Prometheus saw during one job. Schema "jobmeter.evidence/1", the contract of every stored byte.

What could not be had is said beside the data, one sentence each. Values are texts as Prometheus sends them, so that
NaN and +Inf stay what they are; the time of a point is a number of seconds since 1970 with at most three decimals.
A reader of version 1 ignores fields that it does not know and refuses a higher version.
"""

from datetime import datetime
from functools import cache
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from jobmeter.model.errors import EvidenceError
from jobmeter.model.job import Job

SCHEMA: Literal["jobmeter.evidence/1"] = "jobmeter.evidence/1"
_NAME = "jobmeter.evidence/"
_YEAR_10000 = 253_402_300_800

State = Literal["data", "empty", "failed", "partial"]
Point = tuple[int | float, str]
"""Seconds since 1970, and the value."""


class Source(Struct, frozen=True, kw_only=True):
    """Who was asked."""

    address: Annotated[str, Meta(description="Its URL, without user name, password and query.")]
    kind: Annotated[Literal["prometheus"], Meta(description="What it speaks.")] = "prometheus"


class Series(Struct, frozen=True):
    """One time series of an answer."""

    labels: Annotated[dict[str, str], Meta(description="Its labels; empty for a total.")]
    points: Annotated[
        tuple[Point, ...], Meta(description="[seconds since 1970, value as a text], by rising time.")
    ]


class QueryAnswer(Struct, frozen=True, kw_only=True):
    """One query, and what came of it."""

    name: Annotated[str, Meta(description="What it is called.")]
    query: Annotated[str, Meta(description="As configured, with its placeholders.")]
    expression: Annotated[str, Meta(description="As sent.")]
    step_seconds: Annotated[float, Meta(description="Time between two points.")]
    window_seconds: Annotated[
        float,
        Meta(
            description="The longest range in it: so much before its time a point tells of; 0: of that moment."
        ),
    ] = 0.0
    state: Annotated[
        State,
        Meta(description="data; empty: no series; failed: see reason; partial: some of it, see reason."),
    ]
    reason: Annotated[str | None, Meta(description="Why there is not all, one sentence.")] = None
    warnings: Annotated[tuple[str, ...], Meta(description="What the server or the referee says of it.")] = ()
    series: Annotated[tuple[Series, ...], Meta(description="As sent.")] = ()
    series_left_out: Annotated[int, Meta(description="Series above the limit.")] = 0
    points_left_out: Annotated[int, Meta(description="Points of these series.")] = 0

    @property
    def point_count(self) -> int:
        """Points of all its series."""
        return sum(len(one.points) for one in self.series)


class Evidence(Struct, frozen=True, kw_only=True):
    """What was seen during one job."""

    schema: Annotated[
        Literal["jobmeter.evidence/1"], Meta(description="Name and version of this contract.")
    ] = SCHEMA
    made_by: Annotated[str, Meta(description="Release of jobmeter.")]
    job: Annotated[Job, Meta(description="Which job of which forge; null where not known.")] = Job()
    run_uid: Annotated[str | None, Meta(description="The metered run it belongs to.")] = None
    task: Annotated[str | None, Meta(description="The forge's own number of the task or job.")] = None
    start_time: Annotated[str, Meta(description="The job's, RFC 3339, UTC, milliseconds.")]
    end_time: Annotated[str, Meta(description="The job's.")]
    asked_time: Annotated[str, Meta(description="When the questions were asked.")]
    source: Annotated[Source, Meta(description="Who was asked.")]
    selector: Annotated[str, Meta(description="What {selector} stands for: matchers without braces.")]
    interval_seconds: Annotated[float, Meta(description="Time between two points, as configured.")]
    step_seconds: Annotated[float, Meta(description="The same, grown where the job was long.")]
    tail_open: Annotated[
        bool,
        Meta(
            description="What happened at the job's end was not scraped yet: of its last moments points may be missing."
        ),
    ] = False
    tail_seconds: Annotated[
        float,
        Meta(
            description="Once the tail is closed there are points of so long after end_time, of its next scrape."
        ),
    ] = 0.0
    queries: Annotated[tuple[QueryAnswer, ...], Meta(description="In the order they are configured.")] = ()
    problems: Annotated[tuple[str, ...], Meta(description="What concerns all of it, one sentence each.")] = ()


class _Envelope(Struct):
    schema: str = ""


def encode(document: Evidence) -> bytes:
    """The document as one JSON object on one line, with its newline."""
    # A newline that were added later would be a copy of all of it.
    return msgspec.json.Encoder().encode_lines([document])


def decode(text: bytes) -> Evidence:
    """The document of JSON text. Raises EvidenceError for text that is none, or of a later version."""
    envelopes, documents = _decoders()
    try:
        schema = envelopes.decode(text).schema
        if schema != SCHEMA and schema.startswith(_NAME):
            raise EvidenceError(
                f"it is of the schema {schema[:60]!r}, which is newer than {SCHEMA!r}, the newest known here"
            )
        return documents.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"it is no evidence of jobmeter: {str(error)[:200]}") from None
    except RecursionError:
        raise EvidenceError("it is no evidence of jobmeter: it is nested too deeply") from None


@cache
def _decoders() -> tuple[msgspec.json.Decoder[_Envelope], msgspec.json.Decoder[Evidence]]:
    return msgspec.json.Decoder(_Envelope), msgspec.json.Decoder(Evidence)


def seconds_of(time: str) -> float:
    """Seconds since 1970 of one of its times. Raises EvidenceError."""
    try:
        moment = datetime.fromisoformat(time)
        seconds = moment.timestamp()
        if moment.tzinfo is None or not 0 <= seconds < _YEAR_10000:
            raise ValueError
        return seconds
    except (ValueError, OverflowError):
        raise EvidenceError(
            f"{time[:60]!r} is no time; accepted is RFC 3339, as 2026-11-21T12:00:00.000Z"
        ) from None


class Weight(NamedTuple):
    """What decides whether a document may take the place of another one; times are seconds since 1970.

    What is zero has no weight. ``begin``, ``end`` and ``task`` are the job's, None where they are not known.
    """

    asked_at: float
    answered: int
    points: int
    tail_open: bool
    begin: float | None = None
    end: float | None = None
    task: str | None = None

    def replaces(self, old: "Weight") -> bool:
        """Whether the answer of a second asking may take the place of what is kept.

        It is of the same task and all of the old one's time, as new or newer, answers no fewer queries, and has no
        fewer points where the old one's tail was closed: a Prometheus that has forgotten the job, or is away, takes
        nothing from what it once said.
        """
        if self.asked_at < old.asked_at or self.answered < old.answered:
            return False
        return self._is_of_same(old) and (old.tail_open or self.points >= old.points)

    def _is_of_same(self, old: "Weight") -> bool:
        if None not in (self.task, old.task) and self.task != old.task:
            return False
        if self.begin is None or self.end is None or old.begin is None or old.end is None:
            return True
        return self.begin <= old.begin and self.end >= old.end


def weight_of(document: Evidence) -> Weight:
    """Raises EvidenceError for a document without a time, or with a value that is no number."""
    try:
        points = [sum(map(_tells, query.series)) for query in document.queries]
    except ValueError as error:
        raise EvidenceError(f"a value is no number: {error}") from None
    return Weight(
        seconds_of(document.asked_time),
        sum(map(bool, points)),
        sum(points),
        document.tail_open,
        seconds_of(document.start_time),
        seconds_of(document.end_time),
        document.task,
    )


def _tells(series: Series) -> int:
    """How many of its points are not zero."""
    return sum(float(value) != 0 for _, value in series.points)


def replaces(new: Evidence, old: Evidence) -> bool:
    """Whether the answer of a second asking may take the place of what is kept: see ``Weight.replaces``."""
    return weight_of(new).replaces(weight_of(old))
