"""The directory of tokens: what it knows, how soon it learns, what it does when nobody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from jobmeter.model.errors import StoreError
from jobmeter.receiver.access import directory as module
from jobmeter.receiver.access.directory import Directory
from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.access.secrets import digest_of, fingerprint_of, new_token
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.moving.exporting import export
from jobmeter.receiver.store.moving.importing import import_
from jobmeter.receiver.store.scopes import Scope
from jobmeter.receiver.store.tokens import NoteUse, add_token, all_tokens, revoke_token

NOW = 1_700_000_000_000


def add(database: Database, name: str, right: str = "push", **options: Any) -> bytes:
    """Store a token; its digest."""
    digest = digest_of(name.encode())
    with database.writer.begin() as connection:
        add_token(connection, name=name, digest=digest, allows=right, now=NOW, **{"scope": None} | options)
    return digest


def revoke(database: Database, name: str) -> None:
    """Take it back."""
    with database.writer.begin() as connection:
        revoke_token(connection, name, NOW + 1)


def with_directory(place: str, work: Callable[[Database, Directory], Awaitable[Any]], **told: str) -> Any:
    """What ``work`` gives, with a directory of the database at this place."""

    async def run() -> Any:
        with closing(Database.open(place)) as database:

            def note(change: NoteUse) -> asyncio.Future[None]:
                with database.writer.begin() as connection:
                    change.apply(connection, NOW)
                done = asyncio.get_running_loop().create_future()
                done.set_result(None)
                return done

            return await work(database, Directory(database, told, note))  # type: ignore[arg-type]

    return asyncio.run(run())


def test_a_new_token_is_known_at_once_and_a_revoked_one_soon_is_not(place, monkeypatch):
    """Another one made it, and took it back."""
    monkeypatch.setattr(module, "_AT_ONCE_SECONDS", 0.0)
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.02)
    monkeypatch.setattr(module, "LIFE_SECONDS", 0.1)

    async def work(database: Database, directory: Directory) -> None:
        await directory.renewed()
        assert not directory.needs("push")
        digest = add(database, "ci", scope=Scope(organization="o"))
        await directory.renewed(digest)
        found = directory.stored(digest)
        assert found is not None
        assert (found.grant.who, found.grant.scopes, set(found.rights)) == (
            "ci",
            (Scope(organization="o"),),
            {"push"},
        )
        revoke(database, "ci")
        await asyncio.sleep(0.11)
        assert [directory.is_fresh] == [False]  # Nobody may be answered by what was read then.
        await directory.renewed()
        assert directory.is_fresh
        assert directory.stored(digest) is None
        assert directory.maker(fingerprint_of(digest)) is None
        assert directory.needs("push")  # Revoking the last one opens nothing.
        assert not directory.needs("read")

    with_directory(place, work)


def test_while_requests_come_nobody_waits(place, monkeypatch):
    """It is read in the background."""
    monkeypatch.setattr(module, "_RENEW_SECONDS", 0.02)

    async def work(database: Database, directory: Directory) -> None:
        await directory.renewed()
        digest = add(database, "ci")
        begun = time.monotonic()
        while directory.stored(digest) is None:
            assert directory.is_fresh
            assert time.monotonic() - begun < 10
            await asyncio.sleep(0.01)

    with_directory(place, work)


def test_a_token_that_was_stored_just_after_a_reading_is_found(place, monkeypatch):
    """Who comes with it first waits for the next reading; whoever comes again with one that is nobody's does not."""

    async def work(database: Database, directory: Directory) -> None:
        for name in ("one", "two"):
            await directory.renewed(digest_of(f"read before {name}".encode()))
            digest = add(database, name)
            await directory.renewed(digest)
            assert directory.stored(digest) is not None
        monkeypatch.setattr(asyncio, "sleep", None)
        await directory.renewed(digest)

    with_directory(place, work)


