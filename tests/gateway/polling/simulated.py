"""An event loop whose time passes only while all wait: hours in milliseconds, and the same each time.

`simulate(main)` runs a coroutine function in it; the loop's time begins at 0, and `now()` tells it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class NothingWillHappen(Exception):
    """All wait, and for nothing that has a time: the program would hang for ever."""


class _Selector(selectors.SelectSelector):
    """Does not wait: it turns the clock on to the next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingWillHappen
        self.now += max(timeout, 0.0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, but for the time."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it to its end."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main())


def now() -> float:
    """Seconds since the simulation began."""
    return asyncio.get_running_loop().time()


async def settled() -> None:
    """Return when all that can be done without time has been done."""
    await asyncio.sleep(0.000_001)


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """What comes of it; TimeoutError if it takes longer."""
    async with asyncio.timeout(seconds):
        return await awaitable
