"""Whether the forge answers."""

import time
from collections.abc import Callable

from jobmeter.ops.log import Notices

_SHORT_SECONDS = 1.0
"""One request that fails among others that do not is no absence."""


class Contact:
    """Says when the forge answers again, and how long it did not; who asked it says that it does not."""

    def __init__(self, log: Notices, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._away_since: float | None = None

    def missed(self) -> None:
        """It gave no answer, or what stands before it answered for it."""
        if self._away_since is None:
            self._away_since = self._clock()

    def heard(self) -> None:
        """It has answered, whatever that is."""
        if self._away_since is None:
            return
        seconds = self._clock() - self._away_since
        self._away_since = None
        if seconds >= _SHORT_SECONDS:
            self._log.info("the forge answers again", away_seconds=round(seconds, 1))
