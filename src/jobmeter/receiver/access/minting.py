"""`POST /api/v1/token`: makes a token with which one job stores its runs, and nothing else."""

import time
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.summarize import rfc3339_of
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Route, endpoint
from jobmeter.receiver.access.audit import Audit
from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.access.guard import Guard
from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.bodies import read_body
from jobmeter.receiver.store.scopes import Scope

_MAX_BYTES = 64 * 1024
_LEAST_SECONDS = 60
Name = Annotated[str, Meta(min_length=1, max_length=1024, pattern="^[^\\u0000]*$")]


class JobNames(Struct, kw_only=True, forbid_unknown_fields=True):
    """The job that a token is for."""

    organization: Annotated[Name, Meta(description="The owner of the repository.")]
    repository: Annotated[Name, Meta(description="Its full path or its name alone.")]
    workflow: Annotated[Name, Meta(description="The workflow.")]
    job: Annotated[Name, Meta(description="The job.")]
    expires_in_seconds: Annotated[
        Annotated[int, Meta(ge=_LEAST_SECONDS)] | None,
        Meta(
            description="How long it is to be good for: at most, and if not said, as long as the receiver allows, "
            "and no longer than the token that is sent."
        ),
    ] = None


class JobToken(Struct, kw_only=True):
    """A token that stores runs of one job, until it expires."""

    token: Annotated[str, Meta(description="Sent as `Authorization: Bearer TOKEN` with what is stored.")]
    expires_at: Annotated[str, Meta(description="RFC 3339 UTC, milliseconds.")]


_NAMES = msgspec.json.Decoder(JobNames)


def minting_route(job_tokens: JobTokens | None, longest_seconds: float, guard: Guard, audit: Audit) -> Route:
    """The route; without a key it says that there are no such tokens here."""

    async def mint(request: Request) -> Response:
        body = (await read_body(request.scope, request.receive)).content(_MAX_BYTES)
        if job_tokens is None:
            raise Problem(404, "This receiver makes no tokens of jobs: it has no --hmac-key.")
        names = _decoded(body)
        scope = Scope(
            organization=names.organization,
            repository=names.repository,
            workflow=names.workflow,
            job=names.job,
        )
        grant = grant_of(request)
        if grant.scopes is not None and not any(one.includes(scope) for one in grant.scopes):
            raise Problem(403, f"The token that was sent makes none for {scope}.")
        credential: Credential = request.scope["credential"]
        seconds = _seconds(names.expires_in_seconds, longest_seconds, credential)
        token, expires_at = job_tokens.mint(scope, seconds, credential.fingerprint)
        audit.done(
            "token minted", who=grant.who, at=guard.address_of(request.scope), job=str(scope), seconds=seconds
        )
        made = JobToken(token=token, expires_at=rfc3339_of(expires_at))
        return Response(
            msgspec.json.encode(made), 201, {"Cache-Control": "no-store"}, media_type="application/json"
        )

    return Route(
        "POST", "/api/v1/token", endpoint(mint), "mint", "Make a token that stores runs of one job, for a time",
        request=Content(JobNames, "The job."),
        answers={201: Content(JobToken, "The token; it is shown this once and stored nowhere.")},
        problems=(400, 403, 404, 413, 415),
    )  # fmt: skip


def _seconds(wanted: int | None, longest: float, credential: Credential) -> int:
    """How long a token lasts: nothing that was made with a token outlives it."""
    most = longest if credential.expires_at is None else min(longest, credential.expires_at - time.time())
    return max(0, int(most if wanted is None else min(wanted, most)))


def _decoded(body: bytes) -> JobNames:
    try:
        return _NAMES.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        raise Problem(400, f"The body is not accepted: {error}.") from None
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None
