"""The thread that reads all containers: by its timetable, and anew when someone asks."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from jobmeter.exporter.figures import Figures
from jobmeter.metering.timetable import Timetable
from jobmeter.ops.log import Log, Sparing

FRESH_SECONDS = 1.0
"""A scrape is not shown what is older: a rate would be as wrong as its values are old."""
_PATIENCE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0
"""A file system that does not answer may hold a reading up for longer than anyone waits for a daemon's end."""


class Watcher(Protocol):
    """What is read; all but ``wake`` from the one thread."""

    def tick(self) -> None:
        """Read everything and publish it."""
        ...

    def wait(self, seconds: float) -> None:
        """Follow what happens until the time has passed or someone wakes it."""
        ...

    def wake(self) -> None:
        """End the waiting that is under way, or the next one; from any thread."""
        ...


class Sampler:
    """Reads a ``watcher`` while it runs. What fails is counted and said, and the next sample may succeed."""

    def __init__(self, watcher: Watcher, interval_seconds: float, figures: Figures, log: Log) -> None:
        self._watcher = watcher
        self._interval = interval_seconds
        self._figures = figures
        self._log = Sparing(log)
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
        self._stopping = False
        self._asking: deque[Callable[[], object]] = deque()
        self._read_at: float | None = None
        self._failure: str | None = None

    def start(self) -> None:
        """Begin; the first sample is taken at once."""
        self._thread.start()

    def close(self) -> bool:
        """End the thread; waits for the sample under way, but not for ever: False when it still uses the watcher."""
        self._stopping = True
        self._watcher.wake()
        self._thread.join(_CLOSE_SECONDS)
        return not self._thread.is_alive()

    def trouble(self) -> str | None:
        """Why what is shown cannot be trusted now; None when it can."""
        if not self._thread.is_alive():
            return "nothing is read, since the thread that does it has ended"
        if self._failure is not None:
            return f"the last sample failed: {self._failure}"
        if self._read_at is None:
            return "nothing has been read yet"
        late = time.monotonic() - self._read_at - self._interval
        if late > max(10.0, self._interval):
            return f"nothing was read for {late + self._interval:.0f} s"
        return None

    async def fresh(self) -> None:
        """Return once the last sample is not older than FRESH_SECONDS, or when that takes too long."""
        if not self._is_fresh(FRESH_SECONDS):
            await self._next()

    async def sample(self) -> bool:
        """Read once more, from now on; False where that fails or takes too long."""
        now = time.monotonic()
        await self._next()
        return self._read_at is not None and self._read_at >= now

    async def _next(self) -> None:
        """Return after the next sample, or when that takes too long."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[None] = loop.create_future()
        self._ask(lambda: loop.call_soon_threadsafe(_answer, asked))
        await asyncio.wait((asked,), timeout=_PATIENCE_SECONDS)

    def wait_fresh(self, seconds: float) -> bool:
        """Wait until the last sample is not older than that; False when it takes too long. Not for an event loop."""
        if self._is_fresh(seconds):
            return True
        asked = threading.Event()
        self._ask(asked.set)
        asked.wait(_PATIENCE_SECONDS)
        return self._is_fresh(seconds)

    def _is_fresh(self, seconds: float) -> bool:
        return self._read_at is not None and time.monotonic() - self._read_at <= seconds

    def _ask(self, answer: Callable[[], object]) -> None:
        self._asking.append(answer)
        self._watcher.wake()

    def _work(self) -> None:
        started = time.monotonic()
        timetable = Timetable(self._interval)
        while not self._stopping:
            elapsed = time.monotonic() - started
            if elapsed >= timetable.next_due:
                self._figures.lag_seconds.set(elapsed - timetable.next_due)
                self._figures.dropped.inc(timetable.take(elapsed).missed)
            self._sample()
            self._follow(timetable.next_due - (time.monotonic() - started))

    def _sample(self) -> None:
        asking = [self._asking.popleft() for _ in range(len(self._asking))]
        begun = time.monotonic()
        try:
            self._watcher.tick()
        except Exception as error:
            self._failed(error)
        else:
            self._failure, self._read_at = None, begun
            self._figures.sample_seconds.observe(time.monotonic() - begun)
        for answer in asking:
            answer()

    def _follow(self, seconds: float) -> None:
        try:
            self._watcher.wait(max(0.0, seconds))
        except Exception as error:
            self._failed(error)
            time.sleep(min(0.1, max(0.0, seconds)))  # What fails at once again shall not take the processor.

    def _failed(self, error: Exception) -> None:
        self._failure = f"{type(error).__name__}: {error}"
        self._figures.dropped.inc()
        self._log.warn("a sample failed", error=self._failure)


def _answer(asked: "asyncio.Future[None]") -> None:
    if not asked.done():
        asked.set_result(None)
