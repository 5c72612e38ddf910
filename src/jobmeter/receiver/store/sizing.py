"""The questions of sizing: what the newest runs of one job told, and what its days tell together."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from jobmeter.model.sizing import observation, period
from jobmeter.model.sizing.observation import Observation
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.usage_tables import NAMES, jobs, sizing_days, usages
from jobmeter.receiver.store.usages import Names

MAX_BYTES = 16 * 1024 * 1024
"""So much is read of all runs, or of all days, together."""
_ROWS_AT_A_TIME = 250
_MOST_BESIDE = 200


def newest_observations(connection: Connection, names: Names, limit: int) -> list[Observation]:
    """At most ``limit`` runs of one job, named as by `usages.names_of`, newest first; fewer where they tell much."""
    job = _id_of(connection, names)
    if job is None:
        return []
    query = (
        select(usages.c.observation)
        .where(usages.c.job == job, usages.c.gone.is_(False), usages.c.observation.is_not(None))
        .order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())
        .limit(limit)
    )
    return [observation.decode(row.observation) for row in _bounded(connection, query)]


def days_of(connection: Connection, names: Names, since: int) -> dict[int, period.Parts]:
    """What the runs tell of each day that has some, from a day on (days since 1970); fewer where they tell much."""
    job = _id_of(connection, names)
    if job is None:
        return {}
    query = (
        select(sizing_days.c.told, sizing_days.c.day)
        .where(sizing_days.c.job == job, sizing_days.c.day >= since)
        .order_by(sizing_days.c.day.desc())
    )
    return {row.day: period.decode(row.told) for row in _bounded(connection, query)}


def jobs_beside(connection: Connection, names: Names, scopes: Scopes) -> list[tuple[str, str]]:
    """Workflow and job of those in the same repository that may be seen, of many only the first."""
    if not can_be(*names):
        return []
    organization, repository, *_ = names
    query = (
        select(jobs.c.workflow, jobs.c.job)
        .where(
            jobs.c.organization == organization,
            jobs.c.repository == repository,
            jobs.c.job != "",
            within(scopes, jobs),
        )
        .order_by(jobs.c.workflow, jobs.c.job)
        .limit(_MOST_BESIDE)
    )
    return [(workflow, job) for workflow, job in connection.execute(query)]


def _id_of(connection: Connection, names: Names) -> int | None:
    """Asked for apart: a database that knows the job plans by how many runs it has."""
    if not can_be(*names):
        return None
    same = (jobs.c[name] == value for name, value in zip(NAMES, names, strict=True))
    return connection.execute(select(jobs.c.id).where(*same)).scalar()


def _bounded(connection: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    """The rows, up to a bound of the bytes in their first column."""
    size = 0
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_A_TIME)) as found:
        for row in found:
            size += len(row[0])
            if size > MAX_BYTES:
                return
            yield row
