"""How records lie in the database: compressed as they were sent while a run goes on, as columns afterwards.

Databases have blocks of earlier releases too, xz streams of the text; they are read for ever.
"""

import lzma
import zlib
from collections.abc import Iterable, Iterator

from jobmeter.model.errors import JournalError
from jobmeter.receiver.store.block.coding import BEGINS, Damaged, decoded

_LEVEL = 6
_CHUNK_BYTES = 256 * 1024
_XZ_BEGINS = b"\xfd7zXZ\x00"
BEGIN_BYTES = max(len(BEGINS), len(_XZ_BEGINS))
"""So many tell whether it is a block."""


def packed(lines: Iterable[bytes]) -> bytes:
    """Lines as a part of a run that goes on: quickly compressed."""
    return zlib.compress(b"".join(line + b"\n" for line in lines), _LEVEL)


def is_block(begin: bytes) -> bool:
    """Whether records of a run that is over begin so, not a part."""
    return begin.startswith((BEGINS, _XZ_BEGINS))


def unpacked(body: bytes) -> Iterator[bytes]:
    """What was compressed in any way, or sent as gzip, in pieces of bounded size. Raises JournalError."""
    try:
        yield from _unpacking(body)
    except (zlib.error, lzma.LZMAError, Damaged) as error:
        raise JournalError(f"a stored part of the run is damaged: {error}") from None


def _unpacking(body: bytes) -> Iterator[bytes]:
    if body.startswith(BEGINS):
        return decoded(body)
    return _unpacked_xz(body) if body.startswith(_XZ_BEGINS) else _inflated(body)


def _unpacked_xz(body: bytes) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    piece = unpacker.decompress(body, _CHUNK_BYTES)
    while piece:
        yield piece
        piece = b"" if unpacker.eof else unpacker.decompress(b"", _CHUNK_BYTES)


def _inflated(body: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    piece = inflater.decompress(body, _CHUNK_BYTES)
    while piece:
        yield piece
        piece = inflater.decompress(inflater.unconsumed_tail, _CHUNK_BYTES)
