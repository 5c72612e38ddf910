"""The loop of a meter: ticks by the timetable, and whatever else wakes it, in one thread."""

import select
import time
from collections.abc import Callable

from jobmeter.metering.timetable import Timetable

READABLE = select.POLLIN
EVENT = select.POLLPRI


class Loop:
    """Calls ``on_tick(elapsed, due)`` at every due time and a callback for every descriptor that is ready.

    ``clock`` is monotonic and gives seconds; ``started`` is its value at the start of the run.
    """

    def __init__(
        self,
        timetable: Timetable,
        on_tick: Callable[[float, float], None],
        *,
        started: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timetable = timetable
        self._on_tick = on_tick
        self._started = started
        self._clock = clock
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._stopped = False
        self._end: float | None = None
        self._later: tuple[float, Callable[[], None]] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return self._clock() - self._started

    def watch(self, fd: int, callback: Callable[[], None], kind: int = READABLE) -> None:
        """Call back whenever ``fd`` is readable or has an event."""
        self._callbacks[fd] = callback
        self._poll.register(fd, kind)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor; unknown ones are no error."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def stop(self) -> None:
        """Return from ``run`` once the current callback is done."""
        self._stopped = True

    def stop_at(self, elapsed: float | None) -> None:
        """Stop by itself at that time; None: never."""
        self._end = elapsed

    def call_at(self, elapsed: float, callback: Callable[[], None]) -> None:
        """Call back once at that time, instead of what was asked for before."""
        self._later = (elapsed, callback)

    def run(self) -> None:
        """Loop until stopped."""
        while not self._stopped:
            due = [self._timetable.next_due]
            if self._end is not None:
                due.append(self._end)
            if self._later is not None:
                due.append(self._later[0])
            wait = min(due) - self.elapsed
            for fd, _ in self._poll.poll(max(0.0, wait * 1000)):
                callback = self._callbacks.get(fd)
                if callback is not None:
                    callback()
            if self._later is not None and self.elapsed >= self._later[0]:
                (_, callback), self._later = self._later, None
                callback()
            if self._end is not None and self.elapsed >= self._end:
                self.stop()
            if not self._stopped and self.elapsed >= self._timetable.next_due:
                now = self.elapsed
                self._on_tick(now, self._timetable.take(now).due_seconds)
