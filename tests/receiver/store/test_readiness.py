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


def trouble(path: Path, writer: str | None = None) -> str | None:
    """What it says while the writer says this."""
    readiness = Readiness(str(path), lambda: writer)
    try:
        return asyncio.run(readiness.trouble())
    finally:
        readiness.close()


def test_a_database_that_is_read_is_ready_as_far_as_the_writer_is(tmp_path: Path) -> None:
    """The writer's sentence is passed on."""
    path = tmp_path / "a db?%41"
    Database.open(str(path)).close()
    assert trouble(path) is None
    assert trouble(path, "the writer does not run") == "the writer does not run"


@pytest.mark.parametrize("harm", ["gone", "no database", "without its tables"])
def test_a_database_that_cannot_be_read_is_trouble(tmp_path: Path, harm: str) -> None:
    """Although questions that touch no page of it are still answered; nothing is made in its place."""
    path = tmp_path / "db"
    Database.open(str(path)).close()
    if harm == "gone":
        path.unlink()
    elif harm == "no database":
        path.write_bytes(b"x" * 100_000)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE runs")
    assert str(trouble(path)).startswith("the database cannot be read: ")
    assert path.exists() is (harm != "gone")


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
