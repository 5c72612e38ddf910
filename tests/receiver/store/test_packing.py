"""What was compressed comes back, in pieces of bounded size."""

import gzip
from collections.abc import Callable

import pytest

from jobmeter.model.errors import JournalError
from jobmeter.receiver.store.packing import block_packer, packed, unpacked

LINES = tuple(b'{"kind":"sample","sequence":%d,"cpu_seconds":%d.5}' % (one, one * 7) for one in range(40_000))
TEXT = b"".join(line + b"\n" for line in LINES)


def block(text: bytes) -> bytes:
    """What is left of a run that is over."""
    packer = block_packer()
    return packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    "pack", [lambda text: packed(text.splitlines()), gzip.compress, block], ids=["part", "sent", "block"]
)
@pytest.mark.parametrize("text", [TEXT, TEXT[: len(LINES[0]) + 1], b""], ids=["long", "line", "nothing"])
def test_what_was_packed_is_unpacked(pack: Callable[[bytes], bytes], text: bytes) -> None:
    """In each of the forms that lie in a database."""
    pieces = list(unpacked(pack(text)))

    assert b"".join(pieces) == text
    assert max(map(len, pieces), default=0) <= 256 * 1024


def test_a_block_takes_less_than_its_parts() -> None:
    """That is what it is for."""
    parts = [packed(LINES[place : place + 10]) for place in range(0, len(LINES), 10)]

    assert len(block(TEXT)) < sum(map(len, parts)) / 3


@pytest.mark.parametrize("pack", [gzip.compress, block], ids=["sent", "block"])
def test_what_is_damaged_is_one_error(pack: Callable[[bytes], bytes]) -> None:
    """Whatever it was packed with."""
    body = pack(TEXT)

    with pytest.raises(JournalError, match="a stored part of the run is damaged"):
        list(unpacked(body[:50] + bytes(50) + body[100:]))
