"""What is asked about repositories and their jobs: the parameters, and the questions that are made of them."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, cast, get_args

from msgspec import Meta
from sqlalchemy import Connection
from starlette.requests import Request

from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import MAX_TEXT, Parameter
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.api import histories
from jobmeter.receiver.api.history_types import RepositoryDetail, RepositoryList
from jobmeter.receiver.api.job_items import JobItems
from jobmeter.receiver.api.parameters import whole
from jobmeter.receiver.store.known_jobs import JobOrder, JobUse, OfRepository, RepositoryOrder
from jobmeter.receiver.store.usages import names_of

MAX_REPOSITORIES, DEFAULT_REPOSITORIES = 500, 100
MAX_JOBS, DEFAULT_JOBS = 200, 100
JOB_ORDERS = (*get_args(RepositoryOrder), *get_args(JobUse))
_SKIP = re.compile(r"[0-9]{1,9}")
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]

_CURSOR = Parameter(
    "cursor",
    "query",
    Annotated[str, Meta(pattern=f"^{_SKIP.pattern}$")],
    "Where to go on: next_cursor of the answer before.",
)
LIST = (
    Parameter("words", "query", _Text, "Repositories whose path has this in it, in any case of letters."),
    Parameter(
        "order",
        "query",
        Annotated[RepositoryOrder, Meta(extra_json_schema={"default": "last"})],
        "By name, by the last run, or by how many runs there are.",
    ),
    Parameter(
        "limit",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_REPOSITORIES, extra_json_schema={"default": DEFAULT_REPOSITORIES})],
        "How many repositories at most.",
    ),
    _CURSOR,
)
JOBS = (
    Parameter("words", "query", _Text, "Jobs whose workflow/name has this in it, in any case of letters."),
    Parameter(
        "order",
        "query",
        Annotated[JobOrder, Meta(extra_json_schema={"default": "last"})],
        "By name, or from the highest on: when they ran last, how many runs they had, the plain median of the memory, "
        "CPU time or duration of their last 30 runs, of whatever branch and level, the memory or CPU that these "
        "reserved and did not use.",
    ),
    Parameter(
        "limit",
        "query",
        Annotated[int, Meta(ge=1, le=MAX_JOBS, extra_json_schema={"default": DEFAULT_JOBS})],
        "How many jobs at most.",
    ),
    _CURSOR,
)


def repositories_of(request: Request, query: Mapping[str, str]) -> Callable[[Connection], RepositoryList]:
    """The question for a page of repositories. Raises Problem 400."""
    order = query.get("order", "last")
    if order not in get_args(RepositoryOrder):
        raise Problem(400, f"order is {order[:60]!r}; accepted are name, last and runs.")
    return partial(
        histories.repositories,
        scopes=grant_of(request).scopes,
        words=query.get("words", ""),
        order=cast(RepositoryOrder, order),
        skip=_skipped(query),
        limit=whole(query, "limit", MAX_REPOSITORIES, DEFAULT_REPOSITORIES),
    )


def repository_of(
    request: Request, query: Mapping[str, str], items: JobItems
) -> Callable[[Connection], RepositoryDetail | None]:
    """The question for the repository of a path and a page of its jobs. Raises Problem 400."""
    organization, name, *_ = names_of(request.path_params["org"], request.path_params["repo"], None, None)
    order = query.get("order", "last")
    if order not in JOB_ORDERS:
        raise Problem(400, f"order is {order[:60]!r}; accepted are {', '.join(JOB_ORDERS)}.")
    return partial(
        histories.repository,
        of=OfRepository(grant_of(request).scopes, organization, name, query.get("words", "")),
        order=cast(JobOrder, order),
        skip=_skipped(query),
        limit=whole(query, "limit", MAX_JOBS, DEFAULT_JOBS),
        items=items,
    )


def no_repository(request: Request) -> NotFound:
    """Of one that did not run a job, or may not be seen."""
    name = f"{request.path_params['org']}/{request.path_params['repo']}"
    said = f"No job of the repository {name[:200]!r} ran"
    return NotFound(f"{said}; GET /api/v1/repositories lists those that did.", people=f"{said}.")


def _skipped(query: Mapping[str, str]) -> int:
    cursor = query.get("cursor", "0")
    if not _SKIP.fullmatch(cursor):
        raise Problem(400, f"cursor is {cursor[:60]!r}; accepted is next_cursor of an answer before.")
    return int(cursor)
