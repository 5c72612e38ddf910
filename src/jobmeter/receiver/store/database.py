"""Opens the database: connections for readers, migrations at start, a copy while it runs."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

Answer = TypeVar("Answer")


class Database:
    """The database of one receiver; readers have connections of their own and never wait for the writer."""

    def __init__(self, engine: Engine, readers: int = 4) -> None:
        self.engine = engine
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")

    async def read(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask in a thread, with a connection that sees one state of the database from begin to end."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)

    def _ask(self, question: Callable[[Connection], Answer]) -> Answer:
        with self.engine.connect() as connection:
            return question(connection)

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()
