"""The receiver's application: finds the route, asks who it is, answers problems, counts."""

import traceback
from collections.abc import Iterable
from typing import Protocol

from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope, Send

from jobmeter.model.errors import StoreError, StoreFull
from jobmeter.receiver.auth import Tokens
from jobmeter.receiver.bodies import Disconnected, Intake
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.problems import Problem, Unavailable
from jobmeter.receiver.routing import Route, Router, query_of
from jobmeter.receiver.store.writer import QueueFull


class Log(Protocol):
    """Where the operator reads what went wrong."""

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        ...


class Application:
    """An ASGI application over a route table."""

    def __init__(self, routes: Iterable[Route], tokens: Tokens, figures: Figures, log: Log) -> None:
        self.router = Router(routes)
        self._tokens = tokens
        self._figures = figures
        self._log = log
        self._intake = Intake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no error reaches the server."""
        answer = _Answer(send)
        route: Route | None = None
        try:
            route, scope["path_params"] = self.router.match(scope["method"], scope["raw_path"])
            self._tokens.check(route, scope)
            _check_query(route, scope)
            with self._intake.counting(receive) as body:
                await route.handler(scope, body, answer)
        except Disconnected:
            answer.status = 499
        except Exception as error:
            if answer.status:
                # The answer has begun: cutting it off is the only way left to say that it is not whole.
                self._report(error)
                raise
            await self._problem(error).response()(scope, receive, answer)
        self._figures.answered(route.path if route else "", answer.status)

    def _problem(self, error: Exception) -> Problem:
        match error:
            case Problem():
                return error
            case QueueFull():
                return Unavailable("More is waiting to be stored than there is room for; try again soon.")
            case StoreFull():
                self._log.warn(str(error))
                return Problem(507, "There is no room to store it; what was acknowledged before is safe.")
            case StoreError():
                self._log.warn(str(error))
                return Unavailable("The database cannot be used now; try again soon.", 5)
        self._report(error)
        return Problem(500, "The receiver has failed to answer; its log says why.")

    def _report(self, error: Exception) -> None:
        self._log.warn(
            "a request failed", error=repr(error), trace="".join(traceback.format_exception(error))
        )


def _check_query(route: Route, scope: Scope) -> None:
    """Refuse what the route does not know; a page does so itself, and a probe may ask as it likes."""
    if scope["query_string"] and route.access != "open" and route.challenge == "Bearer":
        query_of(QueryParams(scope["query_string"]), route.parameters)


class _Answer:
    """Passes an answer on and keeps its status; 0 until it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
