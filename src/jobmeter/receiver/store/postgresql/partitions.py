"""Makes the partitions of the months to come; whichever receiver comes first makes them, the others find them there.

A month is made beside the table and attached then, since a partition that is made at its place locks the whole table.
What has come before its time, by a clock that is ahead, lies in the default partition and moves into its month.
"""

import psycopg
from psycopg import sql

from jobmeter.receiver.store.months import Month, month_of

MAKING_LOCK = 0x6A6D_0002
"""Of pg_advisory_xact_lock: one at a time makes partitions."""
_MONTHS_AHEAD = 3
_KEYS = {"runs": "run_uid", "parts": "run", "evidence": "run"}
# Whoever waits for a lock of a whole table keeps all others waiting behind.
_PATIENCE = "SET LOCAL lock_timeout = '1s'"
# Asked of the table of tables: what is known of names may be from before the lock was waited for.
_MISSING = """
    SELECT name FROM unnest(%s::text[]) AS name
    WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = current_schema()::regnamespace)
    ORDER BY name
"""


def make_ahead(connection: psycopg.Connection, now: int) -> list[str]:
    """Make the partitions that are missing of the month before ``now`` (milliseconds since 1970) and those after it.

    Each in a transaction of its own; the names of those that were made. Raises psycopg.Error.
    """
    month = month_of(now).before()
    wanted: dict[str, tuple[str, Month]] = {}
    for _ in range(_MONTHS_AHEAD + 2):
        wanted |= {f"{table}_{month.name}": (table, month) for table in _KEYS}
        month = month.after()
    made = []
    for name in _missing(connection, list(wanted)):
        with connection.transaction():
            connection.execute(_PATIENCE)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [MAKING_LOCK])
            if _missing(connection, [name]):
                _make(connection, name, *wanted[name])
                made.append(name)
    return made


def _missing(connection: psycopg.Connection, names: list[str]) -> list[str]:
    return [name for (name,) in connection.execute(_MISSING, [names])]


def _make(connection: psycopg.Connection, name: str, table: str, month: Month) -> None:
    words = {
        "table": sql.Identifier(table),
        "default": sql.Identifier(f"{table}_default"),
        "new": sql.Identifier(name),
        "key": sql.Identifier(_KEYS[table]),
        "first": sql.Literal(month.first_uid),
        "end": sql.Literal(month.after().first_uid),
    }
    for statement in _STATEMENTS:
        connection.execute(sql.SQL(statement).format(**words))


_STATEMENTS = (
    "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE {new} (LIKE {table} INCLUDING ALL)",
    "WITH early AS (DELETE FROM {default} WHERE {key} >= {first} AND {key} < {end} RETURNING *)"
    " INSERT INTO {new} SELECT * FROM early",
    "ALTER TABLE {table} ATTACH PARTITION {new} FOR VALUES FROM ({first}) TO ({end})",
)
