"""Removes whole months: a partition goes at once where thousands of bites would leave a table full of holes.

A month is looked through first, without a lock. Then it is locked, which only late parts of its own runs notice,
looked at for what was heard of meanwhile, and emptied. To drop what is empty then needs the lock of the whole table;
it is not waited for longer than a moment, and tried again with the next sweep.
"""

import contextlib
import re
from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.errors import LockNotAvailable, QueryCanceled

from jobmeter.receiver.store.backend import Dropped
from jobmeter.receiver.store.months import Month

REMOVING_LOCK = 0x6A6D_0003
"""Of pg_try_advisory_lock: one at a time removes what is old."""
_MONTH = re.compile(r"runs_([0-9]{4})_([0-9]{2})")
_PARTITIONS = """
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = ANY (ARRAY[to_regclass('runs'), to_regclass('parts'), to_regclass('evidence')])
"""
_YOUNG = "SELECT EXISTS (SELECT FROM {runs} WHERE state = 'running' OR heard_at >= {before})"
_NOT_TOLD = """
    SELECT EXISTS (SELECT FROM {runs} AS run WHERE NOT EXISTS (
        SELECT FROM usages WHERE usages.run_uid = run.run_uid AND usages.heard_at = run.heard_at AND NOT gone))
"""
_PATIENCE = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '2s'"
_LITTLE_PATIENCE = "SET LOCAL lock_timeout = '200ms'"

Connection = psycopg.Connection[tuple[object, ...]]


def lock(connection: Connection) -> bool:
    """Whether nobody else has it; until the connection is closed."""
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", [REMOVING_LOCK]).fetchone()
    return found == (True,)


def drop(connection: Connection, timelines_before: int | None, runs_before: int | None) -> Dropped:
    """Remove the months whose runs were all last heard of before (milliseconds since 1970). Raises psycopg.Error."""
    names = {str(name) for (name,) in connection.execute(_PARTITIONS)}
    runs = timelines = 0
    for found in filter(None, map(_MONTH.fullmatch, sorted(names))):
        month = Month(int(found[1]), int(found[2]))
        parts, evidence = ({f"{table}_{month.name}"} & names for table in ("parts", "evidence"))
        if _is_old(connection, month, runs_before) and _is_told(connection, month):
            count = _emptied(connection, month, [found[0], *parts, *evidence], runs_before)
            runs += count.runs
            _dropped(connection, [*parts, *evidence, found[0]])
        elif parts and _is_old(connection, month, timelines_before):
            timelines += _emptied(connection, month, list(parts), timelines_before).timelines
    return Dropped(runs, timelines)


def _is_old(connection: Connection, month: Month, before: int | None) -> bool:
    """Whether the month has ended by then, and nothing of its runs was heard since."""
    if before is None or month.after().begin > before:
        return False
    return not _has_young(connection, month, before)


def _has_young(connection: Connection, month: Month, before: int) -> bool:
    words = {"runs": sql.Identifier(f"runs_{month.name}"), "before": sql.Literal(before)}
    return connection.execute(sql.SQL(_YOUNG).format(**words)).fetchone() == (True,)


def _is_told(connection: Connection, month: Month) -> bool:
    """Whether history has taken in all its runs as they are: what is not is removed in bites, once it has."""
    words = {"runs": sql.Identifier(f"runs_{month.name}")}
    return connection.execute(sql.SQL(_NOT_TOLD).format(**words)).fetchone() == (False,)


def _known_until(connection: Connection) -> int:
    """Runs that were last heard of before are told. An import sets it back, so that it shows what came meanwhile."""
    found = connection.execute("SELECT heard_at FROM usage_progress").fetchone()
    return int(str(found[0])) if found else 0


def _emptied(connection: Connection, month: Month, names: Sequence[str], before: int | None) -> Dropped:
    """Empty these partitions of a month; nothing if somebody is at one, or was since it was looked through."""
    tables = sql.SQL(", ").join(map(sql.Identifier, names))
    counts = {name.partition("_")[0]: _count(connection, name) for name in names}
    with contextlib.suppress(LockNotAvailable, QueryCanceled), connection.transaction():
        connection.execute(_PATIENCE)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables))
        if "runs" in counts and before is not None:
            before = min(before, _known_until(connection))
        if before is not None and not _has_young(connection, month, before):
            connection.execute(sql.SQL("TRUNCATE {}").format(tables))
            return Dropped(counts.get("runs", 0), counts.get("parts", 0))
    return Dropped()


def _count(connection: Connection, name: str) -> int:
    """The runs in a partition."""
    table, column = sql.Identifier(name), sql.Identifier("run_uid" if name.startswith("runs") else "run")
    found = connection.execute(sql.SQL("SELECT count(DISTINCT {}) FROM {}").format(column, table)).fetchone()
    return int(str(found[0])) if found else 0


def _dropped(connection: Connection, names: Sequence[str]) -> None:
    """Drop them if they are empty and nobody is at the tables."""
    for name in names:
        words = {"name": sql.Identifier(name)}
        with contextlib.suppress(LockNotAvailable), connection.transaction():
            connection.execute(_LITTLE_PATIENCE)
            found = connection.execute(
                sql.SQL("SELECT EXISTS (SELECT FROM {name})").format(**words)
            ).fetchone()
            if found == (False,):
                connection.execute(sql.SQL("DROP TABLE {name}").format(**words))
