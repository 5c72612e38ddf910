"""`/healthz`: the process answers. `/readyz`: it can do its work."""

from collections.abc import Awaitable, Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Probe = Callable[[], Awaitable[str | None]]
"""Says in one sentence what keeps the daemon from its work; None when nothing does."""


async def healthy(scope: Scope, receive: Receive, send: Send) -> None:
    """The process is alive: always 200."""
    await PlainTextResponse("ok\n")(scope, receive, send)


def readiness(probe: Probe) -> ASGIApp:
    """200 while the probe finds nothing, else 503 with its sentence."""

    async def ready(scope: Scope, receive: Receive, send: Send) -> None:
        trouble = await probe()
        response = PlainTextResponse("ok\n") if trouble is None else PlainTextResponse(trouble + "\n", 503)
        await response(scope, receive, send)

    return ready
