"""Server-sent events: what a page that is looked at is told while it is open.

Who listens asks for what is new when it has taken what was sent before, so that a slow one is sent less and holds
nothing up. The specification: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jobmeter.model.errors import StoreError
from jobmeter.receiver.live import Live, Now
from jobmeter.receiver.pages.now import now_lead, now_rows
from jobmeter.receiver.store.scopes import Scopes

# Then a browser asks again, and it is looked anew whether it may.
_MOST_SECONDS = 600.0
_ALIVE_SECONDS = 15.0
_MOST_GROUPS = 64
_BEGIN = b"retry: 3000\n\n"
_ALIVE = b":\n\n"


def events(request: Request, pieces: AsyncIterator[bytes]) -> Response:
    """A stream of events; who asks for its head alone gets no more."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="text/event-stream")
    return StreamingResponse(pieces, headers=headers, media_type="text/event-stream")


class NowEvents:
    """What pages with running jobs are told: made once for all of them."""

    def __init__(self, live: Live, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._clock = clock
        self._newest: dict[Scopes, tuple[Now, bytes]] = {}

    async def stream(self, scopes: Scopes) -> AsyncIterator[bytes]:
        """The rows of the running jobs, each time that they were read anew."""
        end = self._clock() + _MOST_SECONDS
        told: Now | None = None
        with self._live.listening():
            yield _BEGIN
            while self._clock() < end:
                with suppress(StoreError):  # Who listens waits until the database can be read again.
                    now = await self._live.now(scopes)
                    if now is not told:
                        told = now
                        yield self._event(scopes, now)
                if not await self._live.pause():
                    return

    def _event(self, scopes: Scopes, now: Now) -> bytes:
        known = self._newest.get(scopes)
        if known is not None and known[0] is now:
            return known[1]
        if len(self._newest) >= _MOST_GROUPS:
            self._newest.clear()
        made = _event({"lead": now_lead(now), "rows": list(now_rows(now).values())})
        self._newest[scopes] = now, made
        return made


async def run_events(
    live: Live, run_uid: str, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """That something new is there of a run, until it is over."""
    begun = clock()
    told: tuple[bool, int] | None = None
    news, heard = told, begun
    with live.listening(run_uid):
        yield _BEGIN
        while clock() < begun + _MOST_SECONDS:
            with suppress(StoreError):
                stage = await live.stage(run_uid)
                news = (stage.state == "running", stage.next_sequence) if stage else (False, 0)
            if news is not None and news != told:
                told, heard = news, clock()
                yield _event({"running": news[0], "next_sequence": news[1]})
                if not news[0]:
                    return
            elif clock() - heard > _ALIVE_SECONDS:
                heard = clock()
                yield _ALIVE
            if not await live.pause():
                return


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
