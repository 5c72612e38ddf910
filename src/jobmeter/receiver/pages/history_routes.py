"""The routes of the pages of history: repositories, jobs, sizing, comparisons, the fleet."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Literal, cast

from msgspec import Meta
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.summary import Summary
from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import MAX_TEXT, Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api import histories
from jobmeter.receiver.api.answers import describe_run
from jobmeter.receiver.api.history import (
    CURSOR,
    DAYS,
    LEG,
    PATH,
    REF,
    RUN_SIDES,
    SIDES,
    History,
    branches_compared,
    fleet_of,
    job_names,
    no_pair,
    question_of,
    runs_compared,
)
from jobmeter.receiver.api.history_types import JobHistory
from jobmeter.receiver.api.repositories import JOBS, LIST, no_repository, repositories_of, repository_of
from jobmeter.receiver.api.sizing import SIZING_QUERY, advice_of, parameters_of, path_names
from jobmeter.receiver.pages import compare, fleet, history, repositories, sizing
from jobmeter.receiver.pages.charts import Pair, Width, picture_response
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history_parts import job_trail, name_of
from jobmeter.receiver.pages.layout import Crumb, page
from jobmeter.receiver.pages.routes import page_endpoint
from jobmeter.receiver.store.history import Ended, refs_and_legs_of
from jobmeter.receiver.store.known_jobs import KnownJob, find_job
from jobmeter.receiver.store.scopes import covered_job

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]


def _or_empty(parameter: Parameter) -> Parameter:
    """A field of a form: left empty it asks for nothing."""
    return parameter._replace(required=False, type=parameter.type | Literal[""])


_WINDOW = Parameter("runs", "query", Literal["", "50", "200", "1000"], "How many runs.")
_ENDED = Parameter("ended", "query", Literal["", Ended], "Which by their end.")
_JOB = (REF, LEG, _ENDED, _WINDOW, _or_empty(CURSOR))
_KEY = Parameter("key", "path", str, "Which chart.", required=True)
_WIDTH = Parameter("width", "query", Literal["wide", "narrow"], "For which screens.")
_PAGE = Content(None, "A page.", "text/html")
_PICTURE = Content(None, "The picture.", "image/svg+xml")
_JOB_PATH = "/jobs/{org}/{repo}/{workflow}/{job}"
_SIDES = tuple(_or_empty(parameter) for parameter in RUN_SIDES)
_DAYS = tuple(_or_empty(parameter) for parameter in DAYS)
_LIST = tuple(_or_empty(parameter) for parameter in LIST)
_JOBS = tuple(_or_empty(parameter) for parameter in JOBS)
# Of the newest runs of a job, for choices.
_NAMED_RUNS, _MAX_NAMES = 300, 40


class HistoryPages:
    """Shows history to people."""

    def __init__(self, history: History, drawing: Drawing) -> None:
        self._history = history
        self._drawing = drawing

    def routes(self) -> tuple[Route, ...]:
        """The table of these pages."""
        return (
            _page("/repositories", self.repositories, "Repositories, as a page", _LIST),
            _page(
                "/repositories/{org}/{repo}", self.repository, "A repository, as a page", (*PATH[:2], *_JOBS),
                404,
            ),
            _page(_JOB_PATH, self.job, "A job over its runs, as a page", (*PATH, *_JOB), 404),
            _page(
                f"{_JOB_PATH}/sizing", self.sizing, "What a job should request, as a page", (*PATH, *SIZING_QUERY),
                404,
            ),
            _page(
                f"{_JOB_PATH}/compare", self.branches, "Two branches compared, as a page", (*PATH, *SIDES, LEG),
                404,
            ),
            _page("/compare", self.compare, "Two runs compared, as a page", _SIDES, 404),
            _page("/fleet", self.fleet, "The fleet, as a page", _DAYS),
        )  # fmt: skip

    def parts(self) -> tuple[Route, ...]:
        """What pages ask for themselves."""
        return (
            _picture(f"{_JOB_PATH}/charts/{{key}}", self.job_picture, (*PATH, _KEY, _WIDTH, *_JOB)),
            _picture("/fleet/charts/{key}", self.fleet_picture, (_KEY, _WIDTH, *_DAYS)),
        )

    async def repositories(self, request: Request) -> Response:
        """Repositories."""
        query = _told(request, LIST)
        found = await self._history.read(repositories_of(request, query))
        return page("Repositories", repositories.repositories_body(found, query), here="repositories")

    async def repository(self, request: Request) -> Response:
        """The jobs of one."""
        query = _told(request, JOBS)
        found = await self._history.read(repository_of(request, query, self._history.items))
        if found is None:
            raise no_repository(request)
        name = f"{found.organization}/{found.repository}"
        trail = [Crumb("Repositories", "/repositories"), Crumb(name)]
        return page(name, repositories.repository_body(found, query), here="repositories", trail=trail)

    async def job(self, request: Request) -> Response:
        """A job over its runs."""
        query = _told(request, _JOB)
        found, (refs, legs) = await self._history.read(_job_asked(request, query))
        return page(
            " · ".join((found.job, f"{found.organization}/{found.repository}")),
            history.history_body(found, refs, legs, query, self._drawing),
            here="repositories",
            trail=job_trail(history.names_of_history(found)),
            drawing_script=self._drawing.script_address,
        )

    async def job_picture(self, request: Request) -> Response:
        """Its chart, for who runs no scripts."""
        query = _told(request, (*_JOB, _WIDTH))
        found, _ = await self._history.read(_job_asked(request, query))
        return await self._drawn(request, query, history.history_charts(found))

    async def sizing(self, request: Request) -> Response:
        """What it should request."""
        query = _told(request, SIZING_QUERY)
        scopes = grant_of(request).scopes
        ask = partial(advice_of, names=path_names(request), parameters=parameters_of(query), scopes=scopes)
        await self._history.read(partial(_known_job, request=request))
        advice = await self._history.read(ask)
        names = job_names(request)
        body = sizing.sizing_body(names, advice, query)
        return page(
            f"Sizing · {names[3]}", body, here="repositories", trail=job_trail(names, "What to request")
        )

    async def compare(self, request: Request) -> Response:
        """Two runs."""
        query = _told(request, RUN_SIDES)
        if "after" not in query:
            return page("Compare two runs", compare.no_comparison_body(), here="runs", trail=_COMPARE)
        found = await self._history.read(runs_compared(request, query))
        if found is None:
            return await self._without_another(request, query)
        run_uids = (found.before.runs[0].run_uid, found.after.runs[0].run_uid)
        before, after = await self._history.read(partial(_summaries, run_uids=run_uids))
        return page(
            f"Two runs compared · {found.after.job}",
            compare.runs_body(found, before, after),
            here="repositories",
            trail=compare.runs_trail(found),
        )

    async def _without_another(self, request: Request, query: Mapping[str, str]) -> Response:
        """A run that has none before it; 404 where the run itself is not there."""
        ask = partial(histories.seen_run, scopes=grant_of(request).scopes, run_uid=query["after"])
        seen = None if "before" in query else await self._history.read(ask)
        if seen is None:
            raise no_pair(query)
        names, found = seen
        body = compare.no_run_before_body(names, found.run)
        return page("Nothing to compare with", body, here="runs", trail=_COMPARE)

    async def branches(self, request: Request) -> Response:
        """Two branches."""
        ask = branches_compared(request, _told(request, (*SIDES, LEG)))
        await self._history.read(partial(_known_job, request=request))
        found = await self._history.read(ask)
        trail = job_trail(job_names(request), "Two branches compared")
        return page(
            f"Two branches compared · {found.after.job}",
            compare.branches_body(found),
            here="repositories",
            trail=trail,
        )

    async def fleet(self, request: Request) -> Response:
        """The fleet over some days."""
        found = await self._history.read(fleet_of(request, _told(request, DAYS), self._history.prices))
        body = fleet.fleet_body(found, self._drawing)
        return page("Fleet", body, here="fleet", drawing_script=self._drawing.script_address)

    async def fleet_picture(self, request: Request) -> Response:
        """Its chart, for who runs no scripts."""
        query = _told(request, (*DAYS, _WIDTH))
        found = await self._history.read(fleet_of(request, query, self._history.prices))
        return await self._drawn(request, query, fleet.fleet_charts(found))

    async def _drawn(self, request: Request, query: Mapping[str, str], pairs: list[Pair]) -> Response:
        width = cast(Width, query.get("width", "wide"))
        for pair in pairs:
            if pair.wide.key == request.path_params["key"]:
                return await picture_response(pair.narrow if width == "narrow" else pair.wide, self._drawing)
        raise NotFound("There is no such chart.")


_COMPARE = (Crumb("Runs", "/runs"), Crumb("Compare"))


def _job_asked(
    request: Request, query: Mapping[str, str]
) -> Callable[[Connection], tuple[JobHistory, tuple[list[str], list[str]]]]:
    """The question for the page of a job: its runs, and what can be chosen among them. Raises Problem 400."""
    window = query.get("runs", history.DEFAULT_WINDOW)
    if window not in history.WINDOWS:
        raise Problem(400, f"runs is {window[:60]!r}; accepted are {', '.join(history.WINDOWS)}.")
    names, scopes, wanted = job_names(request), grant_of(request).scopes, question_of(query)

    def ask(connection: Connection) -> tuple[JobHistory, tuple[list[str], list[str]]]:
        job = _known_job(connection, request)
        found = histories.job_history(connection, names, scopes, wanted, int(window))
        return found, refs_and_legs_of(connection, job.id, _NAMED_RUNS, _MAX_NAMES)

    return ask


def _known_job(connection: Connection, request: Request) -> KnownJob:
    """The job of a path. Raises NotFound where none of its runs is over, and where it may not be seen."""
    names = job_names(request)
    job = find_job(connection, names) if covered_job(grant_of(request).scopes, names) else None
    if job is None:
        raise NotFound(f"No run of this job is over: {name_of(names)[:300]}.")
    return job


def _summaries(connection: Connection, run_uids: tuple[str, str]) -> tuple[Summary | None, ...]:
    """What is to be shown of two runs that may be seen."""
    found = (describe_run(connection, run_uid) for run_uid in run_uids)
    return tuple(one.detail.summary if one else None for one in found)


def _told(request: Request, parameters: tuple[Parameter, ...]) -> dict[str, str]:
    """What is asked for; a field of a form that was left empty asks for nothing."""
    found = query_of(request.query_params, parameters)
    return {name: value for name, value in found.items() if value}


def _page(
    path: str,
    handler: Callable[[Request], Awaitable[Response]],
    summary: str,
    parameters: tuple[Parameter, ...],
    *problems: int,
) -> Route:
    return Route(
        "GET", path, page_endpoint(handler), "read", summary,
        parameters=parameters,
        answers=dict.fromkeys((200, 400, *problems, 503), _PAGE),
        # A path without a name is no page's.
        problems=(404,),
        challenge="Basic",
    )  # fmt: skip


def _picture(
    path: str, handler: Callable[[Request], Awaitable[Response]], parameters: tuple[Parameter, ...]
) -> Route:
    return Route(
        "GET", path, endpoint(handler), "read", "A chart as a picture",
        parameters=parameters,
        answers={200: _PICTURE},
        problems=(400, 404, 500, 503),
    )  # fmt: skip
