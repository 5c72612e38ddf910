"""The routes of the pages."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
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
from jobmeter.receiver.pages.listing import FIELDS, runs_body
from jobmeter.receiver.pages.one import NAV, one_run_body, run_title
from jobmeter.receiver.pages.style import PAGE_STYLE
from jobmeter.report.html_parts import text
from jobmeter.report.html_run import document

# The fields of the form; those that were left empty ask for nothing.
_STATE = Parameter("state", "query", Literal["", "running", "finished", "lost"], "The run's state.")
_FIELDS = (*(one for one in FILTERS if one.name in FIELDS), _STATE)
_LIST = (*_FIELDS, CURSOR)
_POINTS = 240
# The one style sheet is allowed by what it says; widths of bars are attributes; nothing else is fetched or run.
_STYLE_HASH = b64encode(sha256(PAGE_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src-elem 'sha256-{_STYLE_HASH}'; style-src-attr 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_REFUSALS = {
    401: "The read token is the password, with any user name.",
    404: "There is nothing here.",
}
_PAGE = Content(None, "A page.", "text/html")


class Pages:
    """Shows the runs of one database to people."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes; who reads them in a browser is asked for the token by HTTP Basic."""
        return (
            Route(
                "GET", "/", _page(self.newest), "read", "The newest runs, as a page",
                parameters=_LIST,
                answers={200: _PAGE, 400: _PAGE},
                challenge="Basic",
            ),
            Route(
                "GET", "/runs/{run_uid}", _page(self.one), "read", "One run, as a page",
                parameters=(RUN_UID,),
                answers={200: _PAGE, 400: _PAGE, 404: _PAGE, 503: _PAGE},
                challenge="Basic",
            ),
        )  # fmt: skip

    async def newest(self, request: Request) -> Response:
        """The newest runs of a filter."""
        asked = query_of(request.query_params, _LIST)
        query = {name: value for name, value in asked.items() if value or name == CURSOR.name}
        wanted, before = filter_of(query), row_before(query)
        ask = partial(answers.list_runs, wanted=wanted, before=before, limit=DEFAULT_RUNS)
        return _html("jobmeter: runs", runs_body(await self._readings.read(ask), query))

    async def one(self, request: Request) -> Response:
        """One run with its course."""
        query_of(request.query_params, ())
        run_uid = request.path_params["run_uid"]
        found = await self._readings.describe(run_uid)
        course = await self._readings.course(run_uid, points=_POINTS)
        if found is None or course is None:
            raise NotFound(f"There is no run {run_uid[:64]!r}.")
        return _html(f"jobmeter: {run_title(found.detail)}", one_run_body(found.detail, course))


def refusal(problem: Problem) -> Response:
    """What a browser is shown of a problem that keeps it from a page."""
    return _problem_page(problem, _REFUSALS.get(problem.status, problem.detail))


def _page(function: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A handler whose problems are pages too."""

    async def answer(request: Request) -> Response:
        try:
            return await function(request)
        except Problem as problem:
            return _problem_page(problem, problem.detail)

    return endpoint(answer)


def _problem_page(problem: Problem, said: str) -> Response:
    heading = f'<h1 class="plain">{problem.status}</h1><p class="lead">{text(said)}</p>'
    return _html("jobmeter", f"{NAV}<header>{heading}</header>", problem.status, problem.headers)


def _html(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    said = _HEADERS | dict(headers or {})
    return Response(document(title, body, style=PAGE_STYLE), status, said, "text/html")
