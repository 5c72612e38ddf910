"""How records lie in the database: compressed as they were sent while a run goes on, all together afterwards."""

import lzma
import zlib
from collections.abc import Iterable, Iterator

from jobmeter.model.errors import JournalError

_LEVEL = 6
_CHUNK_BYTES = 256 * 1024
BLOCK_BEGINS = b"\xfd7zXZ\x00"
# For JSON of many like lines: what precedes a letter tells more than where it stands in a word (lc, pb), and long
# matches are worth looking for, though not everywhere. Chains need half the memory and the time of trees, and find as
# much here; a MiB is some hundred ticks back.
_XZ_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 6,
        "dict_size": 1024 * 1024,
        "lc": 4,
        "pb": 0,
        "mf": lzma.MF_HC4,
        "nice_len": 160,
        "depth": 12,
    }
]


def packed(lines: Iterable[bytes]) -> bytes:
    """Lines as a part of a run that goes on: quickly compressed."""
    return zlib.compress(b"".join(line + b"\n" for line in lines), _LEVEL)


def block_packer() -> lzma.LZMACompressor:
    """Compresses the records of a run that is over.

    Of 300 ticks of five busy containers it leaves 30 % of what they took in parts of two or three ticks.
    """
    return lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=_XZ_FILTERS)


def is_block(body: bytes) -> bool:
    """Whether a ``block_packer`` has made it."""
    return body.startswith(BLOCK_BEGINS)


def unpacked(body: bytes) -> Iterator[bytes]:
    """What was compressed in either way, or sent as gzip, in pieces of bounded size. Raises JournalError."""
    try:
        yield from _unpacked_xz(body) if is_block(body) else _inflated(body)
    except (zlib.error, lzma.LZMAError) as error:
        raise JournalError(f"a stored part of the run is damaged: {error}") from None


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
