"""`…/evidence`: takes what a referee saw during a run or a job, and gives it back as it was sent."""

import zlib
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.errors import EvidenceError
from jobmeter.model.evidence import bounds, compat
from jobmeter.model.evidence.document import Evidence, decode, weight_of
from jobmeter.ops.problems import NotFound, Problem, TooLarge
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import Grant, grant_of
from jobmeter.receiver.api.parameters import RUN_UID
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.bodies import Body, Handling, read_body
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.jobs import RunUid, encoded_job, path_uid
from jobmeter.receiver.store.evidence import (
    KeptEvidence,
    NewEvidence,
    NewEvidenceOfJob,
    OtherTime,
    UnknownRun,
    kept_evidence,
)
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.queries import find_run
from jobmeter.receiver.store.runs_of_job import NoRunYet, OneJob, SeveralRuns
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.receiver.store.writer import Writer

_FORMATS = ("full", "compat")
_FORMAT = Parameter(
    "format",
    "query",
    Literal["full", "compat"],
    "full: the document as it was sent; compat: the form of GitLab's own referee, "
    '`{"name": [[timestamp, "value"], …]}`, the first series of each query.',
)


_COMPAT = dict[str, list[list[int | float | str]]]


class EvidenceAnswer(Struct):
    """What became of a document."""

    run_uid: Annotated[str, Meta(description="The run's key.")]
    stored: Annotated[
        bool,
        Meta(description="False: what is there knows more, and stays; there is no need to send it again."),
    ]


class JobEvidenceAnswer(Struct):
    """What became of a document at each run of its job."""

    runs: Annotated[list[EvidenceAnswer], Meta(description="At least one.")]


_NAMES = ("repository", "workflow", "job", "run_id")
_DOCUMENT = Content(
    Evidence, f"The document, of at most {bounds.MAX_BYTES >> 20} MiB without its compression."
)


class EvidenceApi:
    """Takes documents of evidence, one of a run, and tells them."""

    def __init__(self, writer: Writer, handling: Handling, readings: Readings, figures: Figures) -> None:
        self._writer = writer
        self._handling = handling
        self._readings = readings
        self._figures = figures

    def routes(self) -> tuple[Route, ...]:
        """The table of all of them."""
        return (
            Route(
                "POST", "/api/v1/runs/{run_uid}/evidence", endpoint(self.post), "push",
                "Attach what a referee saw to a run that is there; a later one takes the place of one that knows no "
                "more.",
                (Parameter("run_uid", "path", RunUid, "The key of the run.", required=True),),
                _DOCUMENT,
                {200: Content(EvidenceAnswer, "It is on disk, or what knows more is.")},
                (400, 403, 404, 409, 413, 415, 503, 507),
            ),
            Route(
                "POST", "/api/v1/evidence", endpoint(self.post_of_job), "push",
                "Attach what a referee saw to the runs of a job, which are found by its names and its time.",
                (),
                _DOCUMENT,
                {200: Content(JobEvidenceAnswer, "It is on disk, or what knows more is.")},
                (400, 403, 404, 409, 413, 415, 503, 507),
            ),
            Route(
                "GET", "/api/v1/runs/{run_uid}/evidence", endpoint(self.get), "read",
                "What a referee saw during one run",
                (RUN_UID, _FORMAT),
                answers={200: Content(Evidence, "The document, in either form.", or_type=_COMPAT)},
                problems=(400, 404, 503),
            ),
        )  # fmt: skip

    async def post(self, request: Request) -> Response:
        """Store the document."""
        run_uid = path_uid(request.path_params["run_uid"])
        body = await read_body(request.scope, request.receive)
        make = partial(parse, run_uid, body=body, scopes=grant_of(request).scopes)
        try:
            stored: bool = await self._handling.handle(body, make, self._writer.submit)
        except UnknownRun:
            raise NotFound(
                f"There is no run {run_uid!r} to attach evidence to; its summary or its first records come first."
            ) from None
        except OtherTime as error:
            raise Problem(409, f"The document is not of the run's time: {error}.") from None
        self._figures.evidence.inc(stored)
        answer = EvidenceAnswer(run_uid, stored)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def post_of_job(self, request: Request) -> Response:
        """Store the document with each run of its job."""
        body = await read_body(request.scope, request.receive)
        make = partial(parse_of_job, body=body, grant=grant_of(request))
        try:
            stored: list[tuple[str, bool]] = await self._handling.handle(body, make, self._writer.submit)
        except NoRunYet as error:
            raise NotFound(
                f"There is nothing to attach evidence to: {error}; send it again when the job's run is over."
            ) from None
        except SeveralRuns as error:
            raise Problem(409, f"It cannot be told which run is the job's: {error}.") from None
        self._figures.evidence.inc(sum(is_stored for _, is_stored in stored))
        answer = JobEvidenceAnswer([EvidenceAnswer(*one) for one in stored])
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def get(self, request: Request) -> Response:
        """The document in either form."""
        form = query_of(request.query_params, (_FORMAT,)).get("format", "full")
        if form not in _FORMATS:
            raise Problem(400, f"format is {form[:60]!r}; accepted are {', '.join(_FORMATS)}.")
        run_uid, scopes = request.path_params["run_uid"], grant_of(request).scopes
        ask = partial(kept_evidence, run_uid=run_uid, scopes=scopes)
        text = await self._readings.read_long(
            ask if form == "full" else lambda connection: _compat(ask(connection))
        )
        if text is None:
            if await self._readings.read(partial(find_run, run_uid=run_uid, scopes=scopes)) is None:
                raise NotFound(f"There is no run {run_uid[:64]!r}; GET /api/v1/runs lists those there are.")
            raise NotFound("No referee has attached anything to this run.")
        return Response(text, media_type="application/json")


