"""The routes of the pages."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from jobmeter.model.summarize import rfc3339_of
from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api import answers
from jobmeter.receiver.api.parameters import (
    CURSOR,
    DEFAULT_RUNS,
    FILTERS,
    RUN_UID,
    filter_of,
    row_before,
)
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.live import Live
from jobmeter.receiver.pages.assets import Assets
from jobmeter.receiver.pages.charts import Pair, picture_response, svg_response
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.events import NowEvents, events, run_events
from jobmeter.receiver.pages.evidence import evidence_part, evidence_picture
from jobmeter.receiver.pages.layout import Crumb, address, page
from jobmeter.receiver.pages.listing import FIELDS, runs_body
from jobmeter.receiver.pages.now import LATE_SECONDS, now_body
from jobmeter.receiver.pages.run import Heard, one_run_body, run_charts, run_title, run_trail
from jobmeter.receiver.pages.shown import ShownRuns
from jobmeter.receiver.store.live import Stage, stage_of
from jobmeter.receiver.store.queries import known_names
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.report.evidence_charts import EVIDENCE_KEYS
from jobmeter.report.html_parts import text

# The fields of the form; those that were left empty ask for nothing.
_STATE = Parameter("state", "query", Literal["", "running", "finished", "lost"], "The run's state.")
_ENDED = Parameter("ended", "query", Literal["", "whole", "failed"], "How the run ended.")
_FIELDS = (*(one for one in FILTERS if one.name in FIELDS), _STATE, _ENDED)
_LIST = (*_FIELDS, CURSOR)
_KEY = Parameter("key", "path", str, "Which chart.", required=True)
_WIDTH = Parameter("width", "query", Literal["wide", "narrow"], "For which screens.")
_TITLES = {
    400: "This address is not understood",
    401: "Please sign in",
    403: "Not yours to see",
    404: "Not found",
    405: "This page is only for looking at",
    429: "Too much at once",
    503: "Not now",
}
_RUNS, _REPOSITORIES = Crumb("All runs", "/runs"), Crumb("All repositories", "/repositories")
_PAGE = Content(None, "A page.", "text/html")
_OFFERED = 200
"""So many jobs are there of which the form of the list offers the names."""
_EVENTS = Content(None, "Events.", "text/event-stream")


class Pages:
    """Shows the runs of one database to people."""

    def __init__(
        self, readings: Readings, drawing: Drawing, live: Live, catch_up: Callable[[], Awaitable[None]]
    ) -> None:
        """``catch_up`` has the database told how runs ended that just did."""
        self._readings = readings
        self._catch_up = catch_up
        self._shown = ShownRuns(readings)
        self._drawing = drawing
        self._live = live
        self._now = NowEvents(live)

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes; who reads them in a browser is asked for the token by HTTP Basic."""
        return (
            Route(
                "GET", "/", page_endpoint(self.now), "read", "What runs now, as a page",
                answers={200: _PAGE, 400: _PAGE},
                challenge="Basic",
            ),
            Route(
                "GET", "/runs", page_endpoint(self.newest), "read", "The newest runs, as a page",
                parameters=_LIST,
                answers={200: _PAGE, 400: _PAGE},
                challenge="Basic",
            ),
            Route(
                "GET", "/runs/{run_uid}", page_endpoint(self.one), "read", "One run, as a page",
                parameters=(RUN_UID,),
                answers={200: _PAGE, 400: _PAGE, 404: _PAGE, 503: _PAGE},
                # A path without a name is no page's.
                problems=(404,),
                challenge="Basic",
            ),
        )  # fmt: skip

    def parts(self) -> tuple[Route, ...]:
        """What pages ask for themselves: no part of what is promised to programs."""
        return (
            *Assets(self._drawing).routes(),
            Route(
                "GET", "/runs/{run_uid}/charts/{key}", endpoint(self.picture), "read", "A chart as a picture",
                parameters=(RUN_UID, _KEY, _WIDTH),
                answers={200: Content(None, "The picture.", "image/svg+xml")},
                problems=(400, 404, 500, 503),
            ),
            Route(
                "GET", "/now/events", endpoint(self.now_events), "read", "The running jobs as they change",
                answers={200: _EVENTS}, problems=(503,),
            ),
            Route(
                "GET", "/runs/{run_uid}/events", endpoint(self.run_events), "read", "When a run has news",
                parameters=(RUN_UID,), answers={200: _EVENTS}, problems=(404, 503),
            ),
        )  # fmt: skip

    async def now(self, request: Request) -> Response:
        """The running jobs."""
        query_of(request.query_params, ())
        return page("Now", now_body(await self._live.now(grant_of(request).scopes)), here="now")

    async def now_events(self, request: Request) -> Response:
        """The running jobs, for as long as the page is open."""
        self._live.check_room()
        return events(request, self._now.stream(grant_of(request).scopes))

    async def run_events(self, request: Request) -> Response:
        """That a run has news."""
        run_uid = request.path_params["run_uid"]
        seen = partial(stage_of, run_uid=run_uid, scopes=grant_of(request).scopes)
        if await self._readings.read(seen) is None:
            raise _no_run(run_uid)
        self._live.check_room()
        return events(request, run_events(self._live, run_uid))

    async def newest(self, request: Request) -> Response:
        """The newest runs of a filter."""
        asked = query_of(request.query_params, _LIST)
        query = {name: value for name, value in asked.items() if value or name == CURSOR.name}
        wanted = filter_of(query)._replace(scopes=grant_of(request).scopes)
        before = row_before(query)
        if wanted.ended is not None:
            await self._catch_up()
        ask = partial(answers.list_runs, wanted=wanted, before=before, limit=DEFAULT_RUNS)
        found = await self._readings.read(ask)
        known = await self._readings.read(partial(known_names, scopes=wanted.scopes, limit=_OFFERED))
        running = {}
        if any(item.state == "running" for item in found.runs):
            running = {job.run_uid: job for job in (await self._live.now(wanted.scopes)).jobs}
        return page("Runs", runs_body(found, query, known, running), here="runs")

    async def one(self, request: Request) -> Response:
        """One run with its course."""
        query_of(request.query_params, ())
        run_uid = request.path_params["run_uid"]
        shown = await self._shown.run(run_uid, grant_of(request).scopes)
        if shown is None:
            raise _no_run(run_uid)
        found, course, stage = shown
        evidence = await evidence_part(self._readings, run_uid, grant_of(request).scopes, self._drawing)
        return page(
            run_title(found.detail),
            one_run_body(found.detail, course, self._drawing, self._heard(stage), evidence),
            here="runs",
            trail=run_trail(found.detail),
            drawing_script=self._drawing.script_address,
        )

    def _heard(self, stage: Stage) -> Heard:
        """What is to be said of how far a run has come."""
        silent = stage.state == "running" and time.time() - stage.heard_at / 1000 >= LATE_SECONDS
        listening_since = self._live.listening_since
        return Heard(
            records=stage.next_sequence,
            silent_since=rfc3339_of(stage.heard_at / 1000) if silent else None,
            lost_after_seconds=self._live.lost_after_seconds,
            counted_from=rfc3339_of(listening_since) if stage.heard_at / 1000 < listening_since else None,
        )

    async def picture(self, request: Request) -> Response:
        """One chart of a run, for who runs no scripts."""
        width = query_of(request.query_params, (_WIDTH,)).get("width", "wide")
        if width not in ("wide", "narrow"):
            raise Problem(400, f"width is {width[:40]!r}; accepted are wide and narrow.")
        run_uid, key = request.path_params["run_uid"], request.path_params["key"]
        scopes = grant_of(request).scopes
        if key.startswith(EVIDENCE_KEYS):
            drawn = await evidence_picture(
                self._readings, run_uid, scopes, self._drawing, key=key, narrow=width == "narrow"
            )
            if drawn is not None:
                return svg_response(drawn)
        for pair in await self._charts(run_uid, scopes):
            if pair.wide.key == key:
                return await picture_response(pair.narrow if width == "narrow" else pair.wide, self._drawing)
        raise NotFound(f"The run has no chart {key[:40]!r}.")

    async def _charts(self, run_uid: str, scopes: Scopes) -> list[Pair]:
        shown = await self._shown.run(run_uid, scopes)
        if shown is None:
            raise _no_run(run_uid)
        summary = shown.found.detail.summary
        return [] if summary is None else run_charts(summary, shown.course)


