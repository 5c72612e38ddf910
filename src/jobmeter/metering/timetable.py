"""An absolute timetable: ticks are due at start + n x interval, and lateness is data, not drift."""

from typing import NamedTuple

# A tick that begins later than this share of the interval after its due time is late.
_LATE_SHARE = 0.1
_LATE_AT_LEAST_SECONDS = 0.01


class Due(NamedTuple):
    """One tick of the timetable, in seconds since the start."""

    due_seconds: float
    missed: int


class Timetable:
    """Says when the next tick is due. Times are seconds since the start of the run."""

    def __init__(self, interval_seconds: float, first_seconds: float = 0.0) -> None:
        self._interval = interval_seconds
        self._first = first_seconds
        self._number = 0
        self.late_ticks = 0

    @property
    def next_due(self) -> float:
        """When the next tick is due."""
        return self._first + self._number * self._interval

    def take(self, now: float) -> Due:
        """Begin the tick that is due at ``now``: ticks that were missed meanwhile are skipped and counted."""
        due = self.next_due
        missed = max(0, int((now - due) / self._interval)) if now > due else 0
        self._number += 1 + missed
        late = now - due - missed * self._interval > max(_LATE_AT_LEAST_SECONDS, _LATE_SHARE * self._interval)
        self.late_ticks += missed + late
        return Due(due + missed * self._interval, missed)
