"""Opens the database: connections for readers and for the writer, migrations at start, a copy while it runs."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from jobmeter.model.errors import NewerSchema, StoreError
from jobmeter.receiver.store.errors import store_error
from jobmeter.receiver.store.file import (
    OpenedFiles,
    check_ours_or_empty,
    check_place,
    is_in_use,
    is_ours,
    reading_uri,
)

Answer = TypeVar("Answer")

# Who comes during one wait waits for the next one too, and senders give up after 10 s.
_BUSY_SECONDS = 4.0
_READERS = 4
# Of what takes long. With the one merge that may be under way a reader stays free for what is short.
_LONG_AT_ONCE = 2
# Two for each number of summaries in a commit.
_PREPARED = 256
# So much is written back at a time. Of less, the same pages are written again and again; and a WAL that still
# grows makes the disk write more at each commit than one whose space is used again.
_WAL_PAGES = 4_000
_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}",
    "PRAGMA cache_size = -16384",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA cache_size = -4096")
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """The database of one receiver; readers have connections of their own and never wait for the writer."""

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self._files = OpenedFiles(str(writer.url.database))
        self.writer = writer
        self.reader = reader
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")
        # Answers that nobody has taken up yet are no more than readers.
        self._room = asyncio.Semaphore(_READERS)
        self._room_for_long = asyncio.Semaphore(_LONG_AT_ONCE)

    @classmethod
    def open(cls, path: str) -> "Database":
        """Open the database, or make one for this user alone, and bring its tables up to date.

        Raises StoreError when it cannot be opened, NewerSchema when a later release has changed it.
        """
        check_place(path)
        check_ours_or_empty(path)
        with contextlib.suppress(OSError):  # It exists, or SQLite will say why it cannot be made.
            _make_private(path)
        writer = _engine(path, _WRITER_PRAGMAS, "BEGIN IMMEDIATE", 1)
        try:
            with writer.begin() as connection:
                _migrate(connection, path)
        except DBAPIError as error:
            raise store_error(error, path) from None
        return cls(writer, _engine(path, _READER_PRAGMAS, "BEGIN", _READERS))

    async def read(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask in a thread, with a connection that sees one state of the database from begin to end."""
        async with self._room:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self.read_here, question)

    async def read_long(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask what may take long: few at a time, so that what is short need not wait for it."""
        async with self._room_for_long:
            return await self.read(question)

    def read_here(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask in this thread. Raises StoreError."""
        try:
            with self.reader.connect() as connection:
                return question(connection)
        except DBAPIError as error:
            raise store_error(error) from None

    def check_in_place(self) -> None:
        """Raises StoreError when a file of it was moved, removed or replaced: what is stored would not be found."""
        self._files.check()

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.reader.dispose()
        self.writer.dispose()


def backup(path: str, target: str) -> None:
    """Copy the database to a file while a receiver uses it; the copy is whole or is not there.

    It replaces an older copy, whose mode it takes, and nothing else. Raises StoreError.
    """
    try:
        _check_copy(path, target)
        if not is_ours(path):
            raise StoreError(f"{path} is not a database of jobmeter; --db names the database of the receiver")
        with _unfinished_beside(target) as unfinished:
            _copy(path, unfinished)
            if os.path.exists(target):
                shutil.copymode(target, unfinished)
            _flush(unfinished)
            os.replace(unfinished, target)
    except (sqlite3.Error, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{path} could not be copied to {target!r}: {reason}") from None


def _check_copy(path: str, target: str) -> None:
    """Raises StoreError when there is nothing to copy, or when the copy would replace anything but a copy."""
    if not os.path.exists(path):
        raise StoreError(f"{path} does not exist; --db names the database of the receiver")
    if not os.path.lexists(target):
        return
    if os.path.exists(target) and os.path.samefile(path, target):
        raise StoreError(f"{target} is the database itself; name another file for the copy")
    if os.path.isfile(target) and (is_in_use(target) or os.path.exists(f"{target}-wal")):
        raise StoreError(f"{target} is in use as a database; name a new file or an older copy")
    if not _is_copy(target):
        raise StoreError(f"{target} exists and is no copy of jobmeter's; name a new file or an older copy")


def _is_copy(target: str) -> bool:
    try:
        return os.path.isfile(target) and is_ours(target, at_rest=True)
    except StoreError:
        return False


@contextlib.contextmanager
def _unfinished_beside(target: str) -> Iterator[str]:
    """A file for this user alone, under a name that nobody has; it goes unless it was given another one."""
    fd, unfinished = tempfile.mkstemp(
        prefix=".jobmeter-", suffix=".part", dir=os.path.dirname(target) or os.curdir
    )
    os.close(fd)
    try:
        yield unfinished
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _copy(path: str, target: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(reading_uri(path), uri=True)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        # In one step: a copy in several begins anew at each commit of a busy receiver.
        source.backup(copy)


def _make_private(path: str) -> None:
    """Make an empty file for this user alone; SQLite gives those beside it the same mode. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _engine(path: str, pragmas: tuple[str, ...], begin: str, size: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=os.path.abspath(path)),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={
            "timeout": _BUSY_SECONDS,
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


def _migrate(connection: Connection, path: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise NewerSchema(
                f"{path} was changed by a later release of jobmeter (schema {revision}, known here are up to "
                f"{max(known)}); use that release or a backup from before"
            )
    command.upgrade(config, "head")
