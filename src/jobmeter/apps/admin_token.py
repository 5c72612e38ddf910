"""`jobmeter admin token`: gives out tokens, shows them, takes them back."""

import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobmeter.apps.extras import required
from jobmeter.apps.outputs import say
from jobmeter.collector.log import Log
from jobmeter.config.admin import TokenSettings
from jobmeter.model.errors import StoreError, UsageError
from jobmeter.model.summarize import rfc3339_of
from jobmeter.report.text import clean

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from jobmeter.receiver.store.scopes import Scope
    from jobmeter.receiver.store.tokens import Token

# What to do with a new token.
_USES = {
    "read": "Browsers sign in with it at /login; jobmeter size and check take it as $JOBMETER_READ_TOKEN.",
    "push": "Jobs send what they use with it: jobmeter run and collector take it as $JOBMETER_PUSH_TOKEN.",
    "mint": "Whoever starts jobs sends it to POST /api/v1/token, and gives each job the token that comes back.",
}
_HEAD = ("name", "allows", "only for", "made", "expires", "last used", "state")


def token(settings: TokenSettings) -> int:
    """Add, list or revoke. Raises StoreError and UsageError."""
    with required("receiver"):
        from jobmeter.receiver.store.place import is_address
    with (
        required("postgresql" if is_address(settings.db) else "receiver"),
        _changing(settings.db) as connection,
    ):
        done: dict[str, Callable[[TokenSettings, Connection], list[str]]] = {
            "add": _add, "list": _list, "revoke": _revoke,
        }  # fmt: skip
        lines = done[settings.action](settings, connection)
    # What is told is on disk.
    print("\n".join(lines))
    return 0


@contextmanager
def _changing(place: str) -> "Iterator[Connection]":
    """A transaction in the database. Raises StoreError; none is made where there is none."""
    from jobmeter.receiver.store.database import Database
    from jobmeter.receiver.store.place import is_address

    if not is_address(place) and not os.path.exists(place):
        raise StoreError(f"{place} does not exist; --db names the database of the receiver")
    database = Database.open(place)
    try:
        with database.writer.begin() as connection:
            yield connection
    except Exception as error:
        judgement = database.backend.judge(error)
        if judgement is None:
            raise
        raise judgement.error from None
    finally:
        database.close()


def _add(settings: TokenSettings, connection: "Connection") -> list[str]:
    """The new token: it is shown this once, and only its digest is stored."""
    from jobmeter.receiver.access.secrets import digest_of, new_token
    from jobmeter.receiver.store.tokens import MAX_NAME, add_token

    right = settings.allow
    assert right is not None
    name, now, scope = settings.name, int(time.time() * 1000), _scope(settings)
    if not name.isprintable() or not name.strip() or len(name) > MAX_NAME:
        raise UsageError(
            f"{name[:40]!r} is no name of a token; accepted are 1 to {MAX_NAME} visible characters"
        )
    made = new_token(right)
    expires_at = None if settings.expires_in is None else now + int(settings.expires_in * 1000)
    add_token(
        connection, name=name, digest=digest_of(made.encode()), allows=right, scope=scope, now=now,
        expires_at=expires_at,
    )  # fmt: skip
    _tell("token added", settings, allows=right, only_for=None if scope is None else str(scope))
    say(f"Keep it, it is shown this once. {_USES[right]}")
    return [made]


def _scope(settings: TokenSettings) -> "Scope | None":
    from jobmeter.receiver.store.scopes import Scope

    if settings.organization is None:
        return None
    names = (settings.organization, settings.repository, settings.workflow, settings.job)
    if any(name is not None and (not name or "\0" in name or len(name) > 1024) for name in names):
        raise UsageError(
            "a name that a token is limited to is empty or too long; accepted are 1 to 1024 characters"
        )
    organization, repository, workflow, job = names
    assert organization is not None
    return Scope(organization=organization, repository=repository, workflow=workflow, job=job)


def _revoke(settings: TokenSettings, connection: "Connection") -> list[str]:
    from jobmeter.receiver.access.directory import LIFE_SECONDS
    from jobmeter.receiver.store.tokens import revoke_token

    revoke_token(connection, settings.name, int(time.time() * 1000))
    _tell("token revoked", settings)
    return [f"{clean(settings.name)} is revoked; receivers refuse it after {LIFE_SECONDS:.0f} s at most"]


def _list(settings: TokenSettings, connection: "Connection") -> list[str]:
    from jobmeter.receiver.store.tokens import all_tokens

    now = int(time.time() * 1000)
    rows = [_HEAD, *(_described(one, now) for one in all_tokens(connection))]
    return list(_aligned(rows)) if rows[1:] else ["There are no tokens."]


def _described(one: "Token", now: int) -> tuple[str, ...]:
    state = "valid"
    if one.revoked_at is not None:
        state = f"revoked {_day(one.revoked_at)}"
    elif one.expires_at is not None and one.expires_at <= now:
        state = "expired"
    scope = "everything" if one.scope is None else clean(str(one.scope))
    return (
        clean(one.name), one.allows, scope, _day(one.created_at), _day(one.expires_at), _day(one.last_used_at), state,
    )  # fmt: skip


def _day(milliseconds: int | None) -> str:
    """To the minute, in UTC."""
    return "never" if milliseconds is None else rfc3339_of(milliseconds / 1000)[:16] + "Z"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _tell(action: str, settings: TokenSettings, **fields: object) -> None:
    """The line of the audit, on stderr: of which database too, but no token and no password is in it."""
    from jobmeter.receiver.store.place import is_address, shown

    db = shown(settings.db) if is_address(settings.db) else os.path.abspath(settings.db)
    try:
        who = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        who = str(os.getuid())
    Log("info", "json").info("audit", action=action, name=settings.name, who=who, db=db, **fields)
    sys.stderr.flush()