def refusal(problem: Problem) -> Response:
    """What a browser is shown of a problem that keeps it from a page."""
    return problem_page(
        problem, [Crumb("Sign in", "/login")] if problem.status == 401 else [_RUNS, _REPOSITORIES]
    )


def page_endpoint(function: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A handler whose problems are pages too."""

    async def answer(request: Request) -> Response:
        try:
            return await function(request)
        except Problem as problem:
            return problem_page(problem, _ways_on(problem, request))

    return endpoint(answer)


def problem_page(problem: Problem, ways_on: Sequence[Crumb]) -> Response:
    """A problem in words, and where to go from it."""
    title = _TITLES.get(problem.status, "That did not work")
    links = "".join(f'<a href="{text(way.address)}">{text(way.name)}</a>' for way in ways_on)
    body = (
        f'<header><p class="over">{problem.status}</p><h1 class="plain">{title}</h1>'
        f'<p class="lead">{text(problem.people)}</p></header><nav class="pager" aria-label="Elsewhere">{links}</nav>'
    )
    return page(title, body, status=problem.status, headers=problem.headers)


def _ways_on(problem: Problem, request: Request) -> list[Crumb]:
    """Where somebody may have wanted to go: the same without parameters, or what is above it."""
    names, ways = request.path_params, [_RUNS, _REPOSITORIES]
    if problem.status == 400:
        path = quote(request.scope["raw_path"].decode("latin-1"), safe="/%")
        return [Crumb("This page without parameters", path), *ways]
    if "workflow" in names:
        return [
            Crumb(f"{names['org']}/{names['repo']}", address("repositories", names["org"], names["repo"])),
            *ways,
        ]
    return ways


def _no_run(run_uid: str) -> NotFound:
    return NotFound(f"There is no run {run_uid[:64]!r}.")
