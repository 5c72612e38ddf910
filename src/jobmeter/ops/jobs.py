"""`/debug/jobs/list`: what a daemon works on, one line a job, in the form of the runners' metrics servers."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from jobmeter.ops.routing import Content, Route, endpoint

MAX_VALUE = 1000
"""So many characters of a value are shown."""
_HEADERS = {"X-List-Version": "2", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Jobs(Protocol):
    """Who knows the jobs of a daemon."""

    async def jobs(self) -> Iterable[Mapping[str, str]]:
        """Each job that runs now: `url`, `state`, `stage` and more, as far as they are known, in this order."""
        ...


def jobs_route(known: Jobs) -> Route:
    """A line of `key=value` a job, with one blank between; in a value no blank and no line's end is left as it is."""

    async def answer(_: Request) -> Response:
        return lines_response(await known.jobs())

    return Route(
        "GET", "/debug/jobs/list", endpoint(answer), "debug", "What it works on, a job a line",
        answers={200: Content(None, "Lines of key=value.", "text/plain")},
    )  # fmt: skip


def lines_response(things: Iterable[Mapping[str, str]]) -> Response:
    """A list in that form."""
    return Response("".join(map(_line, things)), headers=_HEADERS, media_type="text/plain")


def _line(job: Mapping[str, str]) -> str:
    return " ".join(f"{key}={_shown(value)}" for key, value in job.items()) + "\n"


def _shown(value: str) -> str:
    """The value, with %XX for what would end it or cannot be shown."""
    return "".join(
        character
        if character.isprintable() and not character.isspace()
        else quote(character, errors="replace")
        for character in value[:MAX_VALUE]
    )
