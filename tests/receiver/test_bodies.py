"""Bodies are bounded before and after they are inflated."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from jobmeter.receiver.bodies import MAX_BODY_BYTES, Body, Disconnected, read_body
from jobmeter.receiver.problems import Problem


def read(*pieces: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), whole: bool = True) -> Body:
    """Read a body that comes in pieces; the client is gone after them unless it is whole."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b""} if whole else {"type": "http.disconnect"})

    async def receive():
        return messages.pop(0)

    return asyncio.run(read_body({"headers": headers}, receive))


def test_pieces_are_one_body():
    """However it was cut on its way."""
    assert read(b"a", b"", b"bc").content() == b"abc"


def test_a_client_that_leaves_has_sent_nothing():
    """Half a body is none."""
    with pytest.raises(Disconnected):
        read(b"half", whole=False)


@pytest.mark.parametrize(
    "pieces, headers, status",
    [
        ((b"x" * (MAX_BODY_BYTES + 1),), (), 413),
        ((b"x" * MAX_BODY_BYTES, b"x"), (), 413),
        ((), ((b"content-length", b"99999999999999999999999"),), 413),
        ((), ((b"content-encoding", b"br"),), 415),
    ],
)
def test_too_much_and_unknown_are_refused(pieces, headers, status):
    """Where the headers say it, before anything is read."""
    with pytest.raises(Problem) as raised:
        read(*pieces, headers=headers)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "sent, status",
    [
        (gzip.compress(bytes(1001)), 413),
        (gzip.compress(b"abc")[:-5], 400),
        (gzip.compress(b"abc") + b"more", 400),
        (b"abc", 400),
        (b"", 400),
    ],
)
def test_what_does_not_inflate_within_its_bound_is_refused(sent, status):
    """A bomb is not inflated beyond it."""
    with pytest.raises(Problem) as raised:
        Body(sent, gzipped=True).content(limit=1000)
    assert raised.value.status == status


def test_what_is_just_small_enough_is_taken():
    """The bound itself is accepted."""
    assert len(Body(gzip.compress(bytes(1000)), gzipped=True).content(limit=1000)) == 1000
