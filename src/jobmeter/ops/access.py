"""Who may ask: a read token and a push token, compared in constant time.

What shows the inside of the process (``debug``) needs the read token too; where none is set, a listener that only
this machine reaches.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Literal

from starlette.types import Scope

from jobmeter.ops.log import Log
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Access, Route

OPEN_ON_LOOPBACK = "This route is open on a loopback address only, as long as the daemon has no read token."
_FOR_PEOPLE = (
    "This page is for who has a read token. Sign in with it; where a browser asks by itself, it is the password, with "
    "any user name."
)


class Tokens:
    """The tokens of a daemon; one that is not set opens its routes to everyone.

    ``loopback`` says that the daemon listens where only this machine reaches it.
    """

    def __init__(self, read: str | None = None, push: str | None = None, *, loopback: bool = False) -> None:
        self._loopback = loopback
        self._expected: dict[Access, bytes | None] = {
            "open": None,
            "read": read.encode() if read else None,
            "push": push.encode() if push else None,
            "debug": read.encode() if read else None,
        }

    def admit(self, route: Route, scope: Scope) -> None:
        """Raises a problem 401 when the route needs a token that the request does not carry, 403 when nobody may."""
        expected = self._expected[route.access]
        if expected is None:
            if route.access == "debug" and not self._loopback:
                raise Problem(403, OPEN_ON_LOOPBACK)
            return
        given = token_of(scope)
        if given is None or not hmac.compare_digest(given, expected):
            raise unauthorized(route.access, route.challenge, given is None)


def warn_of_who_may(tokens: Mapping[str, tuple[str, str | None]], log: Log) -> None:
    """Say loudly what is open to everyone: for a daemon that others than this machine reach.

    ``tokens`` has, by what one may do with it, the variable that sets a token and the token.
    """
    missing = {what: variable for what, (variable, token) in tokens.items() if token is None}
    if missing:
        log.warn(
            f"ANYONE who reaches this address may {' and '.join(missing)}: set {' and '.join(missing.values())}, "
            "or listen on 127.0.0.1"
        )


def token_of(scope: Scope) -> bytes | None:
    """A Bearer token, or the password of Basic: what a browser can send."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            credentials = credentials.strip()
            if scheme.lower() == b"bearer":
                return bytes(credentials)
            if scheme.lower() == b"basic":
                return _password(credentials)
    return None


def is_bearer(scope: Scope) -> bool:
    """Whether the token was sent by a program on purpose: a password of Basic is added by browsers themselves."""
    return any(
        name == b"authorization" and value[:7].lower() == b"bearer " for name, value in scope["headers"]
    )


def _password(credentials: bytes) -> bytes | None:
    try:
        _, colon, password = base64.b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return None
    return password if colon else None


def unauthorized(
    access: Access, challenge: Literal["Bearer", "Basic"], missing: bool, *, only_stores: bool = False
) -> Problem:
    """The problem 401 of a request without a token, or with one that is not good for it.

    ``only_stores`` says of a valid token that it is good for storing runs and for nothing else.
    """
    header = 'Bearer realm="jobmeter"' if challenge == "Bearer" else 'Basic realm="jobmeter", charset="UTF-8"'
    token = access if access in ("push", "mint") else "read"
    told = "needs" if missing else "was sent a token that is not"
    if only_stores:
        told = "was sent a token that may only store runs: it needs"
    return Problem(
        401,
        f"This route {told} the {token} token; it is sent as `Authorization: Bearer TOKEN`.",
        people=_FOR_PEOPLE,
        headers={"WWW-Authenticate": header},
    )
