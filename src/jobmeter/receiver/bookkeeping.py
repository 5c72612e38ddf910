"""Takes runs that ended into the tables of what was used: soon after, and at once for who asks for history.

It is work for later: after each batch it rests for longer than the batch took, so that of a core it takes at most a
fifth while many runs wait to be taken in, and none of the time in which runs are stored under load.
"""

import asyncio
import contextlib
import time
from functools import partial

from sqlalchemy import Connection

from jobmeter.model.errors import StoreError
from jobmeter.ops.log import Log
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.usages import Forget, TakeIn, Taken, changed_runs, gone_runs, position
from jobmeter.receiver.store.writer import Writer

BATCH = 200
_EVERY_SECONDS = 5.0
# All of a million runs are looked at in an hour.
_LOOKED_AT = 2000
_REST = 4
_PATIENCE_SECONDS = 1.0
# A clock may have been set back while no receiver ran.
_LOOK_BACK_MILLISECONDS = 86_400_000


class Bookkeeping:
    """Keeps history up with the runs of one database."""

    def __init__(self, database: Database, writer: Writer, log: Log) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """For ever; what fails is tried again."""
        look_back, looked_at = _LOOK_BACK_MILLISECONDS, ""
        while True:
            try:
                await self._catch_up(look_back=look_back, rest=_REST)
                look_back = 0
                looked_at = await self.forget(looked_at) or ""
            except Exception as error:  # Later is early enough.
                self._log.warn("what runs used is not kept up with them", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def catch_up(self) -> None:
        """Take in what was stored until now, if that is soon done: history is then told without the rest."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._catch_up()

    async def forget(self, after: str, limit: int = _LOOKED_AT) -> str | None:
        """Take out what was removed among so many runs with keys above one; the last key, None at the end."""
        gone, last = await self._database.read(partial(gone_runs, after=after, limit=limit))
        if gone:
            await self._writer.submit(Forget(gone))
        return last

    async def _catch_up(self, *, look_back: int = 0, rest: float = 0) -> None:
        """A batch at a time until there is none, or another receiver is at it."""
        since: int | None = None
        more = True
        while more:
            begun = time.monotonic()
            # Between two batches somebody who waits for history has a turn.
            async with self._turn:
                found = await self._database.read(partial(_changed, since=since, look_back=look_back))
                more = len(found) == BATCH
                if found:
                    since = found[-1].heard_at
                    more = await self._writer.submit(TakeIn(found)) and more
            await asyncio.sleep((time.monotonic() - begun) * rest)


def _changed(connection: Connection, since: int | None, look_back: int) -> list[Taken]:
    if since is None:
        since = position(connection, int(time.time() * 1000)) - look_back
    return changed_runs(connection, since, BATCH)
