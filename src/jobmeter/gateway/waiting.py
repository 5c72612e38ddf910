"""What a forge's REST API says of jobs that wait, and what is asked for it. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from jobmeter.gateway.forges.facts import bounded_all
from jobmeter.model.errors import JobmeterError

Kind = Literal["forgejo", "gitea", "gitlab"]
PAGE_ROWS = {"forgejo": 0, "gitea": 50, "gitlab": 100}
"""So many jobs a page has; 0: all are in one answer."""


class Unreadable(JobmeterError):
    """An answer that is not what the API promises; nothing of it is in the message."""


class WaitingJob(NamedTuple):
    """A job that no runner has yet. ``blocked`` waits for other jobs, or for who may approve it.

    ``since`` is when the forge made it, in seconds since 1970; None where it does not tell.
    """

    id: str
    labels: tuple[str, ...]
    blocked: bool
    since: float | None


def target(kind: Kind, scope: str, page: int) -> str:
    """The path of one page, from 1 on, below the forge's address."""
    if kind == "gitlab":
        project = quote(scope.removeprefix("projects/"), safe="")
        states = "scope[]=pending&scope[]=waiting_for_resource"
        return f"/api/v4/projects/{project}/jobs?{states}&per_page={PAGE_ROWS[kind]}&page={page}"
    base = f"/api/v1/{quote(scope)}/actions"
    if kind == "forgejo":
        return f"{base}/runners/jobs"
    return f"{base}/jobs?status=queued&status=waiting&limit={PAGE_ROWS[kind]}&page={page}"


def credentials(kind: Kind, token: str) -> list[tuple[str, str]]:
    """The headers that show the token."""
    return [("PRIVATE-TOKEN", token)] if kind == "gitlab" else [("Authorization", f"token {token}")]


def read_waiting(kind: Kind, body: bytes, now: float) -> tuple[int, list[WaitingJob]]:
    """How many rows there are in an answer, and which of them wait. Raises Unreadable."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the answer is no JSON") from None
    rows = decoded.get("jobs") if kind == "gitea" and isinstance(decoded, dict) else decoded
    if rows is None:
        return 0, []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("the answer is no list of jobs")
    read = _READERS[kind]
    found = (read(row, now) for row in rows)
    return len(rows), [job for job in found if job is not None]


def _forgejo(row: Mapping[str, Any], _: float) -> WaitingJob | None:
    status = row.get("status")
    if status not in ("waiting", "blocked") or row.get("task_id"):
        return None
    return WaitingJob(_id(row), _labels(row.get("runs_on")), status == "blocked", None)


def _gitea(row: Mapping[str, Any], _: float) -> WaitingJob | None:
    status = row.get("status")
    if status not in ("queued", "waiting"):
        return None
    return WaitingJob(_id(row), _labels(row.get("labels")), status == "waiting", _time(row.get("created_at")))


def _gitlab(row: Mapping[str, Any], now: float) -> WaitingJob | None:
    status = row.get("status")
    if status not in ("pending", "waiting_for_resource"):
        return None
    queued = _seconds(row.get("queued_duration"))
    since = now - queued if queued is not None else _time(row.get("created_at"))
    return WaitingJob(_id(row), _labels(row.get("tag_list")), status != "pending", since)


_READERS: Mapping[Kind, Callable[[Mapping[str, Any], float], WaitingJob | None]] = {
    "forgejo": _forgejo,
    "gitea": _gitea,
    "gitlab": _gitlab,
}


def _id(row: Mapping[str, Any]) -> str:
    found = row.get("id")
    if not isinstance(found, int) or isinstance(found, bool):
        raise Unreadable("a job of the answer has no id")
    return str(found)


def _labels(told: object) -> tuple[str, ...]:
    """In their order by name, each once; a job without any runs anywhere."""
    every: Iterable[object] = told if isinstance(told, list) else ()
    return tuple(sorted(set(bounded_all(one for one in every if isinstance(one, str)))))


def _time(told: object) -> float | None:
    try:
        return datetime.fromisoformat(told).timestamp() if isinstance(told, str) else None
    except (ValueError, OverflowError):
        return None


def _seconds(told: object) -> float | None:
    if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < math.inf:
        return float(told)
    return None
