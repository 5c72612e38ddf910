"""The tokens there are: those of the settings, and those of the database as it was a moment ago.

The whole table is kept in memory, so that a token is found without asking, and one that is nobody's costs no question
either. It is read again while requests come: who asks may be answered by what was read ``LIFE_SECONDS`` ago at most.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from jobmeter.model.errors import StoreError
from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.grant import RIGHTS, Grant, Right
from jobmeter.receiver.access.secrets import digest_of, fingerprint_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.tokens import NoteUse, Token, all_tokens

LIFE_SECONDS = 3.0
"""So long a token may still be taken after it was revoked, whichever receiver of the database is asked."""
_RENEW_SECONDS = 1.0
_AT_ONCE_SECONDS = 0.3
_NOTE_SECONDS = 60.0
_MAX_SOUGHT = 1024


class Directory:
    """Finds a token. ``note`` stores when tokens were used; ``told`` are the tokens of the settings, by their right."""

    def __init__(
        self,
        database: Database,
        told: Mapping[Right, str | None],
        note: Callable[[NoteUse], "asyncio.Future[None]"],
    ) -> None:
        self._database = database
        self._note = note
        self._told = {
            digest_of(token.encode()): Credential(
                rights=frozenset({right}), grant=Grant(who=f"the {right} token")
            )
            for right, token in told.items()
            if token
        }
        self._told_rights = frozenset(right for right, token in told.items() if token)
        self._stored: dict[bytes, Credential] = {}
        self._makers: dict[str | int, Credential] = {}
        self._needed = self._told_rights
        self._read_at = self._tried_at = -LIFE_SECONDS
        self._reading: asyncio.Task[None] | None = None
        self._sought: OrderedDict[bytes, None] = OrderedDict()
        self._used: dict[int, int] = {}
        self._noted_at = time.monotonic()

    @property
    def is_fresh(self) -> bool:
        """Whether what was read may be used; when it grows old, it is read anew meanwhile."""
        now = time.monotonic()
        if now - max(self._read_at, self._tried_at) >= _RENEW_SECONDS and self._reading is None:
            self._begin()
        return now - self._read_at < LIFE_SECONDS

    def told(self, digest: bytes) -> Credential | None:
        """A token of the settings, which is valid whatever the database says."""
        return self._told.get(digest)

    def stored(self, digest: bytes) -> Credential | None:
        """A token of the database."""
        return self._stored.get(digest)

    def maker(self, made_by: str | int) -> Credential | None:
        """The token of the database that another hangs on, by its fingerprint or its id; None once it is revoked."""
        return self._makers.get(made_by)

    def needs(self, right: Right) -> bool:
        """Whether a token is asked for: one of the settings, or any there ever was in the database."""
        return right in self._needed

    def used(self, token_id: int) -> None:
        """Somebody came with it."""
        self._used[token_id] = int(time.time() * 1000)

    async def renewed(self, sought: bytes | None = None) -> None:
        """Wait until it is fresh; after a failure what was read stays.

        A digest that is ``sought`` for the first time may have been stored since the last reading, however short a
        time that is ago: it waits for the next one.
        """
        if sought is not None and sought not in self._sought:
            self._sought[sought] = None
            if len(self._sought) > _MAX_SOUGHT:
                self._sought.popitem(last=False)
            await asyncio.sleep(max(self._read_at, self._tried_at) + _AT_ONCE_SECONDS - time.monotonic())
        now = time.monotonic()
        if now - self._read_at < (LIFE_SECONDS if sought is None else _AT_ONCE_SECONDS):
            return
        if self._reading is None:
            if now - self._tried_at < _AT_ONCE_SECONDS:
                return
            self._begin()
        assert self._reading is not None
        await asyncio.shield(self._reading)

    async def close(self) -> None:
        """Note what was used last."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await self._note_use()

    def _begin(self) -> None:
        self._tried_at = time.monotonic()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        begun = time.monotonic()
        try:
            self._take(await self._database.read(all_tokens))
            self._read_at = begun
        except StoreError:
            pass  # Whoever needs the database is told so.
        finally:
            self._reading = None
        if begun - self._noted_at >= _NOTE_SECONDS:
            self._noted_at = begun
            await self._note_use()

    def _take(self, rows: Iterable[Token]) -> None:
        found, makers = dict[bytes, Credential](), dict[str | int, Credential]()
        rights = set(self._told_rights)
        for row in rows:
            right = next((one for one in RIGHTS if one == row.allows), None)
            if right is None:
                continue
            rights.add(right)
            if row.revoked_at is not None:
                continue
            fingerprint = fingerprint_of(row.digest)
            found[row.digest] = makers[row.id] = makers[fingerprint] = Credential(
                rights=frozenset({right}),
                grant=Grant(who=row.name, scopes=None if row.scope is None else (row.scope,)),
                expires_at=None if row.expires_at is None else row.expires_at / 1000,
                token_id=row.id,
                fingerprint=fingerprint,
            )
        self._stored, self._makers, self._needed = found, makers, frozenset(rights)

    async def _note_use(self) -> None:
        used, self._used = self._used, {}
        if used:
            try:
                await self._note(NoteUse(used))
            except StoreError:
                self._used = used | self._used
