"""One runner's requests for work that are under way at the forge, also those that it does not answer in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jobmeter.gateway.relay.home import Asker, Home
from jobmeter.gateway.relay.passing import Whole
from jobmeter.gateway.relay.upstream import Limits, TooLate, Unreachable

LATEST_SECONDS = 30.0
"""So long the answer of a slow forge is waited for: it may have handed a task out, which nobody else would get. A
connection that is dead keeps a runner from asking for as long.
"""


class Flights:
    """``late`` is given an answer for which nobody waits any more; ``over`` is called when none is to come."""

    def __init__(
        self, home: Home, late: Callable[[Asker, Whole], Awaitable[None]], over: Callable[[], None]
    ) -> None:
        self._home = home
        self._late = late
        self._over = over
        self._asked: set[Asker] = set()
        self._overdue: set[asyncio.Task[None]] = set()

    @property
    def overdue(self) -> bool:
        """Whether an answer may come for which nobody waits any more."""
        return bool(self._overdue)

    def is_of(self, asker: Asker) -> bool:
        """Whether the forge is asked with this one's request now."""
        return asker in self._asked

    async def ask(self, asker: Asker, body: bytes) -> Whole | None:
        """The forge's answer to this body; None if GitLab was asked and the runner has left: that is passed on.

        Raises Unreachable; of Forgejo and Gitea an answer that is too late is waited for all the same.
        """
        self._asked.add(asker)
        asking = asyncio.create_task(self._request(asker, body))
        waited = False
        try:
            if self._home.options.kind == "gitlab":
                return await self._while_it_waits(asker, asking)
            await asyncio.wait({asking}, timeout=self._home.options.fetch_seconds)
            waited = True
        finally:
            self._asked.discard(asker)
            if not waited and not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
        if not asking.done():
            self._wait_on(asker, asking)
            raise TooLate("The forge has not answered in time.")
        return asking.result()

    async def close(self) -> None:
        """Wait for nothing any more."""
        for overdue in self._overdue:
            overdue.cancel()
        await asyncio.gather(*self._overdue, return_exceptions=True)

    async def _request(self, asker: Asker, body: bytes) -> Whole:
        same = body == asker.body
        ours = self._home.options.fetch_seconds
        longest = ours if self._home.options.kind == "gitlab" else max(ours, LATEST_SECONDS)
        return await self._home.passing.ask_whole(
            asker.client, asker.raw if same else body, limits=Limits(total=longest), uncoded=not same
        )

    async def _while_it_waits(self, asker: Asker, asking: asyncio.Task[Whole]) -> Whole | None:
        while not asking.done():
            if not asker.waits:
                return None
            either: set[asyncio.Future[Any]] = {asking, asker.answer}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return asking.result()

    def _wait_on(self, asker: Asker, asking: asyncio.Task[Whole]) -> None:
        overdue = asyncio.create_task(self._hear(asker, asking))
        self._overdue.add(overdue)
        overdue.add_done_callback(self._landed)

    async def _hear(self, asker: Asker, asking: asyncio.Task[Whole]) -> None:
        try:
            whole = await asking
        except Unreachable:
            return  # That it gave no answer in time is told.
        await self._late(asker, whole)

    def _landed(self, overdue: asyncio.Task[None]) -> None:
        self._overdue.discard(overdue)
        self._over()
