"""The base branch's last runs of a job, asked of a receiver by the history of that job."""

from contextlib import closing
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from msgspec import Struct

from jobmeter.apps.asking import ask
from jobmeter.model.history.digest import PastRun
from jobmeter.model.job import Job
from jobmeter.model.sizing.observation import leg_name
from jobmeter.transport import Endpoint

_PATH = "/api/v1/history"
# The receiver looks through many runs at a time, so that one page is enough but for what it left out.
_MAX_PAGES = 3
_WHAT = "a receiver's history"
_NAMES = ("organization", "repository", "workflow", "job")


class Question(NamedTuple):
    """The last ``most`` runs of a job on ``ref`` that began before ``before`` (RFC 3339), but for ``run_uid``."""

    job: Job
    ref: str
    before: str
    run_uid: str
    most: int


class History(Protocol):
    """Knows runs of the past."""

    def runs(self, question: Question) -> list[PastRun]:
        """At most as many as are asked for, newest first; only runs that ended well. Raises SendError."""


class _Page(Struct):
    runs: list[PastRun]
    next_cursor: str | None = None


class ReceiverHistory:
    """Runs that a receiver has: one request for all of them."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._token = token

    def runs(self, question: Question) -> list[PastRun]:
        """As in ``History``."""
        asked = {name: value for name in _NAMES if (value := getattr(question.job, name)) is not None}
        asked |= {
            "ref": question.ref,
            "leg": leg_name(question.job.matrix),
            "ended": "whole",
            "until": question.before,
            # The run itself may be among them.
            "limit": str(question.most + 1),
        }
        found: list[PastRun] = []
        with closing(Endpoint(self._url, self._token)) as endpoint:
            for _ in range(_MAX_PAGES):
                page = ask(endpoint, f"{_PATH}?{urlencode(asked)}", _Page, _WHAT)
                found += [run for run in page.runs if run.run_uid != question.run_uid and run.is_whole]
                if len(found) >= question.most or page.next_cursor is None:
                    break
                asked["cursor"] = page.next_cursor
        return found[: question.most]
