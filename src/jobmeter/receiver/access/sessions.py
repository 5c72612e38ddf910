"""Who looks at pages signs in once; then a cookie says who it is."""

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope as RequestScope

from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.directory import LIFE_SECONDS, Directory
from jobmeter.receiver.access.grant import Grant, Right
from jobmeter.receiver.access.limits import Buckets, too_many
from jobmeter.receiver.access.secrets import digest_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.receiver.store.sessions import BeginSession, EndSession, Session, find_session

SESSION_SECONDS = 12 * 3600
_MAX_KEPT = 1000
_MADE_UP_PER_SECOND = 10.0
_READ: frozenset[Right] = frozenset({"read"})


class Sessions:
    """Begins, finds and ends sessions. What was found is kept for ``LIFE_SECONDS``.

    ``change`` stores a change. ``secure`` is for who is reached over HTTPS: the cookie is sent over nothing else.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        change: Callable[[Any], "asyncio.Future[Any]"],
        *,
        secure: bool,
    ) -> None:
        self._database = database
        self._directory = directory
        self._change = change
        self._secure = secure
        # The prefix keeps others of the same site from setting it (RFC 6265bis).
        self.cookie = "__Host-jobmeter" if secure else "jobmeter"
        self._kept: dict[bytes, tuple[float, Session]] = {}
        self._made_up = Buckets(_MADE_UP_PER_SECOND)

    async def begin(
        self,
        who: str,
        *,
        token_digest: bytes | None = None,
        scopes: Scopes = None,
        until: float | None = None,
    ) -> str:
        """A new session; what its cookie says. It ends at ``until`` (seconds since 1970) at the latest."""
        secret, now = secrets.token_urlsafe(32), time.time()
        ends = now + SESSION_SECONDS if until is None else min(until, now + SESSION_SECONDS)
        session = Session(
            digest_of(secret.encode()), token_digest, who, scopes, int(now * 1000), int(ends * 1000)
        )
        await self._change(BeginSession(session))
        self._keep(session)
        return secret

    def entered(self, secret: str, go_on: str) -> Response:
        """On to the page that was wanted, with a session that was begun."""
        response = Response(status_code=303, headers={"Location": go_on, "Cache-Control": "no-store"})
        self.set_cookie(response, self.cookie, secret, SESSION_SECONDS)
        return response

    def set_cookie(
        self, response: Response, name: str, value: str, seconds: int, *, strict: bool = False
    ) -> None:
        """No script reads it. Strictly no other site makes a browser send it; else only by a link to a page."""
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self._secure, httponly=True,
            samesite="strict" if strict else "lax",
        )  # fmt: skip

    async def end(self, secret: bytes) -> None:
        """Forget a session, at the other receivers within ``LIFE_SECONDS``."""
        digest = digest_of(secret)
        self._kept.pop(digest, None)
        await self._change(EndSession(digest))

    async def find(self, scope: RequestScope, near: str) -> Credential | None:
        """What the cookie of a request is good for. Raises StoreError, and a problem 429 for who makes them up.

        ``near`` is the neighbourhood that it comes from.
        """
        secret = cookie_of(scope, self.cookie)
        session = None if secret is None else await self._session(digest_of(secret), near)
        if session is None or session.expires_at <= time.time() * 1000:
            return None
        if session.token_digest is None:
            return Credential(rights=_READ, grant=Grant(who=session.who, scopes=session.scopes))
        found = self._directory.told(session.token_digest) or self._directory.stored(session.token_digest)
        return found if found is not None and found.is_valid else None

    async def _session(self, digest: bytes, near: str) -> Session | None:
        """As it was a moment ago. For those that are not there the database is asked only so often."""
        kept = self._kept.get(digest)
        if kept is not None and time.monotonic() - kept[0] < LIFE_SECONDS:
            return kept[1]
        wait = self._made_up.take(near) if kept is None else 0.0
        if wait:
            raise too_many("From this address come too many sessions that nobody has begun", wait)
        session = await self._database.read(partial(find_session, digest=digest))
        if session is None:
            self._kept.pop(digest, None)
            return None
        if kept is None:
            self._made_up.give_back(near)
        self._keep(session)
        return session

    def _keep(self, session: Session) -> None:
        if len(self._kept) >= _MAX_KEPT and session.digest not in self._kept:
            self._kept.clear()
        self._kept[session.digest] = (time.monotonic(), session)


def cookie_of(scope: RequestScope, name: str) -> bytes | None:
    """What a cookie of a request says; those of others beside it may look as they like."""
    for header, value in scope["headers"]:
        if header == b"cookie" and name.encode() in value:
            found = cookie_parser(value.decode("latin-1")).get(name)
            if found:
                return found.encode("latin-1", "replace")
    return None
