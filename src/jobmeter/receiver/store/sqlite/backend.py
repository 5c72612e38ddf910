"""SQLite behind the port: one file, one writer at a time, readers that never wait for it."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from jobmeter.receiver.store.backend import BUSY_SECONDS, READERS, Backend, Dropped, Judgement, Key
from jobmeter.receiver.store.migrating import upgrade
from jobmeter.receiver.store.schema import parts, runs
from jobmeter.receiver.store.sqlite import summaries as inserting
from jobmeter.receiver.store.sqlite.errors import judged, store_error
from jobmeter.receiver.store.sqlite.file import OpenedFiles, check_ours_or_empty, check_place, reading_uri

# Two for each number of summaries in a commit.
_PREPARED = 256
# So much is written back at a time. Of less, the same pages are written again and again; and a WAL that still
# grows makes the disk write more at each commit than one whose space is used again.
_WAL_PAGES = 4_000
_INCREMENTAL = 2
_GIVEN_BACK_PAGES = 500
_WRITER_PRAGMAS = (
    # Before anything is written; of a file that has tables it changes nothing.
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}",
    "PRAGMA cache_size = -16384",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA cache_size = -4096")
_PROBE_SECONDS = 1.0
_NEWEST = f"SELECT run_uid, state FROM {runs.name} ORDER BY id DESC LIMIT 1"


class Sqlite:
    """The database in a file; it is made for this user alone when it is missing."""

    run_key: Column[Any] = runs.c.id
    # Times are written out here because the interpreter takes longer for it than for all the rest of a row.
    seed_rows = f"""
        SELECT id, organization, repository, workflow, job, run_id,
            strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch'), summary
        FROM {runs.name}
        WHERE organization = ? AND repository = ? AND workflow = ? AND job = ? AND summary IS NOT NULL AND id < ?
        ORDER BY id DESC
        LIMIT ?
    """
    # Writes a page in which nothing changes.
    trial = "PRAGMA user_version = 0"

    def __init__(self, path: str) -> None:
        """Raises StoreError when it cannot be opened, NewerSchema when a later release has changed it."""
        check_place(path)
        check_ours_or_empty(path)
        with contextlib.suppress(OSError):  # It exists, or SQLite will say why it cannot be made.
            _make_private(path)
        self.place = path
        self.writer = _engine(self, path, _WRITER_PRAGMAS, "BEGIN IMMEDIATE", 1)
        try:
            with self.writer.begin() as connection:
                upgrade(connection, path)
        except DBAPIError as error:
            raise store_error(error, path) from None
        self.reader = _engine(self, path, _READER_PRAGMAS, "BEGIN", READERS)
        self._files = OpenedFiles(os.path.abspath(path))
        self._uri = reading_uri(path)

    insert_alone = staticmethod(inserting.insert_alone)
    store_summaries = staticmethod(inserting.store_summaries)

    def last_begins(self, connection: Connection, key: Key, count: int, size: int) -> list[bytes]:
        """A function of SQL would be given the whole body."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        newest_first = parts.c.first_sequence.desc()
        query = select(text("rowid")).where(parts.c.run == key).order_by(newest_first).limit(count)
        found = []
        for row in connection.execute(query).scalars().all():
            with driver.blobopen(parts.name, parts.c.body.name, row, readonly=True) as body:
                found.append(body.read(size))
        return found

    def judge(self, error: Exception) -> Judgement | None:
        """By the code of SQLite."""
        return judged(error)

    def check_in_place(self) -> None:
        """The files must be those that were opened."""
        self._files.check()

    def probe(self) -> str | None:
        """Opened anew: a file that is gone would still be read."""
        try:
            with closing(sqlite3.connect(self._uri, uri=True, timeout=_PROBE_SECONDS)) as connection:
                connection.execute(_NEWEST).fetchone()
        except sqlite3.Error as error:
            return f"the database cannot be read: {error}"
        return None

    def keep_up(self, now: int) -> None:
        """Nothing has to be made ahead."""

    def alone_at_removing(self) -> AbstractContextManager[bool]:
        """One receiver is enough, and what two of them remove is removed once."""
        return contextlib.nullcontext(True)

    def drop_months(self, timelines_before: int | None, runs_before: int | None) -> Dropped:
        """There are no months."""
        return Dropped()

    def give_back(self, connection: Connection) -> bool:
        """A tenth of the file stays free for what comes; a file of an earlier release keeps its size."""
        pages, free, mode = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "auto_vacuum")
        )
        if mode != _INCREMENTAL or free <= pages // 10:
            return False
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        for _ in range(min(_GIVEN_BACK_PAGES, free)):
            # Of a statement without columns the library makes the first step, which is one page.
            driver.execute("PRAGMA incremental_vacuum(1)")
        return True


def _make_private(path: str) -> None:
    """Make an empty file for this user alone; SQLite gives those beside it the same mode. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _engine(backend: Backend, path: str, pragmas: Sequence[str], begin: str, size: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=os.path.abspath(path)),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        execution_options={"backend": backend},
        connect_args={
            "timeout": BUSY_SECONDS,
            "check_same_thread": False,
            "isolation_level": None,
            "cached_statements": _PREPARED,
        },
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # The library would begin transactions by itself, and too late.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
