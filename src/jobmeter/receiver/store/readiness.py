"""Whether the receiver can store and answer, as `/readyz` says it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from jobmeter.receiver.store.file import reading_uri
from jobmeter.receiver.store.schema import runs

_PATIENCE_SECONDS = 1.0
_NEWEST = f"SELECT run_uid, state FROM {runs.name} ORDER BY id DESC LIMIT 1"


class Readiness:
    """Asks the writer, and reads the database with a thread and a connection that no question takes away."""

    def __init__(self, path: str, writer: Callable[[], str | None]) -> None:
        self._uri = reading_uri(path)
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")

    async def trouble(self) -> str | None:
        """One sentence about what is wrong; None when nothing is."""
        return self._writer() or await asyncio.get_running_loop().run_in_executor(self._thread, self._reading)

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=True)

    def _reading(self) -> str | None:
        try:
            with closing(sqlite3.connect(self._uri, uri=True, timeout=_PATIENCE_SECONDS)) as connection:
                connection.execute(_NEWEST).fetchone()
        except sqlite3.Error as error:
            return f"the database cannot be read: {error}"
        return None
