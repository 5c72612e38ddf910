"""Stores summaries that were sent, as many as there are by one statement: the hot path of the receiver."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.types.numeric import Int8
from sqlalchemy import Connection

from jobmeter.receiver.store.errors import Foreign
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.scopes import covered
from jobmeter.receiver.store.summaries import NewSummary, one_replaces_another, scopes_of

_TYPES = {"start_time": "int8", "job_json": "bytea", "summary": "bytea"}
_SENT = NewSummary._fields
# A column of values each: the statement is the same for any number of them, so that it stays prepared.
_INSERT = f"""
    INSERT INTO {runs.name} ({", ".join(_SENT)}, state, pushed, received_at, heard_at)
    SELECT *, 'finished', true, %b::int8, %b::int8
    FROM unnest({", ".join(f"%b::{_TYPES.get(name, 'text')}[]" for name in _SENT)})
"""
_UPSERT = f"""{_INSERT}
    ON CONFLICT (run_uid) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _SENT if name != "run_uid")},
        state = excluded.state, pushed = excluded.pushed, heard_at = excluded.heard_at
    RETURNING run_uid, id
"""
_INSERT_NEW = f"""{_INSERT}
    ON CONFLICT (run_uid) DO NOTHING
    RETURNING run_uid, id
"""
_LOCK = f"""
    SELECT run_uid, organization, repository, workflow, job FROM {runs.name}
    WHERE run_uid = ANY(%b::text[]) ORDER BY run_uid FOR UPDATE
"""


def insert_alone(connection: Connection, summaries: Sequence[NewSummary], now: int) -> list[int] | None:
    """Store them by a statement that is a transaction of its own: the server is asked once, not three times.

    None when senders are limited to some runs, and one is known.
    """
    if one_replaces_another(summaries):
        return None
    statement = _UPSERT if _are_unlimited(summaries) else _INSERT_NEW
    driver = _driver(connection)
    driver.autocommit = True
    try:
        ids = _stored(driver, statement, summaries, now)
    finally:
        if not driver.closed:
            driver.autocommit = False
    return [ids[one.run_uid] for one in summaries] if len(ids) == len(set(_uids(summaries))) else None


def store_summaries(connection: Connection, summaries: Sequence[NewSummary], now: int) -> list[int | Foreign]:
    """Store them in the transaction that has begun."""
    if one_replaces_another(summaries):
        return [store_summaries(connection, [summary], now)[0] for summary in summaries]
    driver = _driver(connection)
    if _are_unlimited(summaries):
        ids: dict[str, int | Foreign] = {**_stored(driver, _UPSERT, summaries, now)}
    else:
        ids = _stored_within_scopes(driver, summaries, now)
    return [ids[summary.run_uid] for summary in summaries]


def _stored_within_scopes(
    driver: "psycopg.Connection[tuple[Any, ...]]", summaries: Sequence[NewSummary], now: int
) -> dict[str, int | Foreign]:
    """What is new, and then what is known and its sender may store, with its row locked."""
    found: dict[str, int | Foreign] = {**_stored(driver, _INSERT_NEW, summaries, now)}
    known = {one.run_uid: one for one in summaries if one.run_uid not in found}
    for run_uid, *of in driver.execute(_LOCK, [list(known)]).fetchall():
        if not covered(scopes_of(known[run_uid]), *of):
            del known[run_uid]
            found[run_uid] = Foreign(f"the run {run_uid} is of a job that its sender may not store")
    if known:
        found |= _stored(driver, _UPSERT, list(known.values()), now)
    return found


def _are_unlimited(summaries: Sequence[NewSummary]) -> bool:
    return all(scopes_of(one) is None for one in summaries)


def _uids(summaries: Sequence[NewSummary]) -> Iterator[str]:
    return (one.run_uid for one in summaries)


def _driver(connection: Connection) -> "psycopg.Connection[tuple[Any, ...]]":
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _stored(
    driver: "psycopg.Connection[tuple[Any, ...]]", statement: str, summaries: Sequence[NewSummary], now: int
) -> dict[str, int]:
    """The ids of those that the statement has stored, by their keys."""
    by_uid = {summary.run_uid: summary for summary in summaries}
    # In the same order everywhere: two receivers that store the same runs wait for each other one way only.
    columns = dict(zip(_SENT, zip(*(by_uid[uid] for uid in sorted(by_uid)), strict=True), strict=True))
    columns["start_time"] = tuple(None if time is None else Int8(time) for time in columns["start_time"])
    values = [now, now, *map(list, columns.values())]
    return dict(driver.execute(statement, values, prepare=True))
