"""The base branch's last runs of a job, asked of a receiver by its list of runs."""

from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

from msgspec import Struct

from jobmeter.apps.asking import ask
from jobmeter.model.errors import SendError
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.transport import Endpoint

_PATH = "/api/v1/runs"
_PAGE_RUNS = 100
# So many pages are looked through for runs of one leg of a matrix, and of those that ended well.
_MAX_PAGES = 20
_WHAT = "a receiver's runs"
# How a run ended that shows what the job uses; a sidecar does not see how it ended.
_WHOLE = ("success", "unknown")
_FILTERS = ("forge", "organization", "repository", "workflow", "job")


class Question(NamedTuple):
    """The last ``most`` runs of a job on ``ref`` that began before ``before`` (RFC 3339), but for ``run_uid``."""

    job: Job
    ref: str
    before: str
    run_uid: str
    most: int


class History(Protocol):
    """Knows runs of the past."""

    def runs(self, question: Question) -> list[Summary]:
        """At most as many as are asked for, newest first; only runs that ended well. Raises SendError."""


class _Item(Struct):
    run_uid: str
    job: Job = Job()
    exit_reason: str | None = None


class _Page(Struct):
    runs: list[_Item]
    next_cursor: str | None = None


class _Detail(Struct):
    summary: Summary | None = None


class ReceiverHistory:
    """Runs that a receiver has: one request for a hundred runs of the list, and one for each that is taken."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._token = token

    def runs(self, question: Question) -> list[Summary]:
        """As in ``History``; a run whose summary cannot be read is left out."""
        with closing(Endpoint(self._url, self._token)) as endpoint:
            found: list[Summary] = []
            for item in _items(endpoint, question):
                summary = _summary(endpoint, item.run_uid)
                if summary is not None:
                    found.append(summary)
                if len(found) == question.most:
                    break
            return found


def _items(endpoint: Endpoint, question: Question) -> Iterator[_Item]:
    """Runs of the list that are asked for, newest first."""
    asked = {name: value for name in _FILTERS if (value := getattr(question.job, name)) is not None}
    asked |= {"ref": question.ref, "state": "finished", "until": question.before, "limit": str(_PAGE_RUNS)}
    for _ in range(_MAX_PAGES):
        page = ask(endpoint, f"{_PATH}?{urlencode(asked)}", _Page, _WHAT)
        for item in page.runs:
            if _is_wanted(item, question):
                yield item
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor


def _is_wanted(item: _Item, question: Question) -> bool:
    """The list cannot be asked for a leg of a matrix, for names that are null, and for how runs ended."""
    job, other = question.job, item.job
    same = (other.workflow, other.job, other.matrix or {}) == (job.workflow, job.job, job.matrix or {})
    return same and item.run_uid != question.run_uid and item.exit_reason in _WHOLE


def _summary(endpoint: Endpoint, run_uid: str) -> Summary | None:
    """None of a run that was deleted meanwhile, or whose summary is none of this version."""
    try:
        return ask(endpoint, f"{_PATH}/{quote(run_uid, safe='')}", _Detail, _WHAT).summary
    except SendError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
