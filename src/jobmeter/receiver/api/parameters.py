"""The parameters of the questions: what they accept for the document, and the checked values of a request."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from msgspec import Meta

from jobmeter.model.quantities import parse_duration
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import MAX_TEXT, Parameter
from jobmeter.receiver.store.queries import Ended, RunFilter
from jobmeter.receiver.times import milliseconds

MAX_RUNS, DEFAULT_RUNS = 1000, 50
MAX_POINTS, DEFAULT_POINTS = 5000, 480
FINEST_SECONDS = 0.01
TEXT_FILTERS = ("organization", "repository", "workflow", "job", "ref", "forge")
STATES = ("running", "finished", "lost")
ENDS = ("whole", "failed")
_RESOLUTION = re.compile(r"[0-9]{1,5}(?:ms|s|m|h)")
# The number of a row in the store, which no one else needs to know.
_CURSOR = re.compile(r"[1-9][0-9]{0,17}")

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

RUN_UID = Parameter(
    "run_uid", "path", Annotated[str, Meta(min_length=1, max_length=64)], "The run's key.", required=True
)
_MEANINGS = {
    "organization": "The organization, literally.",
    "repository": "The repository: its full path, or its name alone.",
    "workflow": "The workflow, literally.",
    "job": "The job's name, literally.",
    "ref": "The ref, as refs/heads/main or main, which is a tag of that name too.",
    "forge": "The forge: forgejo, gitea, github or gitlab.",
}
FILTERS = (
    *(Parameter(name, "query", _Text, _MEANINGS[name]) for name in TEXT_FILTERS),
    Parameter("state", "query", Literal["running", "finished", "lost"], "The run's state."),
    Parameter(
        "ended",
        "query",
        Literal["whole", "failed"],
        "whole: only runs that went to their end, as far as is known; failed: only those that are known to have "
        "failed, been killed, cancelled or lost.",
    ),
    Parameter(
        "since",
        "query",
        _Time,
        "Runs that began at this time or later, RFC 3339; those whose start is not known are left out.",
    ),
    Parameter("until", "query", _Time, "Runs that began before this time, RFC 3339."),
)
LIMIT = Parameter(
    "limit",
    "query",
    Annotated[int, Meta(ge=1, le=MAX_RUNS, extra_json_schema={"default": DEFAULT_RUNS})],
    "How many runs at most.",
)
CURSOR = Parameter(
    "cursor",
    "query",
    Annotated[str, Meta(pattern=f"^{_CURSOR.pattern}$")],
    "Where to go on: next_cursor of the answer before.",
)
POINTS = Parameter(
    "points",
    "query",
    Annotated[int, Meta(ge=1, le=MAX_POINTS, extra_json_schema={"default": DEFAULT_POINTS})],
    f"How many buckets at most; {MAX_POINTS} where a resolution is asked for.",
)
RESOLUTION = Parameter(
    "resolution",
    "query",
    Annotated[str, Meta(pattern=f"^{_RESOLUTION.pattern}$")],
    "The length of a bucket, as 500ms or 10s; doubled until `points` hold the run.",
)


def whole(query: Mapping[str, str], name: str, most: int, default: int) -> int:
    """A whole number of at least 1."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= most):
        raise Problem(400, f"{name} is {text[:60]!r}; accepted is a whole number from 1 to {most}.")
    return int(text)


def filter_of(query: Mapping[str, str]) -> RunFilter:
    """What is asked for, checked."""
    state = query.get("state")
    if state is not None and state not in STATES:
        raise Problem(400, f"state is {state[:60]!r}; accepted are {', '.join(STATES)}.")
    ended = query.get("ended")
    if ended is not None and ended not in ENDS:
        raise Problem(400, f"ended is {ended[:60]!r}; accepted are {', '.join(ENDS)}.")
    return RunFilter(
        organization=query.get("organization"),
        repository=query.get("repository"),
        workflow=query.get("workflow"),
        job=query.get("job"),
        ref=query.get("ref"),
        forge=query.get("forge"),
        state=state,
        since=_milliseconds(query, "since"),
        until=_milliseconds(query, "until"),
        ended=cast(Ended | None, ended),
    )


def resolution_of(query: Mapping[str, str]) -> float | None:
    """Seconds of a bucket; None where it is not asked for."""
    text = query.get("resolution")
    if text is None:
        return None
    if not _RESOLUTION.fullmatch(text):
        raise Problem(
            400, f"resolution is {text[:60]!r}; accepted is a whole number of ms, s, m or h, as 500ms or 10s."
        )
    return max(FINEST_SECONDS, parse_duration(text))


def cursor_after(row_id: int) -> str:
    """The cursor of what follows a row."""
    return str(row_id)


def row_before(query: Mapping[str, str]) -> int | None:
    """The row that a cursor names; None where none is given."""
    text = query.get("cursor")
    if text is None:
        return None
    if not _CURSOR.fullmatch(text):
        raise Problem(
            400,
            f"cursor is {text[:60]!r}; accepted is next_cursor of an answer before.",
            people="The list cannot go on from there: the address is not as the list made it.",
        )
    return int(text)


def _milliseconds(query: Mapping[str, str], name: str) -> int | None:
    """A time as milliseconds since 1970; one without a zone is UTC."""
    text = query.get(name)
    if text is None:
        return None
    # A plus that was not encoded arrives as a blank.
    return milliseconds(text.replace(" ", "+"), name)
