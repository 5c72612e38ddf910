"""Skips a Prometheus that is known to be away, so that no job waits for it in vain."""

from collections.abc import Callable

FAILURES = 3
"""So many in a row open it."""
FIRST_SECONDS = 60.0
LONGEST_SECONDS = 600.0


class Breaker:
    """Open after three failures in a row: for a minute, then one probe, and twice as long each time that fails too.

    ``clock`` is a monotonic one, in seconds. Who is admitted says how it went, by ``settle``, in any case.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._wait_seconds = FIRST_SECONDS
        self._until = 0.0
        self._probing = False

    def admit(self) -> float | None:
        """None for who may ask now; else after how many seconds somebody may, 0 while a probe is under way."""
        if self._failures < FAILURES:
            return None
        left = self._until - self._clock()
        if left > 0:
            return left
        if self._probing:
            return 0.0
        self._probing = True
        return None

    def settle(self, *, answered: bool | None) -> None:
        """How one that was admitted went; None for one that came to no question."""
        if answered is None:
            self._probing = False
            return
        if answered:
            self._failures, self._wait_seconds, self._probing = 0, FIRST_SECONDS, False
            return
        self._failures += 1
        if self._probing:
            self._probing = False
            self._wait_seconds = min(2 * self._wait_seconds, LONGEST_SECONDS)
            self._until = self._clock() + self._wait_seconds
        elif self._failures == FAILURES:
            self._until = self._clock() + self._wait_seconds
