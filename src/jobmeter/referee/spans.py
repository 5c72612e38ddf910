"""When a job's time range is asked for: the step that its points have, and the parts that it is asked in.

Times are whole milliseconds, as Prometheus counts them, so that no point is asked twice or left out.
"""

import math
from typing import NamedTuple

MAX_POINTS = 11_000
"""Of one series of one query; Prometheus refuses more."""
MAX_RANGE_SECONDS = 86_400.0
"""Of one request."""
_LEAST_STEP = 1000


class Part(NamedTuple):
    """One request: from and to, in seconds since 1970; both are points."""

    start: float
    end: float


class Plan(NamedTuple):
    """How one job is asked for."""

    step_seconds: float
    parts: tuple[Part, ...]


def plan(
    start: float,
    end: float,
    interval_seconds: float,
    *,
    max_points: int = MAX_POINTS,
    max_range_seconds: float = MAX_RANGE_SECONDS,
) -> Plan:
    """Points from start to end, an interval apart.

    The interval grows, by whole seconds, until there are at most ``max_points``, and shrinks to the length of a job
    that is shorter: its end is seen too. A job without any length has one point; ``max_points`` is at least 2.
    """
    begin, length = round(start * 1000), max(round(end * 1000) - round(start * 1000), 0)
    step = _step(length, round(interval_seconds * 1000), max_points)
    count = length // step + 1
    at_once = max(round(max_range_seconds * 1000) // step, 1)
    parts = []
    for first in range(0, count, at_once):
        last = min(first + at_once, count) - 1
        parts.append(Part((begin + first * step) / 1000, (begin + last * step) / 1000))
    return Plan(step / 1000, tuple(parts))


def _step(length: int, interval: int, max_points: int) -> int:
    """In milliseconds."""
    if length < interval:
        return max(length, min(interval, _LEAST_STEP))
    if length // interval + 1 <= max_points:
        return interval
    # One point more than there are steps.
    return math.ceil(length / (max_points - 1) / 1000) * 1000
