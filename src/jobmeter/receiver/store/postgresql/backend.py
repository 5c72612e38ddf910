"""PostgreSQL behind the port: a server's database that any number of receivers share, none of which leads.

What one of them decides about a run it decides with the row of the run locked. A change that waits for the lock of
another receiver waits as long as one on SQLite does, and a receiver that stops within a change loses its lock after
some seconds. Connections are kept by SQLAlchemy's pools; libpq reads the address, so that whatever it takes, as the
parameters of TLS, a file of passwords or several hosts, is taken.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import Column, Connection, Engine, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.backend import BUSY_SECONDS, READERS, Backend, Dropped, Judgement, Key
from jobmeter.receiver.store.migrating import upgrade
from jobmeter.receiver.store.postgresql import old_months, partitions
from jobmeter.receiver.store.postgresql import summaries as inserting
from jobmeter.receiver.store.postgresql.address import parse_address
from jobmeter.receiver.store.postgresql.errors import judged, sentence_of, store_error
from jobmeter.receiver.store.queries import MAX_PAGE_BYTES
from jobmeter.receiver.store.schema import parts, runs

MIGRATION_LOCK = 0x6A6D_0001
"""Of pg_advisory_xact_lock: one at a time looks whether the tables are up to date."""
_OLDEST = 130000
_POOL = "jobmeter"
_POOL_LOGGER = "sqlalchemy.pool.impl.QueuePool"
_OURS = {"runs", "parts", "alembic_version"}
"""What every version of the schema has."""
# A commit is on disk when it is answered, whatever the server's own setting; the others of that setting are stricter.
_WRITER_SETTINGS = f"""
    SELECT set_config(name, value, false) FROM (VALUES
        ('lock_timeout', '{BUSY_SECONDS:.0f}s'),
        ('idle_in_transaction_session_timeout', '10s'),
        ('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
        ('synchronous_commit', 'on')
    ) AS wanted (name, value)
    WHERE name <> 'synchronous_commit' OR current_setting(name) = 'off'
"""
# Rows are read through cursors, of which PostgreSQL would plan for the first tenth; and compiling a plan takes longer
# than any of our questions.
_READER_SETTINGS = "SET cursor_tuple_fraction = 1; SET jit = off"
_NEWEST = f"SELECT run_uid, state FROM {runs.name} ORDER BY id DESC LIMIT 1"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_DDL_PATIENCE = "SET LOCAL lock_timeout = '5s'"


class Postgresql:
    """The database at an address."""

    run_key: Column[Any] = runs.c.run_uid
    # Rows are measured before they are sent: a client is given all that a statement finds.
    seed_rows = f"""
        SELECT id, organization, repository, workflow, job, run_id,
            to_char(to_timestamp(received_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), summary
        FROM (
            SELECT newest.*, sum(length(summary)) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) AS bytes
            FROM (
                SELECT id, organization, repository, workflow, job, run_id, received_at, summary
                FROM {runs.name}
                WHERE organization = %s AND repository = %s AND workflow = %s AND job = %s
                    AND summary IS NOT NULL AND id < %s
                ORDER BY id DESC
                LIMIT %s
            ) AS newest
        ) AS measured
        WHERE bytes - length(summary) < {MAX_PAGE_BYTES}
        ORDER BY id DESC
    """
    trial = "SELECT pg_current_xact_id()"

    def __init__(self, url: str) -> None:
        """Raises UsageError for an address that is none, StoreError when it cannot be used, NewerSchema."""
        address = parse_address(url)
        self.place = address.shown
        self._connect = partial(psycopg.connect, address.conninfo)
        self.writer = _engine(self, self._writing, 1)
        self.reader = _engine(self, self._reading, READERS, pool_pre_ping=True)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.writer.dispose)
            self._make_ready()
            on_failure.pop_all()

    insert_alone = staticmethod(inserting.insert_alone)
    store_summaries = staticmethod(inserting.store_summaries)

    def last_begins(self, connection: Connection, key: Key, count: int, size: int) -> list[bytes]:
        """Bodies are stored as they are, so that the server reads a page of each."""
        newest_first = parts.c.first_sequence.desc()
        query = select(func.substr(parts.c.body, 1, size)).where(parts.c.run == key)
        return [bytes(begin) for (begin,) in connection.execute(query.order_by(newest_first).limit(count))]

    def judge(self, error: Exception) -> Judgement | None:
        """By the SQLSTATE."""
        return judged(error)

    def check_in_place(self) -> None:
        """The server sees to that."""

    def probe(self) -> str | None:
        """By a connection of its own: those of the pools may all be at work."""
        try:
            with self._connect() as connection:
                connection.execute(_NEWEST).fetchone()
        except psycopg.Error as error:
            return f"the database cannot be read: {sentence_of(error)}"
        return None

    def keep_up(self, now: int) -> None:
        """Make the partitions of the months to come."""
        with self._asking() as connection:
            partitions.make_ahead(connection, now)

    @contextlib.contextmanager
    def alone_at_removing(self) -> Iterator[bool]:
        """The lock is that of a connection, so that the server frees it when its receiver dies."""
        with self._asking() as connection:
            yield old_months.lock(connection)

    def drop_months(self, timelines_before: int | None, runs_before: int | None) -> Dropped:
        """Partitions of which nothing is to be kept."""
        with self._asking() as connection:
            return old_months.drop(connection, timelines_before, runs_before)

    def give_back(self, connection: Connection) -> bool:
        """The server's autovacuum makes room for what comes; a partition that is dropped is given back at once."""
        return False

    @contextlib.contextmanager
    def _asking(self) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
        """A connection of its own. Raises StoreError."""
        try:
            with self._connect(autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise store_error(error, self.place) from None

    def _writing(self) -> Any:
        connection = self._connect(autocommit=True)
        connection.execute(_WRITER_SETTINGS)
        connection.autocommit = False
        return connection

    def _reading(self) -> Any:
        connection = self._connect(autocommit=True)
        connection.execute(_READER_SETTINGS)
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def _make_ready(self) -> None:
        try:
            with self.writer.begin() as connection:
                self._check(connection)
                self._migrate(connection)
        except DBAPIError as error:
            raise store_error(error, self.place) from None

    def _check(self, connection: Connection) -> None:
        """Raises StoreError for a server or a database that cannot hold runs, or holds something else."""
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        if version < _OLDEST:
            raise StoreError(
                f"{self.place} is on PostgreSQL {version // 10000}; {_OLDEST // 10000} or newer is needed"
            )
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise StoreError(
                f"{self.place} is encoded as {encoding}; names need a database with ENCODING 'UTF8'"
            )
        tables = set(connection.execute(text(_TABLES)).scalars())
        if tables and not tables >= _OURS:
            raise StoreError(
                f"{self.place} is not a database of jobmeter: it has the table {min(tables - _OURS or tables)!r}; "
                "name another one"
            )

    def _migrate(self, connection: Connection) -> None:
        """Of receivers that start at once one migrates, and the others wait for it, however long that takes."""
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        connection.execute(text(_DDL_PATIENCE))
        upgrade(connection, self.place)


def _engine(
    backend: Backend, connect: Callable[[], Any], size: int, *, pool_pre_ping: bool = False
) -> Engine:
    # A pool prints a traceback of a lost connection that it closes; what was asked over it is answered with the reason.
    logging.getLogger(f"{_POOL_LOGGER}.{_POOL}").setLevel(logging.CRITICAL)
    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_logging_name=_POOL,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=pool_pre_ping,
        use_native_hstore=False,
        execution_options={"backend": backend},
    )
