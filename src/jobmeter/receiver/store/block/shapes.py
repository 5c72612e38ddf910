"""Cuts text into pieces that differ by nothing but numbers, and puts them together again.

A line of JSON is cut where an element of a list begins and where the list ends, so that each container and each
process is a piece of its own. Pieces whose texts around the numbers are the same have one shape; the numbers at one
place of a shape are a column. Nothing is assumed of the text: a number that would not be written again as it was is
part of its shape, as is all that is no number.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_CUT = re.compile(rb"(?<=[\[,])(?=\{)|(?<=\}\])|(?<=\n)")
# With up to six digits behind the point, the last of them no 0; of at most 18 digits, so that it fits into 64 bits.
_NUMBER = re.compile(
    rb"(?<=[:,\[])(?!-0(?:\.0)?[,}\]])"
    rb"(-?(?:0|[1-9][0-9]{0,11})\.(?:0|[0-9]{0,5}[1-9])|-?(?:0|[1-9][0-9]{0,17}))(?=[,}\]])"
)
_DIGITS = 6
_SCALE = 10**_DIGITS
# What would make too many columns, or too many shapes, is kept as it is; so is what comes too seldom for a column.
_MOST_PIECE_BYTES = 64 * 1024
_MOST_NUMBERS = 256
_MOST_SHAPES = 2048
_OFTEN = 4
_IN_FULL = 2**32 - 1


class Shape(NamedTuple):
    """The texts around the numbers of a piece, one more than there are numbers, and which of these have a point.

    A column has the numbers of one place in the order of the pieces, those with a point times a million.
    """

    texts: Sequence[bytes]
    has_point: Sequence[bool]
    columns: Sequence[Iterable[int]]


class Sorted(NamedTuple):
    """What pieces there are: the place of each one's shape from 1 on, or 0 for the next of those told ``in_full``."""

    order: Sequence[int]
    shapes: list[Shape]
    in_full: list[bytes]


class Shapes:
    """Takes text and sorts its pieces; it needs 8 bytes a number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bytes, ...], int] = {}
        self._shapes: list[Shape] = []
        self._counts: array[int] = array("L")
        self._order: array[int] = array("L")
        self._in_full: list[bytes] = []

    def add(self, text: bytes) -> None:
        """Some more of it, cut anywhere."""
        for piece in filter(None, _CUT.split(text)):
            words = _NUMBER.split(piece) if len(piece) <= _MOST_PIECE_BYTES else ()
            number = self._number(words) if 0 < len(words) <= 2 * _MOST_NUMBERS else _IN_FULL
            self._order.append(number)
            if number == _IN_FULL:
                self._in_full.append(piece)
                continue
            self._counts[number] += 1
            for column, value in zip(self._shapes[number].columns, words[1::2], strict=True):
                column.append(_value(value))  # type: ignore[attr-defined]

    def _number(self, words: Sequence[bytes]) -> int:
        """The number of the shape of a piece; the same text may be around numbers with and without a point."""
        has_point = [b"." in value for value in words[1::2]]
        key = (bytes(has_point), *words[0::2])
        number = self._numbers.get(key)
        if number is None:
            if len(self._shapes) == _MOST_SHAPES:
                return _IN_FULL
            number = self._numbers[key] = len(self._shapes)
            self._shapes.append(Shape(key[1:], has_point, [array("q") for _ in has_point]))
            self._counts.append(0)
        return number

    def sorted(self) -> Sorted:
        """All of it."""
        often = [number for number, count in enumerate(self._counts) if count >= _OFTEN]
        places = dict(zip(often, range(1, len(often) + 1), strict=True))
        seldom = {
            number: rendered(shape) for number, shape in enumerate(self._shapes) if number not in places
        }
        told_already = iter(self._in_full)
        in_full = [
            next(told_already if number == _IN_FULL else seldom[number])
            for number in self._order
            if number not in places
        ]
        order = [places.get(number, 0) for number in self._order]
        return Sorted(order, [self._shapes[number] for number in often], in_full)


def put_together(found: Sorted) -> Iterator[bytes]:
    """The pieces, one after the other. Raises ValueError when there are not as many as ``order`` tells."""
    sources = [iter(found.in_full), *map(rendered, found.shapes)]
    for place in found.order:
        piece = next(sources[place], None)
        if piece is None:
            raise ValueError("numbers are missing")
        yield piece


def rendered(shape: Shape) -> Iterator[bytes]:
    """The pieces of a shape, in their order."""
    template = b"%b".join(text.replace(b"%", b"%%") for text in shape.texts)
    if not shape.columns:
        text = template % ()
        while True:
            yield text
    columns = (
        map(_decimal, column) if has_point else map(b"%d".__mod__, column)
        for column, has_point in zip(shape.columns, shape.has_point, strict=True)
    )
    yield from map(template.__mod__, zip(*columns, strict=False))


def _value(number: bytes) -> int:
    whole, point, digits = number.partition(b".")
    return int(whole + digits.ljust(_DIGITS, b"0")) if point else int(number)


def _decimal(value: int) -> bytes:
    whole, digits = divmod(abs(value), _SCALE)
    return b"%b%d.%b" % (b"-" if value < 0 else b"", whole, (b"%06d" % digits).rstrip(b"0") or b"0")


def counted(order: Iterable[int], shapes: int) -> list[int]:
    """How many pieces each shape has. Raises ValueError for one that there is not."""
    counts = [0] * (shapes + 1)
    for place in order:
        if place > shapes:
            raise ValueError("a shape is missing")
        counts[place] += 1
    return counts[1:]
