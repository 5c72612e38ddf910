"""Whether the receiver can store and answer, as `/readyz` says it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from jobmeter.receiver.store.backend import Backend


class Readiness:
    """Asks the writer, and reads the database with a thread and a connection that no question takes away."""

    def __init__(self, database: Backend, writer: Callable[[], str | None]) -> None:
        self._database = database
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")

    async def trouble(self) -> str | None:
        """One sentence about what is wrong; None when nothing is."""
        return self._writer() or await asyncio.get_running_loop().run_in_executor(
            self._thread, self._database.probe
        )

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=True)
