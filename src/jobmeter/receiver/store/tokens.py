"""Tokens as they are stored: never the token itself, only its digest.

A token that was revoked or has expired stays as a row: that there were tokens once is what keeps a receiver closed.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.schema import tokens
from jobmeter.receiver.store.scopes import Scope

MAX_NAME = 100
MAX_TOKENS = 10_000
"""So many may be valid at a time: each receiver keeps them in memory."""


class Token(NamedTuple):
    """One token; times in milliseconds since 1970. ``allows`` is read, push or mint."""

    id: int
    name: str
    digest: bytes
    allows: str
    organization: str | None
    repository: str | None
    workflow: str | None
    job: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

    @property
    def scope(self) -> Scope | None:
        """What it is limited to; None for no limit."""
        if self.organization is None:
            return None
        return Scope(
            organization=self.organization, repository=self.repository, workflow=self.workflow, job=self.job
        )


def all_tokens(connection: Connection) -> list[Token]:
    """Every token there ever was, oldest first."""
    found = connection.execute(select(*(tokens.c[name] for name in Token._fields)).order_by(tokens.c.id))
    return [Token._make(row)._replace(digest=bytes(row.digest)) for row in found]


def add_token(
    connection: Connection,
    *,
    name: str,
    digest: bytes,
    allows: str,
    scope: Scope | None,
    now: int,
    expires_at: int | None = None,
) -> None:
    """Store a new one. Raises StoreError where one of this name is valid, or there are too many."""
    valid = connection.execute(select(tokens.c.name).where(tokens.c.revoked_at.is_(None))).scalars().all()
    if name in valid:
        raise StoreError(f"there is a token {name!r} already; revoke it first, or take another name")
    if len(valid) >= MAX_TOKENS:
        raise StoreError(f"there are {len(valid)} tokens; revoke those that nobody uses")
    values = {"name": name, "digest": digest, "allows": allows, "created_at": now, "expires_at": expires_at}
    if scope is not None:
        values |= {part: getattr(scope, part) for part in ("organization", "repository", "workflow", "job")}
    connection.execute(insert(tokens).values(values))


def revoke_token(connection: Connection, name: str, now: int) -> Token:
    """Take a token back and give what it was. Raises StoreError where none of this name is valid."""
    is_it = (tokens.c.name == name, tokens.c.revoked_at.is_(None))
    row = connection.execute(select(*(tokens.c[field] for field in Token._fields)).where(*is_it)).first()
    if row is None:
        raise StoreError(
            f"there is no valid token {name!r}; `jobmeter admin token list` shows those there are"
        )
    connection.execute(update(tokens).where(*is_it).values(revoked_at=now))
    return Token._make(row)


class NoteUse(NamedTuple):
    """Tokens were used: when last, in milliseconds since 1970, by their ids."""

    used: Mapping[int, int]
    size: int = 0

    def apply(self, connection: Connection, now: int) -> None:
        """Note it, unless another receiver has noted a later time."""
        if not self.used:
            return
        statement = (
            update(tokens)
            .where(tokens.c.id == bindparam("of"))
            .where((tokens.c.last_used_at.is_(None)) | (tokens.c.last_used_at < bindparam("at")))
            .values(last_used_at=bindparam("at"))
        )
        connection.execute(statement, [{"of": of, "at": at} for of, at in sorted(self.used.items())])
