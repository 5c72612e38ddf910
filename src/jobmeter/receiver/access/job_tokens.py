"""Tokens with which one job stores its runs, for a time. They are nowhere stored: an HMAC says that we made them.

`jmj_` CLAIMS `.` MAC, both in base64url without padding: CLAIMS is JSON of the job's organization, repository, workflow
and name, the second at which the token ends (`exp`) and the fingerprint of the token it hangs on (`by`; earlier
releases gave its number in the database), MAC the HMAC-SHA256 of all that stands before the full stop. Who has another
key has other tokens: changing it ends all of them at once.
"""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import msgspec
from msgspec import Struct

from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.grant import Grant, Right
from jobmeter.receiver.access.secrets import JOB_PREFIX
from jobmeter.receiver.store.scopes import Scope

_MAX_REMEMBERED = 4096
_PUSH: frozenset[Right] = frozenset({"push"})


class _Claims(Struct, kw_only=True, omit_defaults=True):
    organization: str
    repository: str
    workflow: str
    job: str
    exp: int
    by: str | int | None = None


_CLAIMS = msgspec.json.Decoder(_Claims)


class JobTokens:
    """Makes tokens of jobs with a key, and knows them again."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        # What was looked at last: to look again costs nothing.
        self._known: dict[bytes, Credential] = {}

    def mint(self, scope: Scope, seconds: int, made_by: str | None) -> tuple[str, int]:
        """A token of this job, and when it ends, in seconds since 1970.

        ``made_by`` is the fingerprint of the token of the database that it was asked with.
        """
        expires_at = int(time.time()) + seconds
        claims = _Claims(
            organization=scope.organization, repository=scope.repository or "", workflow=scope.workflow or "",
            job=scope.job or "", exp=expires_at, by=made_by,
        )  # fmt: skip
        signed = JOB_PREFIX + urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=")
        return f"{signed.decode()}.{self._mac(signed).decode()}", expires_at

    def find(self, token: bytes) -> Credential | None:
        """What a token is good for; None when it was not made with this key. Its end is not looked at."""
        known = self._known.get(token)
        if known is not None:
            return known
        signed, _, mac = token.partition(b".")
        if not signed.startswith(JOB_PREFIX) or not hmac.compare_digest(mac, self._mac(signed)):
            return None
        found = _credential(signed.removeprefix(JOB_PREFIX))
        if found is not None:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[token] = found
        return found

    def _mac(self, signed: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self._key, signed, "sha256")).rstrip(b"=")


def _credential(encoded: bytes) -> Credential | None:
    """Of claims that we signed; a later release may have signed others."""
    try:
        claims = _CLAIMS.decode(urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    except (Base64Error, msgspec.DecodeError, UnicodeDecodeError):
        return None
    scope = Scope(
        organization=claims.organization,
        repository=claims.repository,
        workflow=claims.workflow,
        job=claims.job,
    )
    return Credential(
        rights=_PUSH,
        grant=Grant(who=f"the job {scope}", scopes=(scope,)),
        expires_at=claims.exp,
        made_by=claims.by,
    )
