"""The database of one receiver: who asks it, in which thread, with which connection."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection, Engine

from jobmeter.model.errors import StoreError, UsageError
from jobmeter.ops.log import Log
from jobmeter.receiver.store.backend import READERS, Backend
from jobmeter.receiver.store.place import is_address
from jobmeter.receiver.store.sqlite import copying, file
from jobmeter.receiver.store.sqlite.backend import Sqlite

Answer = TypeVar("Answer")

# Of what takes long. With the one merge that may be under way a reader stays free for what is short.
_LONG_AT_ONCE = 2
_KEEP_UP_SECONDS = 3600.0


class Database:
    """The database of one receiver; readers have connections of their own and never wait for the writer."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        # Answers that nobody has taken up yet are no more than readers.
        self._room = asyncio.Semaphore(READERS)
        self._room_for_long = asyncio.Semaphore(_LONG_AT_ONCE)

    @classmethod
    def open(cls, place: str) -> "Database":
        """Open the database, a file or an address, and bring its tables up to date.

        Raises StoreError when it cannot be opened, NewerSchema when a later release has changed it, UsageError for
        an address that is none, ModuleNotFoundError where its library is not installed.
        """
        if not is_address(place):
            return cls(Sqlite(place))
        from jobmeter.receiver.store.postgresql.backend import Postgresql

        return cls(Postgresql(place))

    @property
    def place(self) -> str:
        """The database as it may be shown."""
        return self.backend.place

    @property
    def writer(self) -> Engine:
        """What changes it."""
        return self.backend.writer

    @property
    def reader(self) -> Engine:
        """What reads it."""
        return self.backend.reader

    async def read(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask in a thread, with a connection that sees one state of the database from begin to end."""
        async with self._room:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self.read_here, question)

    async def read_long(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask what may take long: few at a time, so that what is short need not wait for it."""
        async with self._room_for_long:
            return await self.read(question)

    def read_here(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask in this thread. Raises StoreError."""
        try:
            with self.reader.connect() as connection:
                return question(connection)
        except Exception as error:
            judgement = self.backend.judge(error)
            if judgement is None:
                raise
            raise judgement.error from None

    async def keep_up(self, log: Log) -> None:
        """For ever: have ready what the database will need; what fails is tried again an hour later."""
        while True:
            try:
                await asyncio.to_thread(self.backend.keep_up, int(time.time() * 1000))
            except StoreError as error:
                log.warn("the database is not prepared for the months to come", error=str(error))
            await asyncio.sleep(_KEEP_UP_SECONDS)

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.reader.dispose()
        self.writer.dispose()


def in_use(place: str) -> AbstractContextManager[bool]:
    """Tells others that this process uses the database; true where one receiver is enough and there is another."""
    return nullcontext(False) if is_address(place) else file.in_use(place)


def backup(place: str, target: str) -> None:
    """Copy the database to a file while a receiver uses it. Raises StoreError, and UsageError for an address."""
    if is_address(place):
        raise UsageError(
            "a PostgreSQL database is copied by PostgreSQL's own pg_dump; jobmeter admin backup copies a SQLite file"
        )
    copying.backup(place, target)