def test_many_who_wait_ask_once(place, monkeypatch):
    """And one that gives up disturbs no other."""

    async def work(database: Database, directory: Directory) -> None:
        asked = []
        read = database.read

        async def counted(question: Any) -> Any:
            asked.append(question)
            await asyncio.sleep(0.05)
            return await read(question)

        monkeypatch.setattr(database, "read", counted)
        waiting = [asyncio.create_task(directory.renewed()) for _ in range(50)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.gather(*waiting[1:])
        assert len(asked) == 1
        assert directory.is_fresh

    with_directory(place, work)


def test_a_database_that_cannot_be_read_is_not_asked_again_and_again(place, monkeypatch):
    """What was read before stays, and is not fresh; tokens of the settings need no database."""
    monkeypatch.setattr(module, "LIFE_SECONDS", 0.05)

    async def work(database: Database, directory: Directory) -> None:
        digest = add(database, "ci")
        await directory.renewed()
        asked = []

        async def failing(question: Any) -> Any:
            asked.append(question)
            raise StoreError("away")

        monkeypatch.setattr(database, "read", failing)
        await asyncio.sleep(0.06)
        for _ in range(20):
            await directory.renewed(b"nobody's")
            assert not directory.is_fresh
        assert len(asked) <= 1
        assert directory.stored(digest) is not None
        assert directory.told(digest_of(b"r")) is not None
        assert directory.needs("read")

    with_directory(place, work, read="r")


def test_use_is_noted(place):
    """By whoever saw it last, whichever receiver notes it first."""

    async def work(database: Database, directory: Directory) -> None:
        add(database, "ci")
        add(database, "idle")
        directory.used(1)
        await directory.close()
        with database.writer.begin() as connection:
            NoteUse({1: 5}).apply(connection, NOW)
            NoteUse({}).apply(connection, NOW)
        used, idle = database.read_here(all_tokens)
        assert abs((used.last_used_at or 0) / 1000 - time.time()) < 60
        assert idle.last_used_at is None

    with_directory(place, work)


def test_names_are_for_one_valid_token(place):
    """A revoked one's name may be used again."""

    async def work(database: Database, _: Directory) -> None:
        add(database, "ci")
        with pytest.raises(StoreError, match="there is a token 'ci' already"):
            add(database, "ci")
        revoke(database, "ci")
        with pytest.raises(StoreError, match="no valid token 'ci'"):
            revoke(database, "ci")
        with database.writer.begin() as connection:
            add_token(
                connection, name="ci", digest=b"\1" * 32, allows="read", scope=Scope(organization="o", job="j"),
                now=NOW, expires_at=NOW + 5,
            )  # fmt: skip
        first, second = database.read_here(all_tokens)
        assert (first.revoked_at, first.scope) == (NOW + 1, None)
        assert (second.scope, second.expires_at) == (Scope(organization="o", job="j"), NOW + 5)

    with_directory(place, work)


def test_tokens_are_long_and_say_what_they_are_for():
    """256 random bits after the prefix."""
    made = [new_token(right) for right in ("read", "push", "mint", "mint")]
    assert [one[:4] for one in made] == ["jmr_", "jmp_", "jmm_", "jmm_"]
    assert len(set(made)) == 4
    assert {len(one) for one in made} == {47}


def test_what_a_token_made_hangs_on_it_wherever_it_is_moved(place, tmp_path):
    """Its id is another one there, and its own was that of a stranger."""
    with closing(Database.open(str(tmp_path / "source.db"))) as source:
        minter = add(source, "forge", "mint")
        export(source, tmp_path / "files", lambda *_: None, with_tokens=True)
    job = Scope(organization="o", repository="r", workflow="w", job="j")
    made = JobTokens("key").find(JobTokens("key").mint(job, 60, fingerprint_of(minter))[0].encode())
    assert made is not None
    by = made.made_by or ""

    async def work(database: Database, directory: Directory) -> None:
        add(database, "stranger")
        await directory.renewed()
        assert directory.maker(by) is None
        revoke(database, "stranger")
        import_(database, tmp_path / "files", lambda *_: None, with_tokens=True)
        await directory.renewed(minter)
        found = directory.stored(minter)
        assert found is not None
        assert (found.token_id, found.fingerprint) == (2, by)
        assert [directory.maker(each) for each in (by, 2, 1)] == [found, found, None]
        revoke(database, "forge")
        await asyncio.sleep(0.31)
        await directory.renewed(minter)
        assert [directory.maker(each) for each in (by, 2)] == [None, None]

    with_directory(place, work)
