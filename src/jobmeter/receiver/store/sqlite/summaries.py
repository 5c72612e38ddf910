"""Stores summaries that were sent, many at a time: the hot path of the receiver."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TypeVar

from sqlalchemy import Connection, select, update

from jobmeter.receiver.store.errors import Foreign
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.scopes import covered
from jobmeter.receiver.store.summaries import COLUMNS, NewSummary, one_replaces_another, scopes_of

_MAX_ROWS = 64
_One = TypeVar("_One")


def insert_alone(connection: Connection, summaries: Sequence[NewSummary], now: int) -> range | None:
    """Store summaries of new runs by one statement, which is a transaction of its own.

    Each statement lets the interpreter's lock go and must wait for it again: a transaction of one takes half as
    long as one of four. None when there are too many, or one is known.
    """
    if len(summaries) > _MAX_ROWS:
        return None
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    cursor = driver.execute(_insert_sql(len(summaries)), _values(summaries, now))
    return _ids(cursor.lastrowid, len(summaries)) if cursor.rowcount == len(summaries) else None


def store_summaries(connection: Connection, summaries: Sequence[NewSummary], now: int) -> list[int | Foreign]:
    """Store each once and give the id of each run; a run that is known keeps its id and has the newest summary."""
    if one_replaces_another(summaries):
        return [store_summaries(connection, [summary], now)[0] for summary in summaries]
    by_uid = {summary.run_uid: summary for summary in summaries}
    ids = _known(connection, list(by_uid))
    refused = _refused(connection, [by_uid[run_uid] for run_uid in ids])
    for run_uid, run_id in ids.items():
        if run_uid in refused:
            continue
        connection.execute(
            update(runs)
            .where(runs.c.id == run_id)
            .values(by_uid[run_uid]._asdict() | {"state": "finished", "pushed": True, "heard_at": now})
        )
    new = (
        [summary for summary in by_uid.values() if summary.run_uid not in ids]
        if ids
        else list(by_uid.values())
    )
    for chunk in _chunks(new):
        ids.update(zip((one.run_uid for one in chunk), _insert(connection, chunk, now), strict=True))
    return [refused.get(summary.run_uid) or ids[summary.run_uid] for summary in summaries]


def _refused(connection: Connection, known: Sequence[NewSummary]) -> dict[str, Foreign]:
    """Those of runs that their senders may not store."""
    limited = {one.run_uid: scopes_of(one) for one in known if scopes_of(one) is not None}
    if not limited:
        return {}
    names = select(runs.c.run_uid, runs.c.organization, runs.c.repository, runs.c.workflow, runs.c.job)
    return {
        run_uid: Foreign(f"the run {run_uid} is of a job that its sender may not store")
        for run_uid, *of in connection.execute(names.where(runs.c.run_uid.in_(limited)))
        if not covered(limited[run_uid], *of)
    }


def _known(connection: Connection, run_uids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in _chunks(run_uids):
        rows = connection.exec_driver_sql(_known_sql(len(chunk)), tuple(chunk))
        found.update((run_uid, run_id) for run_uid, run_id in rows)
    return found


def _chunks(all_of_them: Sequence[_One]) -> Iterator[Sequence[_One]]:
    """So many at a time that the statements for each number stay prepared."""
    for place in range(0, len(all_of_them), _MAX_ROWS):
        yield all_of_them[place : place + _MAX_ROWS]


def _insert(connection: Connection, chunk: Sequence[NewSummary], now: int) -> range:
    return _ids(
        connection.exec_driver_sql(_insert_sql(len(chunk)), _values(chunk, now)).lastrowid, len(chunk)
    )


def _values(summaries: Sequence[NewSummary], now: int) -> tuple[object, ...]:
    tail = ("finished", True, now, now)
    return tuple(chain.from_iterable((*summary, *tail) for summary in summaries))


def _ids(last: int | None, count: int) -> range:
    """Within one statement the ids follow one another."""
    assert last is not None
    return range(last - count + 1, last + 1)


@cache
def _known_sql(keys: int) -> str:
    query = select(runs.c.run_uid, runs.c.id)
    marks = ", ".join("?" * keys)
    return f"{query} WHERE {runs.c.run_uid} IN ({marks})"


@cache
def _insert_sql(rows: int) -> str:
    one = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO {runs.name} ({', '.join(COLUMNS)}) VALUES {', '.join([one] * rows)} ON CONFLICT DO NOTHING"
