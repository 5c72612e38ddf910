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

    @property
    def last(self) -> float:
        """The time of the last point, in seconds since 1970."""
        return self.parts[-1].end


def plan(
    start: float,
    end: float,
    interval_seconds: float,
    *,
    until: float | None = None,
    slack_seconds: float = 0.0,
    max_points: int = MAX_POINTS,
    max_range_seconds: float = MAX_RANGE_SECONDS,
) -> Plan:
    """Points an interval apart, from the start of a job until its end, or until a later time.

    The interval grows, by whole seconds, until there are at most ``max_points``, which is at least 2, and shrinks to
    the length of a job that is shorter. Where ``until`` is between two points the later one is the last, unless that
    is more than ``slack_seconds`` later: then the last one is at that time, and a part of its own.
    """
    begin = round(start * 1000)
    length = max(round(end * 1000) - begin, 0)
    span = max(round((end if until is None else until) * 1000) - begin, length)
    step = _step(length, span, round(interval_seconds * 1000), max_points)
    slack = -span % step
    is_apart = slack > round(slack_seconds * 1000)
    count = (span if is_apart else span + slack) // step + 1
    at_once = max(round(max_range_seconds * 1000) // step, 1)
    parts = []
    for first in range(0, count, at_once):
        last = min(first + at_once, count) - 1
        parts.append(Part((begin + first * step) / 1000, (begin + last * step) / 1000))
    if is_apart:
        parts.append(Part((begin + span) / 1000, (begin + span) / 1000))
    return Plan(step / 1000, tuple(parts))


def _step(length: int, span: int, interval: int, max_points: int) -> int:
    """In milliseconds."""
    step = interval if length >= interval else max(length, min(interval, _LEAST_STEP))
    # One point more than there are steps.
    if math.ceil(span / step) + 1 <= max_points:
        return step
    return math.ceil(span / (max_points - 1) / 1000) * 1000
