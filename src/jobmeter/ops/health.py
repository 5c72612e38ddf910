"""`/healthz`: the process answers. `/readyz`: it can do its work. `/debug/process/state`: in which phase it is."""

import time
from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jobmeter.ops.routing import Content, Route

Probe = Callable[[], Awaitable[str | None]]
"""Says in one sentence what keeps the daemon from its work; None when nothing does."""
Phase = Literal["starting", "running", "graceful-shutdown"]
"""The words of the runners' metrics servers."""


class Health:
    """How a daemon is.

    It is `starting` until the probe first finds nothing, then `running`, and `graceful-shutdown` once it is
    ``stopping``. It is ready while it runs; what the probe finds then counts only when it has been found for
    ``grace_seconds``.
    """

    def __init__(
        self, probe: Probe, grace_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._probe = probe
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._phase: Phase = "starting"
        self._troubled_since: float | None = None

    def stopping(self) -> None:
        """It has been told to stop."""
        self._phase = "graceful-shutdown"

    async def trouble(self) -> str | None:
        """Why it is not ready; None when it is."""
        if self._phase == "graceful-shutdown":
            return "the daemon stops"
        trouble = await self._probe()
        if trouble is None:
            self._troubled_since = None
            if self._phase == "starting":
                self._phase = "running"
            return None
        if self._phase == "starting":
            return trouble
        now = self._clock()
        if self._troubled_since is None:
            self._troubled_since = now
        return trouble if now - self._troubled_since >= self._grace_seconds else None

    def routes(self, ready: str) -> tuple[Route, ...]:
        """The table of these routes; ``ready`` says in words what it is ready for."""
        text = Content(None, "One line.", "text/plain")
        return (
            Route("GET", "/healthz", healthy, "open", "Whether the process is alive", answers={200: text}),
            Route("GET", "/readyz", readiness(self.trouble), "open", ready, answers={200: text, 503: text}),
            Route(
                "GET", "/debug/process/state", self._show_phase, "debug", "In which phase of its life it is",
                answers={200: text},
            ),
        )  # fmt: skip

    async def _show_phase(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._phase == "starting":
            await self.trouble()
        await PlainTextResponse(f"{self._phase}\n")(scope, receive, send)


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
