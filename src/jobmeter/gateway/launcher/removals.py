"""Takes away what launches have left, in threads of its own: a large tree holds up no start, and no write of state."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jobmeter.gateway.faults import may_pass, reason_of
from jobmeter.gateway.launcher.kept_runner import Warn

_AT_ONCE = 2
AGAIN_SECONDS = 10.0
MOST_TRIES = 30
"""So often a step is tried that fails for a passing want, as of descriptors."""

_Result = TypeVar("_Result")


class Removals:
    """Those of one forge's launches; one that goes on keeps the process from its end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, "removal")

    async def run(self, step: Callable[..., None], *args: object) -> None:
        """Do it in one of the threads."""
        await asyncio.get_running_loop().run_in_executor(self._threads, step, *args)

    def close(self) -> None:
        """Begin no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def patiently(step: Callable[[], Awaitable[_Result]], warn: Warn) -> _Result:
    """What ``step`` gives; one that a passing want keeps from it is said, and done again later."""
    for look in range(MOST_TRIES - 1):
        try:
            return await step()
        except OSError as error:
            if not may_pass(error):
                raise
            if look == 0:
                warn("what is left of a job cannot be removed now", error=reason_of(error))
        await asyncio.sleep(AGAIN_SECONDS)
    return await step()
