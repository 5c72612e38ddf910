"""Takes runs that ended into the tables of what was used: soon after, and at once for who asks for history.

It is work for later: after each batch it rests for longer than the batch took, so that of a core it takes at most a
fifth while many runs wait to be taken in, and none of the time in which runs are stored under load.
"""

import asyncio
import contextlib
import math
import time
from functools import partial

from sqlalchemy import Connection

from jobmeter.model.errors import StoreError
from jobmeter.ops.log import Log
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.removed_runs import Forget, gone_runs
from jobmeter.receiver.store.usages import (
    TakeIn,
    Taken,
    TakeOut,
    changed_runs,
    position,
    reopened_runs,
    settled,
)
from jobmeter.receiver.store.writer import Writer

BATCH = 200
_EVERY_SECONDS = 5.0
# All of a million runs are looked at in an hour.
_LOOKED_AT = 2000
_REST = 4
_PATIENCE_SECONDS = 1.0
# What is stored with a time long before, by a clock that is behind.
_LOOK_BACK_EVERY_SECONDS = 300.0
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
        looked_back, looked_at = -math.inf, ""
        while True:
            try:
                if time.monotonic() - looked_back < _LOOK_BACK_EVERY_SECONDS:
                    await self._catch_up(rest=_REST)
                else:
                    begun = time.monotonic()
                    await self.look_back()
                    looked_back = begun
                looked_at = await self.forget(looked_at) or ""
            except StoreError as error:  # Later is early enough.
                self._log.warn("what runs used is not kept up with them", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def catch_up(self) -> None:
        """Take in what was stored until now, if that is soon done: history is then told without the rest."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._catch_up()

    async def look_back(self) -> None:
        """Take in what is missing of the last day."""
        _, known = await self._database.read(_position)
        await self._catch_up(since=known - _LOOK_BACK_MILLISECONDS, rest=_REST)

    async def forget(self, after: str, limit: int = _LOOKED_AT) -> str | None:
        """Take out what was removed among so many runs with keys above one; the last key, None at the end."""
        gone, last = await self._database.read(partial(gone_runs, after=after, limit=limit))
        if gone:
            await self._writer.submit(Forget(gone))
        return last

    async def _catch_up(self, *, since: int | None = None, rest: float = 0) -> None:
        """A batch at a time until there is none, or another receiver is at it; from a time on, or where it left off."""
        known: int | None = 0
        while known is not None:
            begun = time.monotonic()
            # Between two batches somebody who waits for history has a turn.
            async with self._turn:
                until = settled(_now())
                stored, found, reopened = await self._database.read(partial(_changed, since=since))
                if reopened:
                    await self._writer.submit(TakeOut(reopened))
                # An import sets it back.
                known = stored if stored >= known else None
                if known is not None and found:
                    since = found[-1].heard_at
                    until = until if len(found) < BATCH else 0
                    known = await self._writer.submit(TakeIn(found, known, until))
                if len(found) < BATCH:
                    known = None
            await asyncio.sleep((time.monotonic() - begun) * rest)


def _position(connection: Connection) -> tuple[int, int]:
    return position(connection, _now())


def _changed(connection: Connection, since: int | None) -> tuple[int, list[Taken], list[str]]:
    """Until when runs are known; of those that changed since a time, or since then, a batch; and of those that go on.

    What has set it back since that time was chosen counts.
    """
    stored, unknown = _position(connection)
    since = unknown if since is None else min(since, stored)
    return stored, changed_runs(connection, since, BATCH), reopened_runs(connection, BATCH)


def _now() -> int:
    return int(time.time() * 1000)
