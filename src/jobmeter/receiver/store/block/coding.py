"""Text as a block, and a block as text: `shapes` and `numbers` and, around them, LZMA2 and a checksum."""

import lzma
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.receiver.store.block import numbers, shapes

BEGINS = b"\x93jmc1\n"
_CHECK_BYTES = 4
_PIECE_BYTES = 64 * 1024
_MOST_BYTES = 256 * 1024 * 1024


def _lzma2(**options: int) -> list[dict[str, Any]]:
    # Chains need half the memory of trees.
    chains = {"mf": lzma.MF_HC4, "nice_len": 160, "depth": 12}
    return [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20, "pb": 0} | chains | options]


# Of words what precedes a letter tells much; a byte of a number tells nothing of the next one.
_OF_WORDS, _OF_NUMBERS = _lzma2(lc=4), _lzma2(lc=0)


class Damaged(Exception):
    """This is no block, or no longer what was made."""


class _Shape(Struct, array_like=True):
    texts: list[bytes]
    has_point: list[bool]
    columns: list[numbers.Column]


class _Words(Struct, array_like=True):
    """All but the numbers; ``order`` are planes of so many bytes a piece."""

    shapes: list[_Shape]
    in_full: list[bytes]
    order_width: int
    order: bytes


class _Block(Struct, array_like=True):
    """``words`` and ``numbers`` are compressed, and were of these sizes."""

    words: bytes
    words_size: int
    numbers: bytes
    numbers_size: int
    plain: bytes


class Encoder:
    """Takes text in pieces of any size; in memory it has some thousand shapes at most, and 8 bytes a number."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._checksum = 0
        self._shapes = shapes.Shapes()

    def add(self, piece: bytes) -> None:
        """Some more of the text."""
        self._checksum = zlib.crc32(piece, self._checksum)
        end = piece.rfind(b"\n") + 1
        if end:
            self._shapes.add(b"".join((*self._rest, piece[:end])))
            self._rest = []
        self._rest.append(piece[end:])

    def block(self) -> bytes:
        """All of it, after which nothing can be added. Raises Damaged rather than give what is not the text."""
        self._shapes.add(b"".join(self._rest))
        body = _encoded(self._sorted())
        if _checksum(decoded(body)) != self._checksum:
            raise Damaged("the text does not come back")
        return body

    def _sorted(self) -> shapes.Sorted:
        """Of which nothing stays here: a block is made while as little as possible is in memory."""
        found = self._shapes.sorted()
        self._shapes, self._rest = shapes.Shapes(), []
        return found


def decoded(body: bytes) -> Iterator[bytes]:
    """The text of a block, in pieces of bounded size. Raises Damaged, before the first of them when it can."""
    try:
        waiting = bytearray()
        for piece in shapes.put_together(_sorted(body)):
            waiting += piece
            while len(waiting) >= _PIECE_BYTES:
                yield bytes(waiting[:_PIECE_BYTES])
                del waiting[:_PIECE_BYTES]
        yield bytes(waiting)
    except (msgspec.MsgspecError, lzma.LZMAError, ValueError, TypeError, OverflowError) as error:
        raise Damaged(str(error)) from None


def _encoded(found: shapes.Sorted) -> bytes:
    writer = numbers.Writer()
    told = [
        _Shape(list(shape.texts), list(shape.has_point), [writer.add(column) for column in shape.columns])
        for shape in found.shapes
    ]
    width = (len(told).bit_length() + 7) // 8
    order = b"".join(numbers.planes(found.order, width))
    words = msgspec.msgpack.encode(_Words(told, found.in_full, width, order))
    del found, told
    words_size, words = len(words), _packed(words, _OF_WORDS)
    numbers_size = len(writer.bytes)
    block = _Block(words, words_size, _packed(writer.bytes, _OF_NUMBERS), numbers_size, bytes(writer.plain))
    content = msgspec.msgpack.encode(block)
    return BEGINS + zlib.crc32(content).to_bytes(_CHECK_BYTES) + content


def _sorted(body: bytes) -> shapes.Sorted:
    start = len(BEGINS) + _CHECK_BYTES
    check, content = body[len(BEGINS) : start], body[start:]
    if not body.startswith(BEGINS) or zlib.crc32(content).to_bytes(_CHECK_BYTES) != check:
        raise Damaged("its checksum is another one")
    block = msgspec.msgpack.decode(content, type=_Block)
    words = msgspec.msgpack.decode(_unpacked(block.words, block.words_size, _OF_WORDS), type=_Words)
    reader = numbers.Reader(_unpacked(block.numbers, block.numbers_size, _OF_NUMBERS), block.plain)
    width = words.order_width
    count = len(words.order) // width if width else len(words.in_full)
    planes = [words.order[place * count : (place + 1) * count] for place in range(width)]
    order = bytes(count) if not width else list(numbers.joined(planes, count))
    found = [
        shapes.Shape(
            shape.texts, shape.has_point, [reader.column(column, pieces) for column in shape.columns]
        )
        for shape, pieces in zip(words.shapes, shapes.counted(order, len(words.shapes)), strict=True)
    ]
    return shapes.Sorted(order, found, words.in_full)


def _packed(content: bytes | bytearray, filters: list[dict[str, Any]]) -> bytes:
    return lzma.compress(content, lzma.FORMAT_RAW, filters=filters)


def _unpacked(content: bytes, size: int, filters: list[dict[str, Any]]) -> bytes:
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError("it is larger than any block")
    found = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(content, size + 1)
    if len(found) != size:
        raise ValueError("it is not as large as it was")
    return found


def _checksum(pieces: Iterable[bytes]) -> int:
    found = 0
    for piece in pieces:
        found = zlib.crc32(piece, found)
    return found
