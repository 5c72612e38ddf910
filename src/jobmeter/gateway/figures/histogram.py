"""Durations by size."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from math import inf


class Histogram:
    """Counts values by the smallest bound that holds them."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """``bounds`` rise; above the last there is no limit."""
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float | None) -> None:
        """Count a value; one that is not known, or that a clock set back has made negative, is none."""
        if value is not None and 0 <= value < inf:
            self._counts[bisect_left(self.bounds, value)] += 1
            self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity last, with how many values are not above it."""
        return zip((*self.bounds, inf), accumulate(self._counts), strict=True)
