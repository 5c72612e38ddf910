"""The receiver's application: finds the route, asks who it is, answers problems."""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from jobmeter.receiver.problems import Problem
from jobmeter.receiver.routing import Route, Router


class Application:
    """An ASGI application over a route table."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.router = Router(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            route, scope["path_params"] = self.router.match(scope["method"], scope["raw_path"])
            await route.handler(scope, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, send)
