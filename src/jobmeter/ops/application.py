"""The application of a daemon: finds the route, asks the guard, answers problems, counts."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jobmeter.ops.answers import Answer, Outlet
from jobmeter.ops.log import Log
from jobmeter.ops.problems import Problem, Unavailable
from jobmeter.ops.routing import Route, Router, query_of


class Disconnected(Exception):
    """The client has gone before its request was complete; there is no one to answer."""


class Guard(Protocol):
    """Stands before the routes."""

    def admit(self, route: Route, scope: Scope) -> Awaitable[None] | None:
        """Let a request pass; what was found out about who asks may be put into ``scope``. Raises Problem.

        What is returned is waited for: what can be said at once shall cost nothing.
        """
        ...


class Application:
    """An ASGI application over a route table.

    A request whose answer has begun can only be cut off when something fails; any other gets a problem.
    ``answered`` is told the route's path and the status of each request. ``admit`` may count what a request
    with a body sends while it is answered. ``problem_of`` knows the daemon's own errors; of any other the client learns
    nothing but that the log tells it. ``page_of`` shows a problem to who asks for a page with a browser.
    ``headers`` are those of every answer that has none of the same name.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        guard: Guard,
        log: Log,
        *,
        answered: Callable[[str, int], None],
        admit: Callable[[Receive], AbstractContextManager[Receive]] = nullcontext,
        problem_of: Callable[[Exception], Problem | None] = lambda error: None,
        page_of: Callable[[Problem], Response] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.router = Router(routes)
        self._guard = guard
        self._log = log
        self._answered = answered
        self._outlet = Outlet()
        self._admit = admit
        self._problem_of = problem_of
        self._page_of = page_of
        self._headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises what went wrong after the answer had begun."""
        answer = Answer(send, self._outlet, self._headers)
        route: Route | None = None
        try:
            route, scope["path_params"] = self.router.match(scope["method"], scope["raw_path"])
            waiting = self._guard.admit(route, scope)
            if waiting is not None:
                await waiting
            _check_query(route, scope)
            if route.request is None:
                await route.handler(scope, receive, answer)
            else:
                with self._admit(receive) as body:
                    await route.handler(scope, body, answer)
        except Disconnected:
            answer.status = 499
        except asyncio.CancelledError:
            # The server stops and has waited long enough.
            if answer.status:
                raise
            await Unavailable("The daemon stops; try again soon.", closing=True).response()(
                scope, receive, answer
            )
        except Exception as error:
            if answer.status:
                # The answer has begun: cutting it off is the only way left to say that it is not whole.
                self._report(error)
                raise
            await self._refusal(self._problem(error), route, scope)(scope, receive, answer)
        self._answered(route.path if route else "", answer.status)

    def _problem(self, error: Exception) -> Problem:
        known = error if isinstance(error, Problem) else self._problem_of(error)
        if known is not None:
            return known
        self._report(error)
        return Problem(500, "The request could not be answered; the log says why.")

    def _refusal(self, problem: Problem, route: Route | None, scope: Scope) -> Response:
        if self._page_of is not None and _asks_for_a_page(route, scope):
            return self._page_of(problem)
        return problem.response()

    def _report(self, error: Exception) -> None:
        self._log.warn(
            "a request failed", error=repr(error), trace="".join(traceback.format_exception(error))
        )


def _asks_for_a_page(route: Route | None, scope: Scope) -> bool:
    """Whether a browser asks for a page, or for what is not there and is not below the API either."""
    if route is None and scope["raw_path"].startswith(b"/api/"):
        return False
    if route is not None and route.challenge != "Basic":
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _check_query(route: Route, scope: Scope) -> None:
    """Refuse what the route does not know; a page does so itself, and a probe may ask as it likes."""
    if scope["query_string"] and route.access != "open" and route.challenge == "Bearer":
        query_of(QueryParams(scope["query_string"]), route.parameters)
