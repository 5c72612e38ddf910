"""What was compressed comes back, in pieces of bounded size."""

import base64
import gzip
import lzma
from collections.abc import Callable

import pytest

from jobmeter.model.errors import JournalError
from jobmeter.receiver.store.block.coding import Encoder
from jobmeter.receiver.store.packing import BEGIN_BYTES, is_block, packed, unpacked

LINES = tuple(b'{"kind":"sample","sequence":%d,"cpu_seconds":%d.5}' % (one, one * 7) for one in range(40_000))
TEXT = b"".join(line + b"\n" for line in LINES)
OLD = b"".join(
    b'{"kind":"sample","sequence":%d,"memory_bytes":%d}\n' % (one, 4096 * one * one) for one in range(9)
)
# As earlier releases stored it.
STORED = {
    "xz": (
        "/Td6WFoAAAFpIt42AgAhARAAAACocI6G4AHSAHcEAD2IzqwW360pOO6Hyu/4gmed7WUQy1wExIIYaeYL53bn+/WZIE7pXZEn"
        "eA60USlNNG1UDSzkKyk6xP9MuYbEF5WqY9hO88Ti7R9qC6JY6eR0/Fu/CtMpgajBU90Rb2LjOxhZG5WWt56DO71EAcPojRFB"
        "oEeFoMgAAAB4GMzpAAGPAdMDAABO83QnPjANiwIAAAAAAVla"
    ),
    "block": (
        "k2ptYzEKbCpvOZXEWeAAVABRBABKJXHrV3I0fTEyzh3xPUoXrDfO7joRPz84TzKz+0Pdex+z1lIoIksPiEvA6uwDM0a8MHND"
        "ZUmhea7uC9/z8I0vpGMWodWRyg8bat43cZXoCwAAVcQWAQARAAIEBggKDA4QAAIIEiAySGKAABLEAA=="
    ),
}


def block(text: bytes) -> bytes:
    """What is left of a run that is over."""
    encoder = Encoder()
    encoder.add(text)
    return encoder.block()


def block_of_xz(text: bytes) -> bytes:
    """What earlier releases left."""
    return lzma.compress(text, lzma.FORMAT_XZ, lzma.CHECK_CRC32)


FORMS: tuple[Callable[[bytes], bytes], ...] = (
    lambda text: packed(text.splitlines()),
    gzip.compress,
    block_of_xz,
    block,
)


@pytest.mark.parametrize("body", STORED.values(), ids=STORED)
def test_what_earlier_releases_stored_is_read(body: str) -> None:
    """For ever."""
    assert b"".join(unpacked(base64.b64decode(body))) == OLD


@pytest.mark.parametrize("pack", FORMS, ids=["part", "sent", "xz", "block"])
@pytest.mark.parametrize("text", [TEXT, TEXT[: len(LINES[0]) + 1], b""], ids=["long", "line", "nothing"])
def test_what_was_packed_is_unpacked(pack: Callable[[bytes], bytes], text: bytes) -> None:
    """In each of the forms that lie in a database."""
    pieces = list(unpacked(pack(text)))

    assert b"".join(pieces) == text
    assert max(map(len, pieces), default=0) <= 256 * 1024


def test_blocks_are_told_by_their_begin() -> None:
    """Those of earlier releases too."""
    assert [is_block(pack(TEXT)[:BEGIN_BYTES]) for pack in FORMS] == [False, False, True, True]


def test_a_block_takes_less_than_its_parts() -> None:
    """That is what it is for."""
    parts = [packed(LINES[place : place + 10]) for place in range(0, len(LINES), 10)]

    assert len(block(TEXT)) < sum(map(len, parts)) / 300


@pytest.mark.parametrize("pack", [gzip.compress, block_of_xz, block], ids=["sent", "xz", "block"])
def test_what_is_damaged_is_one_error(pack: Callable[[bytes], bytes]) -> None:
    """Whatever it was packed with."""
    body = pack(TEXT)

    with pytest.raises(JournalError, match="a stored part of the run is damaged"):
        list(unpacked(body[:50] + bytes(50) + body[100:]))
