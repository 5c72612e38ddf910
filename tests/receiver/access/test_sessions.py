"""Sessions: found by their cookie, kept for a moment, and not looked for as often as somebody likes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.receiver.access import sessions as module
from jobmeter.receiver.access.directory import Directory
from jobmeter.receiver.access.limits import Buckets
from jobmeter.receiver.access.sessions import Sessions
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.scopes import Scope

SCOPES = (Scope(organization="acme"),)


class Counted:
    """A database that counts how often it is asked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.asked = 0

    async def read(self, query: Any) -> Any:
        self.asked += 1
        return await self.database.read(query)


Work = Callable[[Sessions, Sessions, Counted], Awaitable[None]]


def with_sessions(place: str, work: Work) -> None:
    """Do this with the sessions of two receivers of one database, the second of which counts."""

    async def run() -> None:
        with closing(Database.open(place)) as database:

            def change(one: Any) -> asyncio.Future[Any]:
                with database.writer.begin() as connection:
                    one.apply(connection, 0)
                done = asyncio.get_running_loop().create_future()
                done.set_result(None)
                return done

            counted = Counted(database)

            def sessions(asked: Any) -> Sessions:
                found = Sessions(asked, Directory(database, {}, change), change, secure=False)
                found._made_up = Buckets(10.0, clock=lambda: 0.0)
                return found

            await work(sessions(database), sessions(counted), counted)

    asyncio.run(run())


async def who(sessions: Sessions, secret: str, near: str = "here") -> str | None:
    """Whose cookie this is."""
    found = await sessions.find({"headers": [(b"cookie", f"jobmeter={secret}".encode())]}, near)
    return None if found is None else found.grant.who


async def exhaust(sessions: Sessions) -> None:
    """Make sessions up until the receiver has enough of it."""
    for number in range(100):
        assert await who(sessions, f"made-up-{number}") is None
    with pytest.raises(Problem) as refused:
        await who(sessions, "made-up")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")


def test_made_up_sessions_cost_no_more_than_so_many_questions(tmp_path):
    """From elsewhere others are looked for; a session that was seen here goes on, whoever its neighbours are."""

    async def work(there: Sessions, here: Sessions, counted: Counted) -> None:
        seen, unseen = [await there.begin(name, scopes=SCOPES) for name in ("seen", "unseen")]
        own = await here.begin("own", scopes=SCOPES)
        assert await who(here, seen) == "seen"
        await exhaust(here)
        asked = counted.asked
        for secret in ("made-up", unseen):
            with pytest.raises(Problem):
                await who(here, secret)
        assert counted.asked == asked
        assert [await who(here, seen), await who(here, own)] == ["seen", "own"]
        for secret in (seen, own):
            here._kept = {digest: (-1000.0, session) for digest, (_, session) in here._kept.items()}
            assert await who(here, secret) is not None
        assert await who(here, unseen, "elsewhere") == "unseen"

    with_sessions(str(tmp_path / "metrics.db"), work)


def test_sessions_that_are_there_cost_nothing_of_it(tmp_path, monkeypatch):
    """However many people come from one address."""
    monkeypatch.setattr(module, "_MAX_KEPT", 1)

    async def work(there: Sessions, here: Sessions, counted: Counted) -> None:
        secrets = [await there.begin(name, scopes=SCOPES) for name in ("a", "b")]
        for _ in range(150):
            assert [await who(here, secret) for secret in secrets] == ["a", "b"]
        assert counted.asked == 300

    with_sessions(str(tmp_path / "metrics.db"), work)


def test_one_that_has_ended_is_made_up(tmp_path, monkeypatch):
    """It was seen once, and is no way to ask again and again."""

    async def work(there: Sessions, here: Sessions, counted: Counted) -> None:
        secret = await there.begin("ann", scopes=SCOPES)
        assert await who(here, secret) == "ann"
        await there.end(secret.encode())
        monkeypatch.setattr(module, "LIFE_SECONDS", 0.0)
        assert await who(here, secret) is None
        await exhaust(here)
        with pytest.raises(Problem):
            await who(here, secret)

    with_sessions(str(tmp_path / "metrics.db"), work)
