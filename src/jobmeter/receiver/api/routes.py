"""The routes under /api/v1/runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jobmeter.ops.problems import NotFound
from jobmeter.ops.routing import Content, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api import answers
from jobmeter.receiver.api.parameters import (
    CURSOR,
    DEFAULT_POINTS,
    DEFAULT_RUNS,
    FILTERS,
    LIMIT,
    MAX_POINTS,
    MAX_RUNS,
    POINTS,
    RESOLUTION,
    RUN_UID,
    filter_of,
    resolution_of,
    row_before,
    whole,
)
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.timelines import timeline_of
from jobmeter.receiver.api.types import RunDetail, RunList, RunTimeline
from jobmeter.receiver.store.backend import Key
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.queries import find_run, next_part, without_lines
from jobmeter.report.tables import render_csv

_LIST = (*FILTERS, LIMIT, CURSOR)
_TIMELINE = (POINTS, RESOLUTION)


class RunsApi:
    """Answers questions about runs from one database."""

    def __init__(self, readings: Readings, catch_up: Callable[[], Awaitable[None]]) -> None:
        """``catch_up`` has the database told how runs ended that just did."""
        self._readings = readings
        self._catch_up = catch_up

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes."""
        return (
            Route(
                "GET", "/api/v1/runs", endpoint(self.list_runs), "read", "Runs, newest first",
                parameters=_LIST,
                answers={200: Content(RunList, "The runs.")},
                problems=(400,),
            ),
            Route(
                "GET", "/api/v1/runs/{run_uid}", endpoint(self.one_run), "read", "One run and its summary",
                parameters=(RUN_UID,),
                answers={200: Content(RunDetail, "The run.")},
                problems=(400, 404, 503),
            ),
            Route(
                "GET", "/api/v1/runs/{run_uid}/timeline", endpoint(self.timeline), "read",
                "The course of one run: lowest, mean and highest value in buckets of time",
                parameters=(RUN_UID, *_TIMELINE),
                answers={200: Content(RunTimeline, "The buckets.")},
                problems=(400, 404, 503),
            ),
            Route(
                "GET", "/api/v1/runs/{run_uid}/timeline.csv", endpoint(self.timeline_csv), "read",
                "The course of one run as CSV: one row per container and bucket, without a course one per container",
                parameters=(RUN_UID, *_TIMELINE),
                answers={200: Content(None, "The columns of `jobmeter report --format=csv`.", "text/csv")},
                problems=(400, 404, 503),
            ),
            Route(
                "GET", "/api/v1/runs/{run_uid}/records", endpoint(self.run_records), "read",
                "The records of a streamed run as they were sent: a journal that `jobmeter report` reads",
                parameters=(RUN_UID,),
                answers={200: Content(None, "One JSON record a line.", "application/x-ndjson")},
                problems=(400, 404),
            ),
        )  # fmt: skip

    async def list_runs(self, request: Request) -> Response:
        """Runs of a filter, newest first."""
        query = query_of(request.query_params, _LIST)
        wanted = filter_of(query)._replace(scopes=grant_of(request).scopes)
        limit = whole(query, "limit", MAX_RUNS, DEFAULT_RUNS)
        before = row_before(query)
        if wanted.ended is not None:
            await self._catch_up()
        return _json(
            await self._readings.read(partial(answers.list_runs, wanted=wanted, before=before, limit=limit))
        )

    async def one_run(self, request: Request) -> Response:
        """One run and its summary, which passes through as it was sent where that is a summary."""
        found = await self._readings.describe(_uid(request), grant_of(request).scopes)
        if found is None:
            raise _unknown(request)
        if found.raw is None:
            return _json(found.detail)
        return _json(msgspec.structs.asdict(found.detail) | {"summary": msgspec.Raw(found.raw)})

    async def timeline(self, request: Request) -> Response:
        """The course of a run in buckets."""
        points, resolution = _fineness(request)
        course = await self._readings.course(
            _uid(request), points=points, resolution_seconds=resolution, scopes=grant_of(request).scopes
        )
        if course is None:
            raise _unknown(request)
        return _json(course)

    async def timeline_csv(self, request: Request) -> Response:
        """The same as rows for spreadsheets and notebooks."""
        points, resolution = _fineness(request)
        shown = await self._readings.show(
            _uid(request), points=points, resolution_seconds=resolution, scopes=grant_of(request).scopes
        )
        if shown is None:
            raise _unknown(request)
        found, course = shown
        if found.detail.summary is None:
            raise NotFound(
                "Nothing can be told of this run yet, or what was sent is no summary of this version."
            )
        text = render_csv(found.detail.summary, timeline_of(course))
        headers = {"Content-Disposition": 'attachment; filename="run.csv"'}
        return Response(text, headers=headers, media_type="text/csv")

    async def run_records(self, request: Request) -> Response:
        """The parts of a run, one after the other, so that no reader stands in the way of the writer for long."""
        run = await self._readings.read(
            partial(find_run, run_uid=_uid(request), scopes=grant_of(request).scopes)
        )
        if run is None:
            raise _unknown(request)
        return StreamingResponse(self._parts(run.key), media_type="application/x-ndjson")

    async def _parts(self, key: Key) -> AsyncIterator[bytes]:
        sequence = 0
        while True:
            part = await self._readings.read(partial(next_part, key=key, sequence=sequence))
            if part is None:
                return
            sequence = part.next_sequence
            for piece in without_lines(unpacked(part.body), part.skip):
                yield piece


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _fineness(request: Request) -> tuple[int, float | None]:
    """How many buckets at most, and how long they are if that was asked for."""
    query = query_of(request.query_params, _TIMELINE)
    resolution = resolution_of(query)
    default = DEFAULT_POINTS if resolution is None else MAX_POINTS
    return whole(query, "points", MAX_POINTS, default), resolution


def _uid(request: Request) -> str:
    uid: str = request.path_params["run_uid"]
    return uid


def _unknown(request: Request) -> NotFound:
    return NotFound(f"There is no run {_uid(request)[:64]!r}; GET /api/v1/runs lists those there are.")
