"""Removes what is no longer kept, every hour and in bites.

After each bite it rests for longer than the bite took, so that runs are stored meanwhile as ever. Of several receivers
of one database one is at it; when that one dies, another begins anew an hour later.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from sqlalchemy import Connection

from jobmeter.model.errors import StoreError
from jobmeter.ops.log import FullLog
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.store import retention as store
from jobmeter.receiver.store.backend import Key
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.retention import Keep, RemoveParts, RemoveRuns
from jobmeter.receiver.store.space import GiveBack
from jobmeter.receiver.store.writer import Writer

_FIRST_SECONDS, _EVERY_SECONDS = 60.0, 3600.0
_REST = 4
# Of runs whose timelines are looked for at once, and of keys that are found at once.
_LOOKED_AT, _FOUND, _BITE = 2000, 10_000, 50


class Retention:
    """Keeps one database small."""

    def __init__(
        self, database: Database, writer: Writer, figures: Figures, log: FullLog, keep: Keep
    ) -> None:
        self._database = database
        self._writer = writer
        self._figures = figures
        self._log = log
        self._keep = keep
        self._removed = {"runs": 0, "timelines": 0}

    async def sweep_for_ever(self) -> None:
        """For ever, unless everything is kept; what fails is tried again an hour later."""
        if not self._keep:
            return
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            try:
                await self.sweep(int(time.time() * 1000))
            except StoreError as error:
                self._log.warn("what is no longer kept is not all removed", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def sweep(self, now: int) -> None:
        """Remove what is not kept at this time (milliseconds since 1970), unless another receiver is at it.

        Raises StoreError.
        """
        self._removed = {"runs": 0, "timelines": 0}
        began = time.monotonic()
        with ExitStack() as held:
            alone = self._database.backend.alone_at_removing()
            if not await asyncio.to_thread(held.enter_context, alone):
                return
            try:
                await self._months(now)
                await self._runs(now)
                await self._timelines(now)
                await self._until_none(partial(self._writer.submit, GiveBack()))
            finally:
                self._tell(time.monotonic() - began)
        self._figures.swept.set(now / 1000)

    async def _months(self, now: int) -> None:
        """Of all that is old at once what lies together."""
        timelines, runs = self._keep.timelines.before(now), self._keep.runs.before(now)
        dropped = await asyncio.to_thread(self._database.backend.drop_months, timelines, runs)
        self._count("timelines", dropped.timelines)
        self._count("runs", dropped.runs)

    async def _runs(self, now: int) -> None:
        before, per_job = self._keep.runs.before(now), self._keep.runs.per_job
        if before is not None:
            for started in store.starts(before, now):
                old = partial(store.old_runs, started=started, before=before, limit=_FOUND)
                await self._remove_all(old, before)
        if per_job is not None:
            await self._remove_all(partial(store.surplus_runs, per_job=per_job, limit=_FOUND), None)

    async def _timelines(self, now: int) -> None:
        before, per_job = self._keep.timelines.before(now), self._keep.timelines.per_job
        if before is not None:
            page: store.Page | None = None
            while page is None or page.last is not None:
                after = page.last if page else None
                question = partial(store.old_timelines, before=before, after=after, limit=_LOOKED_AT)
                page = await self._database.read_long(question)
                await self._remove_parts(page.found, before)
        if per_job is not None:
            surplus = partial(store.surplus_timelines, per_job=per_job, limit=_FOUND)
            await self._until_fewer(surplus, partial(self._remove_parts, before=None))

    async def _remove_all(self, question: Callable[[Connection], list[Key]], before: int | None) -> None:
        async def remove(keys: Sequence[Key]) -> int:
            await self._remove_parts(keys, before)
            gone = 0
            for place in range(0, len(keys), _BITE):
                gone += await self._bite(RemoveRuns(keys[place : place + _BITE], before))
            self._count("runs", gone)
            return gone

        await self._until_fewer(question, remove)

    async def _until_fewer(
        self, question: Callable[[Connection], list[Key]], remove: Callable[[Sequence[Key]], Awaitable[int]]
    ) -> None:
        """As long as there may be more, and any of them can be removed."""
        more = True
        while more:
            keys = await self._database.read_long(question)
            gone = await remove(keys)
            more = len(keys) == _FOUND and gone > 0

    async def _remove_parts(self, keys: Sequence[Key], before: int | None) -> int:
        """The timelines of these runs; how many are gone."""
        whole = 0
        for place in range(0, len(keys), _BITE):
            bite = keys[place : place + _BITE]
            while some := await self._database.read(partial(store.some_parts, keys=bite)):
                removed = await self._bite(RemoveParts(some, before))
                whole += removed.timelines
                self._count("timelines", removed.timelines)
                if not removed.parts:
                    break
        return whole

    async def _until_none(self, work: Callable[[], Awaitable[bool]]) -> None:
        while await self._rested(work):
            pass

    async def _bite(self, change: Any) -> Any:
        async def work() -> Any:
            return await self._writer.submit(change)

        return await self._rested(work)

    async def _rested(self, work: Callable[[], Awaitable[Any]]) -> Any:
        began = time.monotonic()
        result = await work()
        await asyncio.sleep((time.monotonic() - began) * _REST)
        return result

    def _count(self, what: str, number: int) -> None:
        self._removed[what] += number
        self._figures.removed.labels(what).inc(number)

    def _tell(self, seconds: float) -> None:
        if any(self._removed.values()):
            self._log.info("removed what is no longer kept", seconds=round(seconds, 1), **self._removed)
