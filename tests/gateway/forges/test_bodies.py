"""Content coding is taken off within a bound."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.forges.bodies import plain_body
from jobmeter.gateway.forges.port import Unreadable

GZIP = {"content-encoding": "gzip"}


@pytest.mark.parametrize("headers", [{}, {"content-encoding": ""}, {"content-encoding": "Identity"}])
def test_a_plain_body(headers):
    """It is what it is."""
    assert plain_body(headers, b"abc", 3) == b"abc"


@pytest.mark.parametrize("coding", ["gzip", " GZIP "])
def test_a_gzip_body(coding):
    """It is unpacked, and an empty one marked so is empty."""
    assert plain_body({"content-encoding": coding}, gzip.compress(b"abc"), 3) == b"abc"
    assert plain_body(GZIP, b"", 3) == b""


@pytest.mark.parametrize(
    "headers, body, sentence",
    [
        ({}, b"abcd", "A body has more than 3 bytes."),
        (GZIP, gzip.compress(b"abcd", mtime=0), "A body has more than 3 bytes when it is unpacked."),
        (
            GZIP,
            gzip.compress(bytes(10_000_000), mtime=0),
            "A body has more than 3 bytes when it is unpacked.",
        ),
        (GZIP, gzip.compress(b"abc", mtime=0)[:-1], "A gzip body is cut, or something follows it."),
        (GZIP, gzip.compress(b"abc", mtime=0) * 2, "A gzip body is cut, or something follows it."),
        (GZIP, b"abc", "A body is not the gzip that it is marked as."),
        ({"content-encoding": "br"}, b"abc", "A body has a content coding other than gzip."),
        ({"content-encoding": "gzip, gzip"}, b"abc", "A body has a content coding other than gzip."),
    ],
)
def test_what_is_not_held(headers, body, sentence):
    """One sentence each; what grows beyond the bound is not unpacked further."""
    with pytest.raises(Unreadable) as raised:
        plain_body(headers, body, 3)
    assert str(raised.value) == sentence


@given(st.binary(max_size=200), st.integers(0, 50))
def test_arbitrary_bytes(body, cut):
    """Either the bytes that were packed, or our own error."""
    packed = bytearray(gzip.compress(body))
    del packed[len(packed) - cut :]
    try:
        assert plain_body(GZIP, bytes(packed), 1000) in (body, b"")
    except Unreadable:
        assert cut
    with suppress(Unreadable):
        plain_body(GZIP, body, 1000)
