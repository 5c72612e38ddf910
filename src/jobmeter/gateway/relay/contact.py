"""Whether the forge answers."""

import time
from collections.abc import Callable

from jobmeter.ops.log import FullLog, Sparing

_SHORT_SECONDS = 1.0
"""One request that fails among others that do not is no absence."""


class Contact:
    """Says when the forge answers again, and how long it did not; who asked it says that it gives no answer.

    ``back`` is called when it answers again.
    """

    def __init__(
        self,
        log: FullLog,
        clock: Callable[[], float] = time.monotonic,
        back: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._sparing = Sparing(log, clock)
        self._clock = clock
        self._back = back
        self._away_since: float | None = None

    def missed(self, status: int | None = None) -> None:
        """It gave no answer, or what stands before it answered for it with this status, which passes."""
        if self._away_since is None:
            self._away_since = self._clock()
            if status is not None:
                self._sparing.warn(
                    "the forge, or what stands before it, answers that it is away", status=status
                )

    def heard(self) -> None:
        """It has answered, whatever that is."""
        if self._away_since is None:
            return
        seconds = self._clock() - self._away_since
        self._away_since = None
        self._back()
        if seconds >= _SHORT_SECONDS:
            self._log.info("the forge answers again", away_seconds=round(seconds, 1))
