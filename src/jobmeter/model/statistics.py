"""Statistics of one series of a run: peak, percentiles, average."""

from array import array
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

PERCENTILES = (99, 95, 75, 50)
# Decimals of rates, in statistics and timelines alike.
STATISTIC_DIGITS = 3


class Statistic(Struct, frozen=True):
    """Peak, percentiles and average of one series; each null when it cannot be told.

    Percentiles use linear interpolation between closest ranks (R type 7, numpy's default) and are
    null for fewer than two values. Bytes are whole numbers, also when read back.
    """

    peak: Annotated[int | float | None, Meta(description="The highest value.")] = None
    p99: Annotated[int | float | None, Meta(description="99 % of the values are not above it.")] = None
    p95: Annotated[int | float | None, Meta(description="95 % of the values are not above it.")] = None
    p75: Annotated[int | float | None, Meta(description="75 % of the values are not above it.")] = None
    p50: Annotated[int | float | None, Meta(description="The median.")] = None
    avg: Annotated[int | float | None, Meta(description="The mean; of a rate the total by the time.")] = None


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The percentile of a non-empty ascending sequence; rank ``(n - 1) * percent / 100`` interpolated."""
    rank = (len(ascending) - 1) * percent / 100
    below = int(rank)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (rank - below)


def median(values: Sequence[float]) -> float:
    """The middle of one value or more, in any order; of an even number the mean of the two in the middle."""
    return middle(sorted(values))


def middle(ascending: Sequence[float]) -> float:
    """The median of values that are in order: the percentile 50, told with less work."""
    half = len(ascending) // 2
    high = ascending[half]
    if len(ascending) % 2:
        return high
    low = ascending[half - 1]
    return low + (high - low) * 0.5


class Series:
    """Values of one series, kept exactly (8 bytes each), and their Statistic."""

    def __init__(self) -> None:
        self._values = array("d")

    def add(self, value: float | None) -> None:
        """Add one value; None (what could not be read) is left out."""
        if value is not None:
            self._values.append(value)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def peak(self) -> float | None:
        """The largest value so far."""
        return max(self._values, default=None)

    def statistic(self, *, average: float | None = None, digits: int | None = STATISTIC_DIGITS) -> Statistic:
        """The Statistic of the values; ``average`` replaces the mean where the true one is known.

        A rate's true average is its total over its duration, which the mean of unevenly spaced
        values is not. ``digits`` rounds (None: to whole numbers, for bytes).
        """
        if not self._values:
            return Statistic(avg=_rounded(average, digits))
        ascending = sorted(self._values)
        mean = sum(ascending) / len(ascending) if average is None else average
        peak, average = _rounded(ascending[-1], digits), _rounded(mean, digits)
        if len(ascending) < 2:
            return Statistic(peak=peak, avg=average)
        p99, p95, p75, p50 = (_rounded(percentile(ascending, percent), digits) for percent in PERCENTILES)
        return Statistic(peak, p99, p95, p75, p50, average)


def _rounded(value: float | None, digits: int | None) -> float | None:
    return None if value is None else round(value, digits)
