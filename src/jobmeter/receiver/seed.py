"""`GET /api/v1/metrics/repo/…`: the summaries of one job as they were sent, newest first."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api.parameters import whole
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import SeedPage, SeedRow, runs_of_job

MAX_LIMIT = 1_000_000_000
_ROWS_AT_A_TIME = 100
_PATH = ("org", "repo", "workflow", "job")
_HELP = (
    "The organization.",
    "The repository: its full path with the slash encoded, or its name alone.",
    "The workflow.",
    "The job.",
)
_LIMIT = Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "So many of the newest.")


class StoredSummary(Struct):
    """One row: the job's names as they were sent, and the summary in ``payload``."""

    id: Annotated[int, Meta(description="The number of the run in this receiver.")]
    organization: Annotated[str | None, Meta(description="The owner of the repository.")]
    repository: Annotated[str | None, Meta(description="Its full path or its name alone.")]
    workflow: Annotated[str | None, Meta(description="The workflow.")]
    job: Annotated[str | None, Meta(description="The job.")]
    run_id: Annotated[str | None, Meta(description="The forge's id of the run.")]
    received_at: Annotated[str, Meta(description="RFC 3339 UTC, milliseconds.")]
    payload: Annotated[
        dict[str, Any], Meta(description="The summary as it was sent, unknown fields included.")
    ]


class _Row(StoredSummary, gc=False):
    payload: Raw  # type: ignore[assignment]


_ENCODER = msgspec.json.Encoder()
_Ask = Callable[[int | None, int], Awaitable[SeedPage]]


def routes(database: Database) -> tuple[Route, ...]:
    """The route that answers as seed 000 does."""

    async def summaries(request: Request) -> Response:
        limit = whole(query_of(request.query_params, (_LIMIT,)), "limit", MAX_LIMIT, MAX_LIMIT)
        org, repo, workflow, job = (request.path_params[name] for name in _PATH)
        if not grant_of(request).covers(org, repo, workflow, job):
            return Response(_encoded(()), media_type="application/json")

        def ask(before: int | None, left: int) -> Awaitable[SeedPage]:
            count = min(left, _ROWS_AT_A_TIME)
            return database.read(lambda asked: runs_of_job(asked, org, repo, workflow, job, before, count))

        # What is asked for most fits into one answer; more is sent as it is read.
        first = await ask(None, limit)
        if first.is_last or len(first.rows) == limit:
            return Response(_encoded(first.rows), media_type="application/json")
        return StreamingResponse(_streamed(ask, first.rows, limit), media_type="application/json")

    return (
        Route(
            "GET",
            "/api/v1/metrics/repo/{org}/{repo}/{workflow}/{job}",
            endpoint(summaries),
            "read",
            "The summaries of one job, newest first",
            (
                *(Parameter(name, "path", str, text, required=True) for name, text in zip(_PATH, _HELP, strict=True)),
                _LIMIT,
            ),
            answers={200: Content(list[StoredSummary], "The rows; none is an empty array.")},
            problems=(400,),
        ),
    )  # fmt: skip


async def _streamed(ask: _Ask, rows: list[SeedRow], left: int) -> AsyncIterator[bytes]:
    opening = b"["
    while rows:
        before, left = rows[-1].id, left - len(rows)
        piece = opening + _encoded(rows)[1:-1]
        # A client that does not read shall not keep them, too.
        rows, opening = [], b","
        yield piece
        if left:
            rows = (await ask(before, left)).rows
    yield b"]"


def _encoded(rows: Iterable[SeedRow]) -> bytes:
    """The rows as a JSON array."""
    return _ENCODER.encode([_Row(*row[:-1], Raw(row.summary)) for row in rows])
