"""Lays integers of 64 bits out so that a compressor finds something in them.

A counter grows by about as much each time, and a gauge stays near where it was: kept are the first values and then
differences, or differences of these, whichever are smaller, divided by what divides them all, as memory comes in whole
pages. Of all of them the highest bytes come first, then the next ones. Bytes in which a compressor would find nothing
are kept from it: it does better without them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import gcd, log2

from msgspec import Struct

_ORDERS = 3
# What one order more must spare: the first value that is kept for it.
_FIRST_BITS = 24
# Of few bytes one cannot tell what is in them.
_MANY, _RANDOM = 64, 0.9


class Column(Struct, array_like=True):
    """So many ``first`` values, then differences of that order in ``unit``s, in ``width`` bytes each.

    Bit n of ``plain`` is set where the n-th of these bytes, counted from the highest, is not to be compressed.
    """

    first: tuple[int, ...]
    unit: int
    width: int
    plain: int


class Writer:
    """Takes columns; ``bytes`` are to be compressed, ``plain`` ones are not."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.plain = bytearray()

    def add(self, values: Iterable[int]) -> Column:
        """How to read it again, by a Reader that reads the columns before it first."""
        first, unit, differences = _smallest(values)
        width = _bytes_for(max(differences, default=0))
        plain = 0
        for place, plane in enumerate(planes(differences, width)):
            if _is_random(plane):
                plain |= 1 << place
                self.plain += plane
            else:
                self.bytes += plane
        return Column(first, unit, width, plain)


class Reader:
    """Reads columns in the order in which a Writer took them."""

    def __init__(self, compressed: bytes, plain: bytes) -> None:
        self._sources = memoryview(compressed), memoryview(plain)
        self._places = [0, 0]

    def column(self, column: Column, count: int) -> Iterator[int]:
        """So many numbers. Raises ValueError when there are less."""
        left = count - len(column.first)
        if left < 0 or not 0 <= column.width <= 16:
            raise ValueError("a column is longer than it can be")
        differences = joined(
            [self._take(column.plain >> place & 1, left) for place in range(column.width)], left
        )
        values: Iterator[int] = (column.unit * ((one >> 1) ^ -(one & 1)) for one in differences)
        for start in reversed(column.first):
            values = accumulate(values, initial=start)
        return values

    def _take(self, source: int, count: int) -> memoryview:
        place = self._places[source]
        self._places[source] += count
        return self._sources[source][place : place + count]


def planes(numbers: Sequence[int], width: int) -> Iterator[bytes]:
    """The highest bytes of all numbers, then the next ones; the numbers are not negative."""
    text = b"".join([number.to_bytes(width) for number in numbers])
    return (text[place::width] for place in range(width))


def joined(found: Sequence[memoryview | bytes], count: int) -> Iterator[int]:
    """So many numbers from their planes. Raises ValueError when there are less."""
    width = len(found)
    text = bytearray(width * count)
    for place, plane in enumerate(found):
        text[place::width] = plane
    return (int.from_bytes(text[place * width : (place + 1) * width]) for place in range(count))


def _smallest(values: Iterable[int]) -> tuple[tuple[int, ...], int, list[int]]:
    """First values, unit and differences, of the order that makes these the smallest; never negative ones."""
    best: tuple[int, tuple[int, ...], int, list[int]] | None = None
    first: tuple[int, ...] = ()
    differences = list(values)
    while differences and len(first) < _ORDERS:
        unit = gcd(*differences) or 1
        small = [2 * one if one >= 0 else -2 * one - 1 for one in (one // unit for one in differences)]
        bits = sum(map(int.bit_length, small)) + _FIRST_BITS * len(first)
        if best is None or bits < best[0]:
            best = bits, first, unit, small
        first = (*first, differences[0])
        differences = [after - before for before, after in pairwise(differences)]
    return best[1:] if best else ((), 1, [])


def _bytes_for(number: int) -> int:
    return (number.bit_length() + 7) // 8


def _is_random(plane: bytes) -> bool:
    """Whether its entropy is about what so many random bytes have."""
    size = len(plane)
    if size < _MANY:
        return False
    entropy = -sum(count * log2(count / size) for count in Counter(plane).values())
    return entropy > _RANDOM * size * log2(min(256, size))
