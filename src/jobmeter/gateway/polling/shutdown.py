"""The end of all pollers, in stages: ask no more, let the tasks finish, cancel them, leave."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from jobmeter.gateway.polling.loop import Poller
from jobmeter.ops.log import Log

CANCEL_SECONDS = 60.0
"""So long a runner needs to report an end to a forge that does not answer: it gives up after about 51 s."""


class Shutdown:
    """Ends ``pollers``; ``patience_seconds`` is how long tasks may go on, and ``cancel_seconds`` be cancelled.

    ``cancel`` has the forge cancel those that nobody here runs; without it they are left to their runners. ``left`` is
    called when tasks hold slots still and are waited for no more.
    """

    def __init__(
        self,
        pollers: Collection[Poller],
        log: Log,
        *,
        patience_seconds: float,
        cancel_seconds: float = CANCEL_SECONDS,
        cancel: Callable[[], Coroutine[Any, Any, None]] | None = None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._pollers = tuple(pollers)
        self._log = log
        self._patience_seconds = patience_seconds
        self._cancel_seconds = cancel_seconds
        self._cancel = cancel
        self._left = left
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Go on to the next stage now."""
        self._hurry.set()

    async def run(self) -> bool:
        """Return when nothing runs any more; False if something goes on that cannot be cancelled.

        Who waits for all tasks of the event loop, as ``asyncio.run`` does at its end, would wait for that one for ever.
        """
        for poller in self._pollers:
            poller.stop_asking()
        if await self._within(self._patience_seconds, self._each(Poller.quiet)):
            return True
        if any(poller.held for poller in self._pollers):
            self._left()
        if self._cancel is not None:
            await self._within(self._cancel_seconds, self._cancel())
        for poller in self._pollers:
            poller.cancel()
        await self._within(self._cancel_seconds, self._each(Poller.finished))
        if all(poller.over for poller in self._pollers):
            return True
        left = [task_id for poller in self._pollers for task_id in poller.left]
        self._log.warn("the end does not wait for what cannot be cancelled", tasks=left)
        return False

    async def _within(self, seconds: float, end: Coroutine[Any, Any, None]) -> bool:
        """Whether it came within that time, and before anyone grew impatient."""
        ended = asyncio.create_task(end)
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return ended.done()
        finally:
            self._hurry.clear()
            ended.cancel()
            hurried.cancel()

    async def _each(self, end: Callable[[Poller], Awaitable[None]]) -> None:
        for poller in self._pollers:
            await end(poller)
