"""The routes of history: jobs over their runs, repositories, two runs or branches compared, the fleet."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Annotated, Any, cast, get_args

import msgspec
from msgspec import Meta
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.prices import Prices
from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import MAX_TEXT, Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api import histories
from jobmeter.receiver.api.history_types import (
    Comparison,
    Fleet,
    JobHistory,
    RepositoryDetail,
    RepositoryList,
)
from jobmeter.receiver.api.job_items import JobItems
from jobmeter.receiver.api.parameters import whole
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.repositories import JOBS, LIST, no_repository, repositories_of, repository_of
from jobmeter.receiver.store.database import Answer
from jobmeter.receiver.store.history import Ended, RunQuestion
from jobmeter.receiver.store.usages import Names, names_of
from jobmeter.receiver.times import milliseconds

MAX_RUNS, DEFAULT_RUNS = 1000, 100
MAX_DAYS, DEFAULT_DAYS = 400, 30
DEFAULT_JOBS, MAX_FLEET_JOBS = 20, 200
_CURSOR = re.compile(r"(-?[0-9]{1,15}):([A-Za-z0-9._-]{1,64})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Segment = Annotated[str, Meta(min_length=1)]
_Side = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
_Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]

PATH = (
    Parameter("org", "path", _Segment, "The organization.", required=True),
    Parameter(
        "repo", "path", _Segment, "The repository: its full path with the slash encoded, or its name alone.",
        required=True,
    ),
    Parameter("workflow", "path", _Segment, "The workflow.", required=True),
    Parameter("job", "path", _Segment, "The job.", required=True),
)  # fmt: skip
_NAMES = (
    Parameter(
        "organization", "query", _Text, "The organization; not given where runs have none, as those below."
    ),
    Parameter("repository", "query", _Text, "The repository: its full path, or its name alone."),
    Parameter("workflow", "query", _Text, "The workflow."),
    Parameter("job", "query", _Text, "The job's name."),
)
CURSOR = Parameter(
    "cursor",
    "query",
    Annotated[str, Meta(pattern=f"^{_CURSOR.pattern}$")],
    "Where to go on: next_cursor of the answer before.",
)
REF = Parameter("ref", "query", _Text, "Runs of this ref alone, literally, as refs/heads/main.")
LEG = Parameter(
    "leg", "query", _Text, "Runs of this leg of the matrix, as `os=linux, python=3.12`; empty: of none."
)
_RUNS = (
    REF,
    LEG,
    Parameter(
        "ended",
        "query",
        Annotated[Ended, Meta(extra_json_schema={"default": "any"})],
        "whole: only runs that went to their end, as far as is known. failed: only runs of which it is known that they "
        "did not.",
    ),
    Parameter(
        "until",
        "query",
        Annotated[str, Meta(extra_json_schema={"format": "date-time"})],
        "Runs that began before this time, RFC 3339.",
    ),
    Parameter(
        "limit",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_RUNS, extra_json_schema={"default": DEFAULT_RUNS})],
        "How many runs at most.",
    ),
    CURSOR,
)
SIDES = (
    Parameter("before", "query", _Side, "The ref that is compared with, as refs/heads/main.", required=True),
    Parameter("after", "query", _Side, "The ref that is looked at.", required=True),
)
RUN_SIDES = (
    Parameter(
        "before",
        "query",
        _Side,
        "The key of the run that is compared with; where it is not given, the newest whole run of the same job and leg "
        "before the other: of its branch, else of any.",
    ),
    Parameter("after", "query", _Side, "The key of the run that is looked at.", required=True),
)
_BRANCHES = (
    *SIDES,
    Parameter(
        "leg",
        "query",
        _Text,
        "The leg of the matrix, as `os=linux, python=3.12`; empty: none. Not given: that of most of the runs.",
    ),
    Parameter(
        "runs",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_RUNS, extra_json_schema={"default": histories.USUAL_RUNS})],
        "The last N whole runs of each.",
    ),
)
DAYS = (
    Parameter(
        "since", "query", _Day, f"The first day, UTC; {DEFAULT_DAYS} days with the last where not given."
    ),
    Parameter(
        "until",
        "query",
        _Day,
        f"The last day, UTC; else today. Of more than {MAX_DAYS} days the last ones.",
    ),
)
_FLEET = (
    *DAYS,
    Parameter(
        "limit",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_FLEET_JOBS, extra_json_schema={"default": DEFAULT_JOBS})],
        "How many jobs at most.",
    ),
)


class History:
    """Asks one database about history, for the API and for pages; ``catch_up`` has it told of what just came."""

    def __init__(
        self, readings: Readings, catch_up: Callable[[], Awaitable[None]], prices: Prices | None
    ) -> None:
        self._readings = readings
        self._catch_up = catch_up
        self.prices = prices
        self.items = JobItems()
        self.read_long = readings.read_long

    async def read(self, question: Callable[[Connection], Answer]) -> Answer:
        """The answer of a question to the database."""
        await self._catch_up()
        return await self._readings.read(question)


class HistoryApi:
    """Answers questions about history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes."""
        job = "{org}/{repo}/{workflow}/{job}"
        return (
            _route(
                f"/api/v1/history/repo/{job}", self.of_job, "The runs of a job over time, newest first",
                (*PATH, *_RUNS), JobHistory,
            ),
            _route(
                "/api/v1/history", self.of_names, "The same of a job that may lack names",
                (*_NAMES, *_RUNS), JobHistory,
            ),
            _route(
                "/api/v1/repositories", self.repositories, "Repositories of which jobs ran", LIST, RepositoryList,
            ),
            _route(
                "/api/v1/repositories/{org}/{repo}", self.repository, "The jobs of a repository",
                (*PATH[:2], *JOBS), RepositoryDetail, 404,
            ),
            _route("/api/v1/compare", self.runs, "Two runs compared", RUN_SIDES, Comparison, 404),
            _route(
                f"/api/v1/compare/repo/{job}", self.branches, "Two branches of a job compared",
                (*PATH, *_BRANCHES), Comparison,
            ),
            _route("/api/v1/fleet", self.fleet, "What was reserved and used, and who wastes most", _FLEET, Fleet),
        )  # fmt: skip

    async def of_job(self, request: Request) -> Response:
        """The runs of one job."""
        return await self._runs(request, job_names(request), query_of(request.query_params, _RUNS))

    async def of_names(self, request: Request) -> Response:
        """The same, its names in the query."""
        query = query_of(request.query_params, (*_NAMES, *_RUNS))
        names = names_of(*(query.get(parameter.name) for parameter in _NAMES))
        return await self._runs(request, names, query)

    async def _runs(self, request: Request, names: Names, query: Mapping[str, str]) -> Response:
        ask = partial(
            histories.job_history, names=names, scopes=grant_of(request).scopes, wanted=question_of(query),
            limit=whole(query, "limit", MAX_RUNS, DEFAULT_RUNS),
        )  # fmt: skip
        return _json(await self._history.read(ask))

    async def repositories(self, request: Request) -> Response:
        """Repositories, those that ran last first."""
        query = query_of(request.query_params, LIST)
        return _json(await self._history.read(repositories_of(request, query)))

    async def repository(self, request: Request) -> Response:
        """One repository and its jobs."""
        query = query_of(request.query_params, JOBS)
        found = await self._history.read(repository_of(request, query, self._history.items))
        if found is None:
            raise no_repository(request)
        return _json(found)

    async def runs(self, request: Request) -> Response:
        """Two runs compared."""
        query = query_of(request.query_params, RUN_SIDES)
        found = await self._history.read(runs_compared(request, query))
        if found is None:
            raise no_pair(query)
        return _json(found)

    async def branches(self, request: Request) -> Response:
        """Two branches of a job compared."""
        query = query_of(request.query_params, _BRANCHES)
        return _json(await self._history.read(branches_compared(request, query)))

    async def fleet(self, request: Request) -> Response:
        """What all runs of a time used."""
        query = query_of(request.query_params, _FLEET)
        return _json(await self._history.read(fleet_of(request, query, self._history.prices)))


def job_names(request: Request) -> Names:
    """Of a path that names a job."""
    return names_of(*(request.path_params[parameter.name] for parameter in PATH))


def question_of(query: Mapping[str, str]) -> RunQuestion:
    """Which runs of a job are asked for. Raises Problem 400."""
    cursor, until, ended = query.get("cursor"), query.get("until"), query.get("ended", "any")
    if ended not in get_args(Ended):
        raise Problem(400, f"ended is {ended[:60]!r}; accepted are any, whole and failed.")
    found = None if cursor is None else _CURSOR.fullmatch(cursor)
    if cursor is not None and found is None:
        raise _no_cursor(cursor)
    return RunQuestion(
        ref=query.get("ref"),
        leg=query.get("leg"),
        ended=cast(Ended, ended),
        # A plus that was not encoded arrives as a blank.
        until=None if until is None else milliseconds(until.replace(" ", "+"), "until"),
        before=None if found is None else (int(found[1]), found[2]),
    )


def runs_compared(request: Request, query: Mapping[str, str]) -> Callable[[Connection], Comparison | None]:
    """The question for two runs. Raises Problem 400."""
    if not query.get("after"):
        raise Problem(400, "The parameter after is missing: it is the key of the run that is looked at.")
    scopes, before = grant_of(request).scopes, query.get("before")
    return partial(histories.compare_runs, scopes=scopes, before=before or None, after=query["after"])


def branches_compared(request: Request, query: Mapping[str, str]) -> Callable[[Connection], Comparison]:
    """The question for two branches of the job of a path. Raises Problem 400."""
    return partial(
        histories.compare_branches,
        names=job_names(request),
        scopes=grant_of(request).scopes,
        refs=_both(query),
        leg=query.get("leg"),
        limit=whole(query, "runs", MAX_RUNS, histories.USUAL_RUNS),
    )


def fleet_of(
    request: Request, query: Mapping[str, str], prices: Prices | None
) -> Callable[[Connection], Fleet]:
    """The question for the fleet over some days. Raises Problem 400."""
    until = _day(query, "until", histories.today())
    usual = timedelta(min(DEFAULT_DAYS - 1, (until - date.min).days))
    since, until = sorted((_day(query, "since", until - usual), until))
    since = max(since, until - timedelta(min(MAX_DAYS - 1, (until - date.min).days)))
    limit = whole(query, "limit", MAX_FLEET_JOBS, DEFAULT_JOBS)
    scopes = grant_of(request).scopes
    return partial(histories.fleet, scopes=scopes, prices=prices, since=since, until=until, limit=limit)


def no_pair(query: Mapping[str, str]) -> NotFound:
    """Where one of two runs is not there, goes on, or may not be seen; or where there is none before the other."""
    said = (
        "One of the two runs is not there or not over"
        if query.get("before")
        else "The run is not there or not over, or no whole run of its job and leg began before it"
    )
    return NotFound(f"{said}; GET /api/v1/runs lists those there are.", people=f"{said}.")


def _both(query: Mapping[str, str]) -> tuple[str, str]:
    for name in ("before", "after"):
        if not query.get(name):
            raise Problem(400, f"The parameter {name} is missing: before and after say what is compared.")
    return query["before"], query["after"]


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Problem(400, f"{name} is {text[:60]!r}; accepted is a day, as 2026-11-21.")


def _no_cursor(text: str) -> Problem:
    return Problem(400, f"cursor is {text[:60]!r}; accepted is next_cursor of an answer before.")


def _route(
    path: str,
    handler: Callable[[Request], Awaitable[Response]],
    summary: str,
    parameters: tuple[Parameter, ...],
    answer: Any,
    *problems: int,
) -> Route:
    return Route(
        "GET", path, endpoint(handler), "read", summary,
        parameters=parameters,
        answers={200: Content(answer, "The answer.")},
        problems=(400, *problems, 503),
    )  # fmt: skip


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
