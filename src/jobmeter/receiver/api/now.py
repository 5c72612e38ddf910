"""The route of what happens now."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jobmeter.ops.routing import Content, Route, endpoint
from jobmeter.receiver.access.grant import grant_of
from jobmeter.receiver.live import Live, Now


class NowApi:
    """Answers what happens now."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def routes(self) -> tuple[Route, ...]:
        """The table of this one route."""
        return (
            Route(
                "GET", "/api/v1/now", endpoint(self.now), "read",
                "The jobs that run, with what they use now; read anew every two seconds at most",
                answers={200: Content(Now, "The jobs.")},
            ),
        )  # fmt: skip

    async def now(self, request: Request) -> Response:
        """The jobs that run."""
        found = await self._live.now(grant_of(request).scopes)
        return Response(msgspec.json.encode(found), media_type="application/json")
