"""`GET /api/v1/sizing/repo/…`: what a job should request, by its newest runs or by all runs of some days."""

import re
import time
from collections.abc import Mapping
from datetime import date, timedelta
from difflib import get_close_matches
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.advise_period import advise_period
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.parameters import (
    CPU_PERCENTILES,
    MAX_BUFFER_PERCENT,
    MAX_DAYS,
    MAX_RUNS,
    CpuPercentile,
    Parameters,
)
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api.history import History
from jobmeter.receiver.api.parameters import whole
from jobmeter.receiver.store.scopes import Scopes, covered
from jobmeter.receiver.store.sizing import days_of, jobs_beside, newest_observations
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.usages import names_of

MOST_RUNS = 1000
"""So many runs of a job are looked through: for the last ones of each leg, and for the backtest."""
_DEFAULT = Parameters()
_EPOCH = date(1970, 1, 1)
# Of names in a sentence: comparing them costs the product of their lengths.
_MAX_COMPARED, _MAX_NAMED = 200, 3
Names = tuple[str, str, str, str]
# A number as JSON writes it.
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_PATH = {
    "org": "The organization.",
    "repo": "The repository: its full path with the slash encoded, or its name alone.",
    "workflow": "The workflow.",
    "job": "The job.",
}
SIZING_QUERY = (
    Parameter(
        "runs",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_RUNS, extra_json_schema={"default": _DEFAULT.runs})],
        "The last runs that are looked at, of each leg of a matrix.",
    ),
    Parameter(
        "buffer",
        "query",
        Annotated[
            float,
            Meta(ge=0, le=MAX_BUFFER_PERCENT, extra_json_schema={"default": _DEFAULT.buffer_percent}),
        ],
        "Percent added to the need of memory and to CPU.",
    ),
    Parameter(
        "cpu_percentile",
        "query",
        Annotated[CpuPercentile, Meta(extra_json_schema={"default": _DEFAULT.cpu_percentile})],
        "Which statistic of a run's CPU use is requested.",
    ),
    Parameter(
        "days",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_DAYS)],
        "All runs of the last days instead (UTC, today is one of them), those too that were removed since; "
        "`runs` says nothing then, and there is no backtest.",
    ),
)


class SizingApi:
    """Says what jobs should request, from one database."""

    def __init__(self, history: History) -> None:
        self._history = history

    def routes(self) -> tuple[Route, ...]:
        """The one route."""
        return (
            Route(
                "GET", "/api/v1/sizing/repo/{org}/{repo}/{workflow}/{job}", endpoint(self.sizing), "read",
                "What a job should request, and why",
                parameters=(
                    *(Parameter(name, "path", str, text, required=True) for name, text in _PATH.items()),
                    *SIZING_QUERY,
                ),
                answers={200: Content(Advice, "The advice; of a job without a run the default.")},
                problems=(400, 503),
            ),
        )  # fmt: skip

    async def sizing(self, request: Request) -> Response:
        """The advice for a job."""
        parameters = parameters_of(query_of(request.query_params, SIZING_QUERY))
        ask = partial(
            encoded_advice, names=path_names(request), scopes=grant_of(request).scopes, parameters=parameters
        )
        return Response(await self._history.read(ask), media_type="application/json")


def path_names(request: Request) -> Names:
    """The four names of a path, as they were sent."""
    organization, repository, workflow, job = (request.path_params[name] for name in _PATH)
    return organization, repository, workflow, job


def encoded_advice(connection: Connection, names: Names, parameters: Parameters, scopes: Scopes) -> bytes:
    """The advice as JSON."""
    return msgspec.json.encode(advice_of(connection, names, parameters, scopes))


def advice_of(connection: Connection, names: Names, parameters: Parameters, scopes: Scopes = None) -> Advice:
    """The advice for one job (organization, repository, workflow, job); of one that may not be seen the default."""
    if not covered(scopes, *names):
        return answer([], parameters)
    job = names_of(*names)
    if parameters.days is None:
        advice = answer(newest_observations(connection, job, MOST_RUNS), parameters)
    else:
        today = int(time.time() * 1000) // DAY
        days = days_of(connection, job, today - parameters.days + 1)
        advice = advise_period({_date(day): parts for day, parts in days.items()}, parameters)
    known = [] if advice.containers else jobs_beside(connection, job, scopes)
    if not known or job[2:] in known:
        return advice
    return replace(advice, meta=replace(advice.meta, reason=f"{advice.meta.reason} {_known(job, known)}"))


def _known(job: Names, known: list[tuple[str, str]]) -> str:
    """Which jobs of the repository it may have been, the most similar first, as `jobmeter size` takes them."""
    others = ["/".join(name.replace("/", "%2F") for name in names) for names in known]
    asked = "/".join(name.replace("/", "%2F") for name in job[2:])
    near = get_close_matches(asked[:_MAX_COMPARED], others, _MAX_NAMED, 0.0)
    more = f" and {len(others) - len(near):,} more" if len(others) > len(near) else ""
    return f"Known jobs of {job[0]}/{job[1]}: {', '.join(near)}{more}."


def _date(day: int) -> str:
    return (_EPOCH + timedelta(day)).isoformat()


def parameters_of(query: Mapping[str, str]) -> Parameters:
    """What is asked for, checked. Raises Problem 400."""
    cpu_percentile = query.get("cpu_percentile", _DEFAULT.cpu_percentile)
    if cpu_percentile not in CPU_PERCENTILES:
        accepted = ", ".join(CPU_PERCENTILES)
        raise Problem(400, f"cpu_percentile is {cpu_percentile[:60]!r}; accepted are {accepted}.")
    return Parameters(
        runs=whole(query, "runs", MAX_RUNS, _DEFAULT.runs),
        buffer_percent=_buffer(query),
        cpu_percentile=cpu_percentile,
        days=whole(query, "days", MAX_DAYS, 0) or None,
    )


def _buffer(query: Mapping[str, str]) -> float:
    text = query.get("buffer")
    if text is None:
        return _DEFAULT.buffer_percent
    if not (_NUMBER.fullmatch(text) and 0 <= float(text) <= MAX_BUFFER_PERCENT):
        raise Problem(
            400, f"buffer is {text[:60]!r}; accepted are percentages from 0 to {MAX_BUFFER_PERCENT}."
        )
    return float(text)
