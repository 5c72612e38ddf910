"""Stores summaries that were sent, as many as there are by one statement: the hot path of the receiver."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.numeric import Int8
from sqlalchemy import Connection

from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.summaries import NewSummary

_TYPES = {"start_time": "int8", "job_json": "bytea", "summary": "bytea"}
_SENT = NewSummary._fields
# A column of values each: the statement is the same for any number of them, so that it stays prepared.
_UPSERT = f"""
    INSERT INTO {runs.name} ({", ".join(_SENT)}, state, pushed, received_at, heard_at)
    SELECT *, 'finished', true, %b::int8, %b::int8
    FROM unnest({", ".join(f"%b::{_TYPES.get(name, 'text')}[]" for name in _SENT)})
    ON CONFLICT (run_uid) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _SENT if name != "run_uid")},
        state = excluded.state, pushed = excluded.pushed, heard_at = excluded.heard_at
    RETURNING run_uid, id
"""


def insert_alone(connection: Connection, summaries: Sequence[NewSummary], now: int) -> list[int]:
    """Store them by a statement that is a transaction of its own: the server is asked once, not three times."""
    driver = _driver(connection)
    driver.autocommit = True
    try:
        return _upsert(driver, summaries, now)
    finally:
        if not driver.closed:
            driver.autocommit = False


def store_summaries(connection: Connection, summaries: Sequence[NewSummary], now: int) -> list[int]:
    """Store them in the transaction that has begun."""
    return _upsert(_driver(connection), summaries, now)


def _driver(connection: Connection) -> "psycopg.Connection[tuple[Any, ...]]":
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _upsert(
    driver: "psycopg.Connection[tuple[Any, ...]]", summaries: Sequence[NewSummary], now: int
) -> list[int]:
    by_uid = {summary.run_uid: summary for summary in summaries}
    # In the same order everywhere: two receivers that store the same runs wait for each other one way only.
    columns = dict(zip(_SENT, zip(*(by_uid[uid] for uid in sorted(by_uid)), strict=True), strict=True))
    columns["start_time"] = tuple(None if time is None else Int8(time) for time in columns["start_time"])
    values = [now, now, *map(list, columns.values())]
    ids: dict[str, int] = dict(driver.execute(_UPSERT, values, prepare=True))
    return [ids[summary.run_uid] for summary in summaries]
