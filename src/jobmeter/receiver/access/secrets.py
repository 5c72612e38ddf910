"""Tokens that are made here, and what is kept of them."""

import hashlib
import secrets

from jobmeter.receiver.access.grant import Right

_BYTES, _FINGERPRINT_BYTES = 32, 16
_PREFIXES: dict[Right, str] = {"read": "jmr_", "push": "jmp_", "mint": "jmm_"}
JOB_PREFIX = b"jmj_"
"""What the token of a job begins with; prefixes are for people, and for programs that look for lost secrets."""


def new_token(right: Right) -> str:
    """A token of 256 random bits."""
    return _PREFIXES[right] + secrets.token_urlsafe(_BYTES)


def digest_of(token: bytes) -> bytes:
    """What is stored and looked for: its SHA-256.

    What slows down guessing, as salt and rounds of bcrypt do, is for secrets that people choose. Nobody guesses 256
    random bits, and who compares digests in a table learns nothing of the token by how long that takes.
    """
    return hashlib.sha256(token).digest()


def fingerprint_of(digest: bytes) -> str:
    """By which the token of a digest is known again in any database, where it has another id."""
    return digest[:_FINGERPRINT_BYTES].hex()
