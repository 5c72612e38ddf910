"""Tokens of jobs: made with a key, known by it, and nothing else."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.store.scopes import Scope

KEY = "a-key-of-the-tests"
JOB = Scope(organization="acme", repository="acme/engine", workflow="ci é.yml", job="build/1")


def test_a_token_is_known_again():
    """By whoever has the key; it pushes runs of its job until its end."""
    token, expires_at = JobTokens(KEY).mint(JOB, 60, "ab12")
    found = JobTokens(KEY).find(token.encode())
    assert found is not None
    assert set(found.rights) == {"push"}
    assert (found.grant.scopes, found.expires_at, found.made_by) == ((JOB,), expires_at, "ab12")
    assert abs(expires_at - time.time() - 60) < 5
    assert found.is_valid
    assert token.startswith("jmj_")
    assert token.isascii()


@pytest.mark.parametrize(
    "by, known", [(b'"ab12"', "ab12"), (b"7", 7), (b"null", None), (b"true", False), (b"7.5", False)]
)
def test_what_a_token_hangs_on_is_told_as_now_or_as_by_earlier_releases(by, known):
    """By its number: such tokens are still good when the receiver is replaced. What is neither is none."""
    tokens = JobTokens(KEY)
    claims = b'{"organization":"o","repository":"r","workflow":"w","job":"j","exp":9,"by":%s}' % by
    signed = b"jmj_" + base64.urlsafe_b64encode(claims).rstrip(b"=")
    found = tokens.find(signed + b"." + tokens._mac(signed))
    assert (found.made_by if found else False) == known


def test_its_time_passes():
    """It is still known, and no longer valid."""
    token, _ = JobTokens(KEY).mint(JOB, -1, None)
    found = JobTokens(KEY).find(token.encode())
    assert found is not None
    assert not found.is_valid


def test_another_key_makes_other_tokens():
    """Changing it ends all of them."""
    token, _ = JobTokens(KEY).mint(JOB, 60, None)
    assert JobTokens(KEY + "x").find(token.encode()) is None


@given(st.integers(0), st.binary(min_size=1, max_size=3))
def test_what_was_changed_is_not_known(place, bits):
    """Wherever it is; in base64url without padding each text is another token."""
    token = bytearray(JobTokens(KEY).mint(JOB, 60, None)[0].encode())
    place %= len(token)
    changed = bytes(token[:place]) + bits + bytes(token[place + len(bits) :])
    assert (JobTokens(KEY).find(changed) is None) == (changed != bytes(token))


@pytest.mark.parametrize("text", [b"", b"jmj_", b"jmj_.", b"jmj_e30.", b".", b"jmj_\xff.\xff", b"e30.e30"])
def test_what_is_none_is_not_known(text):
    """And is no error."""
    assert JobTokens(KEY).find(text) is None


@pytest.mark.parametrize("claims", [b"{}", b"[]", b"nonsense", b"\xff"])
def test_signed_claims_that_are_not_understood_are_none(claims):
    """A later release may have made them."""
    tokens = JobTokens(KEY)
    signed = b"jmj_" + base64.urlsafe_b64encode(claims).rstrip(b"=")
    assert tokens.find(signed + b"." + tokens._mac(signed)) is None


def test_only_so_many_are_remembered():
    """However many come."""
    tokens = JobTokens(KEY)
    for number in range(5000):
        assert tokens.find(tokens.mint(JOB, 60 + number, None)[0].encode()) is not None
    assert len(tokens._known) <= 4096
