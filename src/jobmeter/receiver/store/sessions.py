"""Sessions of people who have shown who they are. Every receiver of the database knows them."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from jobmeter.receiver.store.schema import sessions
from jobmeter.receiver.store.scopes import Scope, Scopes

_SCOPES = msgspec.json.Decoder(tuple[Scope, ...] | None)


class Session(NamedTuple):
    """One session; times in milliseconds since 1970. Its secret is in the browser, and here only the digest of it.

    With ``token_digest`` it may do what that token may, as long as that is valid; else ``scopes`` are what may be seen.
    """

    digest: bytes
    token_digest: bytes | None
    who: str
    scopes: Scopes
    created_at: int
    expires_at: int


def find_session(connection: Connection, digest: bytes) -> Session | None:
    """The session with this digest, whether or not its time has passed."""
    query = select(*(sessions.c[name] for name in Session._fields)).where(sessions.c.digest == digest)
    row = connection.execute(query).first()
    if row is None:
        return None
    token_digest = None if row.token_digest is None else bytes(row.token_digest)
    scopes = None if row.scopes is None else _SCOPES.decode(bytes(row.scopes))
    return Session._make(row)._replace(digest=digest, token_digest=token_digest, scopes=scopes)


class BeginSession(NamedTuple):
    """Somebody signs in."""

    session: Session
    size: int = 0

    def apply(self, connection: Connection, now: int) -> None:
        """Store it; sessions that are over go."""
        connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
        scopes = None if self.session.scopes is None else msgspec.json.encode(self.session.scopes)
        connection.execute(insert(sessions).values(self.session._asdict() | {"scopes": scopes}))


class EndSession(NamedTuple):
    """Somebody signs out."""

    digest: bytes
    size: int = 0

    def apply(self, connection: Connection, now: int) -> None:
        """Forget it, if it is there."""
        connection.execute(delete(sessions).where(sessions.c.digest == self.digest))
