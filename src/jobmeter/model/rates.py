"""From two readings of a counter to a rate; the one rule for counters that fall."""

from collections import deque

# Times from /proc come in clock ticks of 10 ms: below this span one tick of error is over 5 %.
MIN_SPAN_SECONDS = 0.2


def delta(before: float | None, after: float | None) -> float | None:
    """Growth of a counter; None when either reading is missing or the counter fell.

    >>> delta(3, 5), delta(5, 3), delta(None, 5)
    (2, None, None)
    """
    if before is None or after is None or after < before:
        return None
    return after - before


def usual_span(interval_seconds: float) -> float:
    """What a rate should span where samples are so far apart: half of it, so that one that is late is one still."""
    return interval_seconds / 2


class RateWindow:
    """Turns successive readings of one counter into rates that span at least ``min_span_seconds``.

    Where there are readings for it they span ``usual_span_seconds``: a reading taken soon after another, as the
    last of a run is, gives a burst no higher peak than a reading on time gives it.
    """

    def __init__(
        self, min_span_seconds: float = MIN_SPAN_SECONDS, usual_span_seconds: float | None = None
    ) -> None:
        self._min_span_seconds = min_span_seconds
        self._usual_span_seconds = max(min_span_seconds, usual_span_seconds or 0.0)
        self._readings: deque[tuple[float, float]] = deque()

    def reset(self) -> None:
        """Forget the readings: the counter starts anew."""
        self._readings.clear()

    def add(self, at_seconds: float, value: float) -> float | None:
        """The rate per second up to this reading, or None while no reading is old enough or after a fall."""
        readings = self._readings
        if readings and value < readings[-1][1]:
            readings.clear()
        readings.append((at_seconds, value))
        # A microsecond of slack: ticks due every 200 ms are not exactly 200 ms apart in binary.
        now = at_seconds + 1e-6
        while len(readings) > 2 and readings[1][0] + self._usual_span_seconds <= now:
            readings.popleft()
        since, base = readings[0]
        if since + self._min_span_seconds > now or since == at_seconds:
            return None
        return (value - base) / (at_seconds - since)
