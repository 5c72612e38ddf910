"""The files that pages need: served under /assets, with a hash of what is in them in their address.

An address never means anything else, so that a browser keeps what it has got for ever.
"""

import gzip
from functools import cache
from hashlib import sha256
from importlib.resources import files

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.ops.problems import NotFound
from jobmeter.ops.routing import Content, Parameter, Route, endpoint
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.style import PAGE_STYLE

STYLE, SCRIPT, ICON = "page.css", "page.js", "icon.svg"
_ROOT = "/assets/"
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_NAME = Parameter("name", "path", str, "The file.", required=True)


class Asset(Struct, frozen=True):
    """A file and where it is: its name has a hash of its text."""

    address: str
    packed: bytes


@cache
def asset(name: str) -> Asset:
    """One of our own files, made when it is first asked for."""
    text = PAGE_STYLE if name == STYLE else files(__package__).joinpath("static", name).read_text("utf-8")
    stem, _, kind = name.rpartition(".")
    digest = sha256(text.encode()).hexdigest()[:16]
    return Asset(f"{_ROOT}{stem}.{digest}.{kind}", gzip.compress(text.encode(), mtime=0))


class Assets:
    """Serves our own files, and the script that draws charts where its library is installed."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    def routes(self) -> tuple[Route, ...]:
        """The route of all of them; there is nothing secret in them, and a login form needs them too."""
        return (
            Route(
                "GET", _ROOT + "{name}", endpoint(self.one), "open", "A file that pages need",
                parameters=(_NAME,),
                answers={200: Content(None, "The file.", "text/javascript")},
                problems=(404, 503),
            ),
        )  # fmt: skip

    async def one(self, request: Request) -> Response:
        """The file of an address that a page of this version has named."""
        path = _ROOT + request.path_params["name"]
        if path == self._drawing.script_address:
            return _answer(request, path, await self._drawing.script())
        for name in (STYLE, SCRIPT, ICON):
            if path == asset(name).address:
                return _answer(request, path, asset(name).packed)
        raise NotFound("There is no such file in this version; load the page again.")


def _answer(request: Request, path: str, packed: bytes) -> Response:
    """The file, compressed for who takes that."""
    media_type = _TYPES[path.rpartition(".")[2]]
    headers = _HEADERS | {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=media_type)
    return Response(gzip.decompress(packed), headers=headers, media_type=media_type)
