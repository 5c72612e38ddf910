"""`GET /api/v1/metrics/repo/…`: the summaries of one job as they were sent, newest first."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jobmeter.receiver.problems import Problem
from jobmeter.receiver.routing import Content, Parameter, Route, endpoint
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.queries import SeedRow, runs_of_job

MAX_LIMIT = 1_000_000_000
_ROWS_AT_A_TIME = 100
_PATH = ("org", "repo", "workflow", "job")
_HELP = (
    "The organization.",
    "The repository: its full path with the slash encoded, or its name alone.",
    "The workflow.",
    "The job.",
)


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
_Ask = Callable[[int | None, int], Awaitable[list[SeedRow]]]


def routes(database: Database) -> tuple[Route, ...]:
    """The route that answers as seed 000 does."""

    async def summaries(request: Request) -> Response:
        limit = _limit(request.query_params.get("limit"))
        org, repo, workflow, job = (request.path_params[name] for name in _PATH)

        def ask(before: int | None, limit: int) -> Awaitable[list[SeedRow]]:
            return database.read(lambda asked: runs_of_job(asked, org, repo, workflow, job, before, limit))

        # What is asked for most fits into one answer; more is sent as it is read.
        first = await ask(None, _ROWS_AT_A_TIME if limit is None else min(limit, _ROWS_AT_A_TIME))
        if len(first) < _ROWS_AT_A_TIME or limit == _ROWS_AT_A_TIME:
            return Response(_encoded(first), media_type="application/json")
        return StreamingResponse(_streamed(ask, first, limit), media_type="application/json")

    return (
        Route(
            "GET",
            "/api/v1/metrics/repo/{org}/{repo}/{workflow}/{job}",
            endpoint(summaries),
            "read",
            "The summaries of one job, newest first",
            (
                *(Parameter(name, "path", str, text, required=True) for name, text in zip(_PATH, _HELP, strict=True)),
                Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "So many of the newest."),
            ),
            answers={200: Content(list[StoredSummary], "The rows; none is an empty array.")},
            problems=(400,),
        ),
    )  # fmt: skip


async def _streamed(ask: _Ask, rows: list[SeedRow], limit: int | None) -> AsyncIterator[bytes]:
    opening, left = b"[", MAX_LIMIT if limit is None else limit
    while rows:
        yield opening + _encoded(rows)[1:-1]
        opening, left = b",", left - len(rows)
        rows = await ask(rows[-1].id, min(left, _ROWS_AT_A_TIME)) if left else []
    yield b"]"


def _encoded(rows: Iterable[SeedRow]) -> bytes:
    """The rows as a JSON array."""
    return _ENCODER.encode([_Row(*row[:-1], Raw(row.summary)) for row in rows])


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and 1 <= int(text) <= MAX_LIMIT):
        raise Problem(400, f"The parameter limit is {text[:40]!r}; accepted are 1 to {MAX_LIMIT}.")
    return int(text)
