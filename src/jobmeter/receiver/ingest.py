"""`POST /api/v1/metrics`: takes one summary, in each form that is accepted, and answers when it is on disk."""

import hashlib
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.types import Receive, Scope, Send

from jobmeter.model import summary as summaries
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Parameter, Route
from jobmeter.receiver.access.grant import Grant, granted
from jobmeter.receiver.bodies import Handling, read_body
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.jobs import RunUid, encoded_job
from jobmeter.receiver.store.summaries import NewSummary, ScopedSummary
from jobmeter.receiver.store.writer import Writer
from jobmeter.receiver.times import milliseconds

Name = Annotated[str, Meta(max_length=1024)]
_MAX_KEY = 255
_HEADERS = (b"content-type", b"application/json")


class Execution(Struct, kw_only=True):
    """Which job it was; what is not known is null."""

    organization: Annotated[Name | None, Meta(description="The owner of the repository.")] = None
    repository: Annotated[Name | None, Meta(description="Its full path or its name alone.")] = None
    workflow: Annotated[Name | None, Meta(description="The workflow.")] = None
    job: Annotated[Name | None, Meta(description="The job.")] = None
    run_id: Annotated[Name | None, Meta(description="The forge's id of the run.")] = None


class Post(Struct, kw_only=True):
    """A summary and its job; one of ``run_summary``, ``summary`` and ``payload`` is there.

    In the flat form the members of ``execution`` stand beside it, or the body is the summary itself.
    """

    execution: Annotated[Execution | None, Meta(description="Which job it was.")] = None
    run_summary: Annotated[dict[str, Any] | None, Meta(description="The summary, any JSON object.")] = None
    summary: Annotated[dict[str, Any] | None, Meta(description="Another name for `run_summary`.")] = None
    payload: Annotated[dict[str, Any] | None, Meta(description="Another name for `run_summary`.")] = None
    organization: Annotated[Name | None, Meta(description="The owner of the repository.")] = None
    repository: Annotated[Name | None, Meta(description="Its full path or its name alone.")] = None
    workflow: Annotated[Name | None, Meta(description="The workflow.")] = None
    job: Annotated[Name | Job | None, Meta(description="The job; in a summary of jobmeter an object.")] = None
    run_id: Annotated[Name | None, Meta(description="The forge's id of the run.")] = None


class Stored(Struct):
    """The number of the run in this receiver."""

    id: Annotated[int, Meta(description="The same for the same run again.")]


class _Post(Post, kw_only=True):
    run_summary: Raw = Raw()  # type: ignore[assignment]
    summary: Raw = Raw()  # type: ignore[assignment]
    payload: Raw = Raw()  # type: ignore[assignment]


class _Keys(Struct, kw_only=True):
    """What is looked for by in a summary of any origin."""

    schema: str | None = None
    run_uid: RunUid | None = None
    job: Job | Name | None = None
    start_time: str | None = None


_POST = msgspec.json.Decoder(_Post)
_KEYS = msgspec.json.Decoder(_Keys)
_SUMMARY = msgspec.json.Decoder(Summary)


def routes(writer: Writer, handling: Handling, figures: Figures) -> tuple[Route, ...]:
    """The route that takes summaries."""

    async def post(scope: Scope, receive: Receive, send: Send) -> None:
        key, grant = _idempotency_key(scope), granted(scope)
        body = await read_body(scope, receive)
        make = (
            partial(parse, key=key) if grant.scopes is None else partial(parse_limited, key=key, grant=grant)
        )
        answer = b'{"id":%d}' % await handling.handle(body, make, writer.submit)
        figures.stored_summary()
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 201, "headers": [_HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})

    return (
        Route(
            "POST",
            "/api/v1/metrics",
            post,
            "push",
            "Store the summary of a run; the answer means that it is on disk.",
            (
                Parameter(
                    "Idempotency-Key",
                    "header",
                    Annotated[str, Meta(max_length=_MAX_KEY)],
                    "Makes the same post once of a summary without run_uid; without it, the whole body does.",
                ),
            ),
            Content(Post, "The summary, in the envelope of its job."),
            {201: Content(Stored, "It is on disk; the same run has the same id.")},
            (400, 403, 413, 415, 503, 507),
        ),
    )


def parse(body: bytes, key: bytes = b"") -> NewSummary:
    """What is to be stored of a body. Raises a problem 400 that names the field."""
    post = _decoded(_POST, body, "$")
    name, raw = _summary_of(post, body)
    keys = _decoded(_KEYS, raw, name)
    if keys.schema == summaries.SCHEMA:
        _decoded(_SUMMARY, raw, name)
    job = _job_of(post, keys.job)
    start = keys.start_time
    try:
        body.decode()  # What msgspec skips it does not look at.
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    return NewSummary(
        keys.run_uid or _derived_uid(body, key),
        job.forge, job.organization, job.repository, job.workflow, job.job, job.run_id, job.ref,
        None if start is None else milliseconds(start, f"The field `{name}.start_time`"),
        encoded_job(job),
        raw,
    )  # fmt: skip


def parse_limited(body: bytes, key: bytes, grant: Grant) -> ScopedSummary:
    """The same of a sender that may store some runs only, whose key is nobody else's. Raises problems 400 and 403."""
    own_key = b"\0".join((" ".join(map(str, grant.scopes or ())).encode(), key)) if key else b""
    summary = parse(body, own_key)
    grant.check_covers(summary.organization, summary.repository, summary.workflow, summary.job)
    return ScopedSummary.of(summary, grant.scopes)


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes, place: str) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        detail = str(error).replace("`$", f"`{place}")
        if isinstance(error, msgspec.ValidationError) and " at `" not in detail:
            detail += f" - at `{place}`"
        raise Problem(400, f"The body is not accepted: {detail}.") from None
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None


def _summary_of(post: _Post, body: bytes) -> tuple[str, bytes]:
    """The summary as it was sent, and the path to it."""
    for name in ("run_summary", "summary", "payload"):
        raw = bytes(getattr(post, name))
        if raw and raw != b"null":
            return f"$.{name}", raw
    if post.execution is not None:
        raise Problem(
            400,
            "The field `run_summary` is missing; accepted are run_summary, summary and payload, an object.",
        )
    return "$", body


def _job_of(post: _Post, told: Job | str | None) -> Job:
    """The whole job: what the summary says of it, named as the envelope says."""
    said = post.execution or post
    names: dict[str, Any] = {
        "organization": said.organization, "repository": said.repository, "workflow": said.workflow,
        "job": said.job if isinstance(said.job, str) else None, "run_id": said.run_id,
    }  # fmt: skip
    if not isinstance(told, Job):
        return Job(**names)
    return msgspec.structs.replace(
        told, **{name: value for name, value in names.items() if value is not None}
    )


def _idempotency_key(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            if len(value) > _MAX_KEY:
                raise Problem(
                    400, f"The header Idempotency-Key is too long; at most {_MAX_KEY} bytes are accepted."
                )
            return bytes(value)
    return b""


def _derived_uid(body: bytes, key: bytes) -> str:
    """The same for the same key, or without one for the same body: a UUID of version 8 (RFC 9562)."""
    digits = hashlib.sha256(b"key\0" + key if key else b"body\0" + body).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"
