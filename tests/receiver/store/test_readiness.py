"""Ready is who can store and answer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.readiness import Readiness
from tests.receiver.api.running import running_receiver
from tests.support.postgresql import PostgresqlServer


def opened(place: str) -> Database:
    """A database that was made, and whose connections are closed."""
    database = Database.open(place)
    database.close()
    return database


def trouble(database: Database, writer: str | None = None) -> str | None:
    """What it says while the writer says this."""
    readiness = Readiness(database.backend, lambda: writer)
    try:
        return asyncio.run(readiness.trouble())
    finally:
        readiness.close()


def test_a_database_that_is_read_is_ready_as_far_as_the_writer_is(place: str) -> None:
    """The writer's sentence is passed on."""
    database = opened(place)
    assert trouble(database) is None
    assert trouble(database, "the writer does not run") == "the writer does not run"


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Also one that looks like part of an address."""
    assert trouble(opened(str(tmp_path / "a db?%41"))) is None


@pytest.mark.parametrize("harm", ["gone", "no database", "without its tables"])
def test_a_database_that_cannot_be_read_is_trouble(tmp_path: Path, harm: str) -> None:
    """Although questions that touch no page of it are still answered; nothing is made in its place."""
    path = tmp_path / "db"
    database = opened(str(path))
    if harm == "gone":
        path.unlink()
    elif harm == "no database":
        path.write_bytes(b"x" * 100_000)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE runs")
    assert str(trouble(database)).startswith("the database cannot be read: ")
    assert path.exists() is (harm != "gone")


@pytest.mark.parametrize("harm", ["gone", "without its tables"])
def test_a_database_of_a_server_that_cannot_be_read_is_trouble(
    postgresql: PostgresqlServer, harm: str
) -> None:
    """In one line."""
    with postgresql.database() as url:
        database = opened(url)
        if harm == "without its tables":
            postgresql.ask("DROP TABLE runs", database=url.rpartition("/")[2])
            said = trouble(database)
    if harm == "gone":
        said = trouble(database)
    assert str(said).startswith("the database cannot be read: ")
    assert "\n" not in str(said)


def test_a_receiver_that_cannot_store_says_so(tmp_path: Path) -> None:
    """A real one, whose table another process takes away."""
    with running_receiver(tmp_path) as receiver:
        assert receiver.get("/readyz", token=None).text == "ok\n"
        with closing(sqlite3.connect(tmp_path / "metrics.db")) as connection:
            connection.execute("DROP TABLE runs")
        until = time.monotonic() + 30
        while (answer := receiver.get("/readyz", token=None)).status_code == 200 and time.monotonic() < until:
            time.sleep(0.2)  # It may be over soon.
        assert (answer.status_code, answer.text[:10]) == (503, "the databa")
