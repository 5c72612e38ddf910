"""How long a poller waits after a request without a task: the rules of the Gitea runner (once act_runner).

Its releases differ in one point: a request that ran into the local time limit reset the count of errors in act_runner
0.6 and leaves it alone since gitea-runner 1.0, as here: silence is no sign of health.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

INTERVAL_SECONDS = 2.0
INTERVAL_MAX_SECONDS = 5.0
"""Since gitea-runner 1.0; act_runner had 60 s."""
_MOST_DOUBLINGS = 5
_NS = 1_000_000_000


class Pace(Struct, frozen=True):
    """The shortest and the longest wait in seconds, both above 0 and in this order; ``pace_of`` makes one."""

    interval_seconds: float = INTERVAL_SECONDS
    interval_max_seconds: float = INTERVAL_MAX_SECONDS


class Wait(NamedTuple):
    """One wait in seconds: without jitter, with it; ``changed`` if the former is news since the last task."""

    base_seconds: float
    seconds: float
    changed: bool


class Backoff:
    """Counts requests without a task, and says how long to wait before the next one.

    ``chance(n)`` gives an integer from 0 to n - 1. A request that was refused because nobody knows the runner is not
    told here: it counts as nothing.
    """

    def __init__(self, pace: Pace, chance: Callable[[int], int] = random.randrange) -> None:
        self._interval_ns = round(pace.interval_seconds * _NS)
        self._interval_max_ns = round(pace.interval_max_seconds * _NS)
        self._chance = chance
        self._empty = self._errors = self._told_ns = 0

    def task(self) -> None:
        """A task came."""
        self._empty = self._errors = self._told_ns = 0

    def empty(self) -> None:
        """The forge answered that there is none."""
        self._empty += 1
        self._errors = 0

    def timed_out(self) -> None:
        """The time limit of our own was over; the forge has said nothing."""
        self._empty += 1

    def failed(self) -> None:
        """Anything else went wrong."""
        self._errors += 1

    def wait(self) -> Wait:
        """The wait that is due now."""
        base_ns = self._base_ns()
        changed = base_ns != self._told_ns
        self._told_ns = base_ns
        return Wait(base_ns / _NS, (base_ns + self._jitter_ns(base_ns)) / _NS, changed)

    def _base_ns(self) -> int:
        count = max(self._empty, self._errors)
        if count <= 1:
            return self._interval_ns
        return min(self._interval_ns << min(count - 1, _MOST_DOUBLINGS), self._interval_max_ns)

    def _jitter_ns(self, base_ns: int) -> int:
        """From a fifth of the base less to a fifth more, so that runners that began together drift apart."""
        span_ns = base_ns * 2 // 5
        return self._chance(span_ns) - span_ns // 2 if span_ns > 0 else 0


def pace_of(interval_seconds: float, interval_max_seconds: float) -> tuple[Pace, str | None]:
    """The pace that two settings mean, and what their giver should know.

    Nothing above 0 stands for the default; to switch backing off off, both are given the same value.
    """
    interval = interval_seconds if interval_seconds > 0 else INTERVAL_SECONDS
    longest = interval_max_seconds if interval_max_seconds > 0 else INTERVAL_MAX_SECONDS
    if longest < interval:
        warning = (
            f"fetch_interval_max ({longest:g} s) is shorter than fetch_interval ({interval:g} s), "
            f"which is taken for both"
        )
        return Pace(interval, interval), warning
    return Pace(interval, longest), None
