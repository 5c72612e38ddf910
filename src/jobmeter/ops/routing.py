"""The route table: what can be asked for, who may ask, and what comes back; and matching a request to it.

A path is matched as it was sent: it is cut at "/" first and each segment is decoded then, so that an
encoded slash (`org%2Frepo`) stays inside its segment. The OpenAPI document is made from the table.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jobmeter.ops.problems import MethodNotAllowed, NotFound, Problem

MAX_TEXT = 1000
"""So many characters the value of a parameter may have."""

Access = Literal["open", "read", "push", "mint", "debug"]
"""Anyone, who has the read token, or who has the push token; a token that is not set is not asked for, but by
``debug``: without the read token it is for this machine alone."""


class Parameter(NamedTuple):
    """One parameter: msgspec makes a JSON Schema of ``type``, bounds included (``Annotated[int, Meta(ge=1)]``)."""

    name: str
    place: Literal["path", "query", "header"]
    type: Any
    help: str
    required: bool = False


class Content(NamedTuple):
    """A body: what msgspec makes a JSON Schema of, or None for bytes and text, and its media type.

    ``or_type`` is what else it may be.
    """

    type: Any
    help: str
    media_type: str = "application/json"
    or_type: Any = None


class Route(NamedTuple):
    """One route. ``path`` has its variables in braces; they reach the handler as ``scope["path_params"]``.

    ``answers`` are the bodies by status code; problems are added by who writes the document. ``challenge`` is
    how a browser or a program is asked for the token: pages for people use Basic, the token being the password.
    """

    method: str
    path: str
    handler: ASGIApp
    access: Access
    summary: str
    parameters: tuple[Parameter, ...] = ()
    request: Content | None = None
    answers: Mapping[int, Content] = {}
    problems: tuple[int, ...] = ()
    challenge: Literal["Bearer", "Basic"] = "Bearer"


class Router:
    """Finds the route of a request in time that does not depend on the number of routes with other shapes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[bytes, dict[str, Route]] = {}
        self._variable: dict[int, list[tuple[tuple[str, ...], dict[str, Route]]]] = {}
        for route in self.routes:
            self._add(route)
        lists = [path for path in ("/openapi.json", "/") if path.encode() in self._fixed]
        self._hint = f"; {lists[0]} lists what there is" if lists else ""

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            self._fixed.setdefault(route.path.encode(), {})[route.method] = route
            return
        template = tuple(route.path.split("/"))
        shapes = self._variable.setdefault(len(template), [])
        for known, methods in shapes:
            if known == template:
                methods[route.method] = route
                return
        shapes.append((template, {route.method: route}))

    def match(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The route and its decoded variables. Raises NotFound or MethodNotAllowed."""
        methods, variables = self._methods(raw_path)
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            raise MethodNotAllowed(method, sorted(methods))
        return route, variables

    def _methods(self, raw_path: bytes) -> tuple[dict[str, Route], dict[str, str]]:
        fixed = self._fixed.get(raw_path)
        if fixed is not None:
            return fixed, {}
        segments = raw_path.split(b"/")
        for template, methods in self._variable.get(len(segments), ()):
            variables = _variables(template, segments)
            if variables is not None:
                return methods, variables
        raise NotFound(
            f"There is nothing at this path{self._hint}.",
            people="There is no page at this address.",
        )


def _variables(template: tuple[str, ...], segments: list[bytes]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            found[expected[1:-1]] = _decoded(expected[1:-1], segment)
        elif expected.encode() != segment:
            return None
    return found


def _decoded(name: str, segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Problem(400, f"The path's {{{name}}} is not UTF-8 once it is decoded.") from None


def query_of(parameters: QueryParams, accepted: Iterable[Parameter]) -> dict[str, str]:
    """Names and values; one that is not known or is given twice is a problem, as it would change the answer."""
    names = [parameter.name for parameter in accepted if parameter.place == "query"]
    found: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name not in names:
            listed = ", ".join(names) or "none"
            raise Problem(400, f"The parameter {name[:60]!r} is not known; accepted are {listed}.")
        if name in found:
            raise Problem(400, f"The parameter {name} is given more than once.")
        if len(value) > MAX_TEXT:
            raise Problem(
                400, f"The parameter {name} is too long; at most {MAX_TEXT} characters are accepted."
            )
        found[name] = value
    return found


def endpoint(function: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A handler that is a function from a request to a response."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        response = await function(Request(scope, receive))
        await response(scope, receive, send)

    return handle
