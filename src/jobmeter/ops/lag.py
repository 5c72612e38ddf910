"""How late the event loop is: what waits for it waits at least as long."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL_SECONDS = 0.25


@contextmanager
def lag_observed(
    observe: Callable[[float], None], interval_seconds: float = INTERVAL_SECONDS
) -> Iterator[None]:
    """Tell how many seconds late a callback of the running loop is, in each interval, until the context ends.

    A loop that is held up for longer than an interval is told of once, with all of its lateness.
    """
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def tick(due: float) -> None:
        nonlocal handle
        now = loop.time()
        observe(max(now - due, 0.0))
        handle = loop.call_at(now + interval_seconds, tick, now + interval_seconds)

    handle = loop.call_later(interval_seconds, tick, loop.time() + interval_seconds)
    try:
        yield
    finally:
        handle.cancel()