def parse(run_uid: str, content: bytes, *, body: Body, scopes: Scopes) -> NewEvidence:
    """What is to be stored of the content of a body. Raises problems 400 and 413."""
    document, kept = _checked(content, body)
    if document.run_uid not in (None, run_uid):
        raise Problem(400, f"The field `run_uid` is not the path's; accepted are {run_uid} and null.")
    return NewEvidence(run_uid, kept, scopes)


def parse_of_job(content: bytes, *, body: Body, grant: Grant) -> NewEvidenceOfJob:
    """The same of a document that names its job. Raises problems 400, 403 and 413."""
    document, kept = _checked(content, body)
    if document.run_uid is not None:
        raise Problem(
            400,
            "The field `run_uid` is not null; with it a document goes to /api/v1/runs/{run_uid}/evidence.",
        )
    job = document.job
    for name in _NAMES:
        if not getattr(job, name):
            raise Problem(
                400, f"The field `job.{name}` is missing; the runs of a job are found by {', '.join(_NAMES)}."
            )
    encoded_job(job)
    repository = job.repository or ""
    organization = job.organization or repository.rpartition("/")[0]
    grant.check_covers(organization, repository, job.workflow, job.job)
    assert kept.begun_at is not None
    assert kept.ended_at is not None
    wanted = OneJob(organization, job, document.task, kept.begun_at, kept.ended_at)
    return NewEvidenceOfJob(wanted, kept, grant.scopes)


def _checked(content: bytes, body: Body) -> tuple[Evidence, KeptEvidence]:
    """A document, and how it is kept. Raises problems 400 and 413."""
    if len(content) > bounds.MAX_BYTES:
        raise TooLarge(bounds.MAX_BYTES, "The body without its compression")
    try:
        bounds.check_text(content)
        content.decode()  # What msgspec skips it does not look at.
        document = decode(content)
        bounds.check(document)
        weight = weight_of(document)
    except (EvidenceError, UnicodeDecodeError) as error:
        raise Problem(400, f"The body is not accepted: {error}.") from None
    if not can_be(document.task):
        raise Problem(400, "The field `task` has the character NUL in it, which is not accepted.")
    return document, KeptEvidence.of(weight, body.sent if body.gzipped else zlib.compress(content))


def _compat(text: bytes | None) -> bytes | None:
    return None if text is None else compat.encode(decode(text))
