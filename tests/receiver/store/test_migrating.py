"""Tables are brought up to date, whatever is in them and however many begin at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from jobmeter.model.errors import NewerSchema, StoreError
from jobmeter.receiver.bookkeeping import Bookkeeping
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.migrating import upgrade
from jobmeter.receiver.store.schema import metadata
from jobmeter.receiver.store.streams import Claim
from jobmeter.receiver.store.usage_tables import usages
from jobmeter.receiver.store.writer import Writer
from tests.receiver.store.support import asked, found, lines, part, stored, summary, with_writer
from tests.receiver.store.test_usages import Quiet
from tests.support.postgresql import PostgresqlServer

HEAD = "0012"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty(request: pytest.FixtureRequest, tmp_path: Path):
    """What names a database that nothing was made in."""
    if request.param == "sqlite":
        yield str(tmp_path / "db")
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


def engine(place: str) -> Engine:
    """A connection that knows nothing of receivers."""
    if place.startswith("postgresql:"):
        return create_engine(place.replace("postgresql:", "postgresql+psycopg:"))
    return create_engine(f"sqlite:///{place}")


def of_version(version: str, place: str) -> None:
    """A database as the release with this schema left it: a run that ended, and one that goes on."""
    made = engine(place)
    key = "run_uid" if place.startswith("postgresql:") else "id"
    with made.begin() as connection:
        upgrade(connection, place, version)
        for uid, state, body in (("old", "finished", b'{"n":1}'), ("going", "running", None)):
            connection.execute(
                text(
                    "INSERT INTO runs (run_uid, state, received_at, heard_at, next_sequence, pushed, job_json, summary)"
                    " VALUES (:uid, :state, 5, 6, 2, :pushed, :job, :body)"
                ),
                {"uid": uid, "state": state, "pushed": False, "job": b"{}", "body": body},
            )
        connection.execute(
            text(f"INSERT INTO parts SELECT {key}, 0, 2, :body FROM runs WHERE state = 'running'"),
            {"body": part("going", 0, 2)._body(0)},
        )
    made.dispose()


@pytest.mark.parametrize("version", ["0001", "0002", "0003", "0006", "0008", "0010", "0011"])
def test_a_database_of_a_version_before_keeps_its_runs(empty, version):
    """They can be read, go on, and be claimed."""
    of_version(version, empty)
    Database.open(empty).close()
    assert asked(empty, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    old, going = found(empty, "old"), found(empty, "going")
    assert (old.state, old.summary, old.received_at) == ("finished", b'{"n":1}', 5)
    assert (going.state, going.heard_at, going.next_sequence) == ("running", 6, 2)
    assert stored(empty, Claim(1000), part("going", 2, 1), summary("old", b'{"n":2}'))[0] == ["going"]
    assert lines(empty, "going") == [0, 1, 2]
    assert found(empty, "old").id == old.id


_OLD_HISTORY = (
    "INSERT INTO jobs (organization, repository, workflow, job, runs) VALUES ('o', 'r', 'w', 'gone', 7)",
    "INSERT INTO usages (run_uid, job, begun_at, heard_at, whole, lower_bounds, leg, labels)"
    " VALUES ('old', 1, 5, 6, :no, '', '', ''), ('removed', 1, 5, 6, :no, '', '', '')",
    "INSERT INTO usage_days (day, job, labels, runs, failed_runs, cores_told_runs, memory_told_runs)"
    " VALUES (0, 1, '', 2, 2, 0, 0)",
    "UPDATE usage_progress SET heard_at = 7",
)


@pytest.mark.parametrize("version", ["0003", "0005", "0006"])
def test_what_runs_used_is_taken_in_again(empty: str, version: str) -> None:
    """Whatever was made of it before."""
    of_version(version, empty)
    made = engine(empty)
    with made.begin() as connection:
        for statement in _OLD_HISTORY if version > "0003" else ():
            connection.execute(text(statement), {"no": False} if ":no" in statement else {})
    made.dispose()

    async def work(writer: Writer, database: Database) -> None:
        await Bookkeeping(database, writer, Quiet()).catch_up()

    with_writer(empty, work)

    assert asked(empty, "SELECT run_uid, job, begun_at, heard_at, whole FROM usages") == [
        ("old", 1, 5, 6, True)
    ]
    assert asked(empty, "SELECT job, runs, last_begun_at FROM jobs") == [("", 1, 5)]
    assert asked(empty, "SELECT day, job, runs, failed_runs FROM usage_days") == [(0, 1, 1, 0)]


def test_runs_that_were_removed_stay_told(empty: str) -> None:
    """With what their containers left unused together; the others are taken in again, and a job of none goes."""
    of_version("0008", empty)
    made = engine(empty)
    with made.begin() as connection:
        for statement in (
            "INSERT INTO jobs (organization, repository, workflow, job, runs)"
            " VALUES ('o', 'r', 'w', 'none', 0), ('o', 'r', 'w', 'j', 2)",
            "INSERT INTO usages (run_uid, job, begun_at, heard_at, gone, lower_bounds, leg, labels,"
            " cores_partial, memory_partial, cores_reserved, cores_reserved_used, memory_reserved,"
            " memory_reserved_used)"
            " VALUES ('old', 2, 5, 6, false, '', '', '', false, false, NULL, NULL, NULL, NULL),"
            " ('removed', 2, 5, 7, true, '', '', '', false, false, 4.0, 1.0, 5.0, 9.0),"
            " ('to forget', 2, 5, 7, false, '', '', '', false, false, NULL, NULL, 5.0, 3.0)",
        ):
            connection.execute(text(statement))
    made.dispose()
    Database.open(empty).close()

    numbers = "cores_reserved_unused, memory_reserved_unused"
    assert asked(empty, f"SELECT run_uid, heard_at, {numbers} FROM usages ORDER BY 1") == [
        ("old", -1, None, None),
        ("removed", 7, 3.0, 0.0),
        ("to forget", 7, None, 2.0),
    ]
    assert asked(empty, "SELECT job FROM jobs") == [("j",)]


def test_evidence_has_the_partitions_that_parts_have(postgresql: PostgresqlServer) -> None:
    """Those of months, too, so that a month goes with all that is of it."""
    bounds = (
        "SELECT split_part(relname, '_', 1), substr(relname, strpos(relname, '_')), pg_get_expr(relpartbound, oid)"
        " FROM pg_class WHERE relpartbound IS NOT NULL AND relkind = 'r' ORDER BY 2"
    )
    with postgresql.database() as url:
        of_version("0010", url)
        made = engine(url)
        with made.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE parts_2099_01 PARTITION OF parts FOR VALUES FROM ('01f00000') TO ('01f10000')"
                )
            )
        made.dispose()
        Database.open(url).close()
        rows = asked(url, bounds)
    of_parts, of_evidence = ([row[1:] for row in rows if row[0] == table] for table in ("parts", "evidence"))
    assert len(of_parts) == 4
    assert of_evidence == of_parts


def test_migrations_make_the_tables_that_queries_are_written_with(empty):
    """No difference but those of partitions: their key is unique as the primary one, and none is foreign."""
    database = Database.open(empty)
    partitions = set()
    with database.writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            partitions = set(
                connection.execute(text("SELECT inhrelid::regclass::text FROM pg_inherits")).scalars()
            )
        migrations = MigrationContext.configure(
            connection,
            opts={"include_object": lambda _, name, kind, *__: not (kind == "table" and name in partitions)},
        )
        difference = compare_metadata(migrations, metadata)
    database.close()
    assert usages.metadata is metadata
    told = {(one[0], one[1].name) for one in difference}
    expected = {("add_fk", None), ("add_constraint", None), ("remove_index", "runs_by_id")}
    assert told == (expected if partitions else set()), difference


def test_receivers_that_start_at_once_migrate_once(postgresql):
    """The others wait, and find it done; with data of the version before in it."""
    with postgresql.database() as url:
        of_version("0001", url)
        with ThreadPoolExecutor(6) as pool:
            for database in pool.map(Database.open, [url] * 6):
                database.close()
        assert asked(url, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert asked(url, "SELECT count(*) FROM runs") == [(2,)]


def test_receivers_that_start_at_once_on_nothing_make_one_database(postgresql):
    """However many."""
    with postgresql.database() as url, ThreadPoolExecutor(6) as pool:
        for database in pool.map(Database.open, [url] * 6):
            database.close()
        assert asked(url, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_a_database_of_a_later_release_is_not_touched(empty):
    """One sentence says so."""
    stored(empty, summary("a"))
    made = engine(empty)
    with made.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    made.dispose()
    with pytest.raises(NewerSchema, match="later release of jobmeter \\(schema 9999"):
        Database.open(empty)


@pytest.mark.parametrize(
    "making, reason",
    [
        ("CREATE TABLE customers (name text)", "not a database of jobmeter: it has the table 'customers'"),
        ("CREATE TABLE runs (name text)", "not a database of jobmeter"),
    ],
)
def test_a_database_of_somebody_else_is_not_touched(postgresql, making, reason):
    """Though it could hold our tables too."""
    with postgresql.database() as url:
        postgresql.ask(making, database=url.rpartition("/")[2])
        with pytest.raises(StoreError, match=reason):
            Database.open(url)
        assert len(asked_here(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")) == 1


def test_a_database_that_cannot_hold_any_name_is_refused(postgresql):
    """Before the first run comes that it would not take."""
    postgresql.ask("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        with pytest.raises(
            StoreError, match="is encoded as LATIN1; names need a database with ENCODING 'UTF8'"
        ):
            Database.open(postgresql.url("latin"))
    finally:
        postgresql.ask("DROP DATABASE latin WITH (FORCE)")


def asked_here(url: str, statement: str) -> list[Any]:
    """The rows of a statement, whatever the database is."""
    made = engine(url)
    with made.connect() as connection:
        rows = list(connection.execute(text(statement)).all())
    made.dispose()
    return rows
