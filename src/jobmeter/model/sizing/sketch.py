"""Quantiles of any number of values in little room: sketches of days merge into the sketch of a year.

Values are counted in bins whose bounds grow by a constant ratio g = (1 + e) / (1 - e); a bin is shown by its middle,
from which none of its values is further than e. With e = 1 % all sizes from a byte to a terabyte are 1,390 bins.
Merging adds counts, so the sketch of all values is the same whatever the parts were. (The idea is that of DDSketch,
Masson, Rim and Lee 2019; a few lines do it without a dependency.)
"""

import math
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

RELATIVE_ERROR = 0.01
_LOG_RATIO = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
# Of a bin from u / g to u, the value that is relatively as far from both ends: u * (1 - e).
_MIDDLE = 1 - RELATIVE_ERROR
# What is smaller counts as 0, what is greater is an error: bytes, cores and seconds lie between.
_SMALLEST, _GREATEST = 1e-9, 1e30


class Sketch(Struct, array_like=True):
    """Counts of values not below 0, by bins; ``least``, ``most`` and ``total`` are exact."""

    bins: dict[int, int] = field(default_factory=dict)
    zeros: int = 0
    total: float = 0.0
    least: float | None = None
    most: float | None = None

    def add(self, value: float, times: int = 1) -> None:
        """Count a value; raises ValueError for one that is negative or not finite."""
        if not 0 <= value <= _GREATEST:
            raise ValueError(f"{value} cannot be counted: accepted are values from 0 to {_GREATEST:g}")
        if value >= _SMALLEST:
            place = math.ceil(math.log(value) / _LOG_RATIO)
            self.bins[place] = self.bins.get(place, 0) + times
        else:
            self.zeros += times
        self.total += value * times
        self.least = value if self.least is None else min(self.least, value)
        self.most = value if self.most is None else max(self.most, value)

    @property
    def count(self) -> int:
        """How many values were counted."""
        return self.zeros + sum(self.bins.values())

    @property
    def mean(self) -> float | None:
        """The mean of all values, None without any."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The value at rank ``floor(share * (count - 1))`` of the ascending values, wrong by 1 % of it at most.

        The ends are exact. None without values; raises ValueError for a share that is not from 0 to 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"{share} is no share: accepted are 0 to 1")
        if self.least is None or self.most is None:
            return None
        if share in (0, 1):
            return self.most if share else self.least
        rank = math.floor(share * (self.count - 1))
        passed = self.zeros
        if rank < passed:
            return 0.0
        for place in sorted(self.bins):
            passed += self.bins[place]
            if rank < passed:
                return min(max(math.exp(place * _LOG_RATIO) * _MIDDLE, self.least), self.most)
        return self.most


def sketch_of(values: Iterable[float]) -> Sketch:
    """The sketch of some values."""
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def merge(sketches: Iterable[Sketch]) -> Sketch:
    """The sketch of all their values together; they themselves stay as they are."""
    merged = Sketch()
    for each in sketches:
        for place, count in each.bins.items():
            merged.bins[place] = merged.bins.get(place, 0) + count
        merged.zeros += each.zeros
        merged.total += each.total
        if each.least is not None and each.most is not None:
            merged.least = each.least if merged.least is None else min(merged.least, each.least)
            merged.most = each.most if merged.most is None else max(merged.most, each.most)
    return merged


def encode(sketch: Sketch) -> bytes:
    """The stored form, msgpack: some 5 bytes a bin in use."""
    return msgspec.msgpack.encode(sketch)


def decode(stored: bytes) -> Sketch:
    """The sketch of its stored form; raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(stored, type=Sketch)
