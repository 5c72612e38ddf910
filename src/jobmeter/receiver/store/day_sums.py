"""What the runs of some days used and reserved together, by job and by day. No summary is read."""

from typing import NamedTuple

from sqlalchemy import Connection, cast, func, select

from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.usage_tables import COUNTS, NAMES, SUMS, jobs, usage_days
from jobmeter.receiver.store.usages import Names


class Sums(NamedTuple):
    """What the runs of a time used and reserved together, of those that tell it; None where none does."""

    runs: int
    failed_runs: int
    core_lower_bounds: int
    byte_lower_bounds: int
    cores_told_runs: int
    cores_partial_runs: int
    memory_told_runs: int
    memory_partial_runs: int
    duration_seconds: float | None
    core_seconds: float | None
    byte_seconds: float | None
    reserved_core_seconds: float | None
    reserved_used_core_seconds: float | None
    reserved_unused_core_seconds: float | None
    reserved_byte_seconds: float | None
    reserved_used_byte_seconds: float | None
    reserved_unused_byte_seconds: float | None


class JobSums(NamedTuple):
    """The sums of one job on runners with the same labels."""

    names: Names
    labels: str
    sums: Sums


class DaySums(NamedTuple):
    """The sums of a day, in days since 1970."""

    day: int
    sums: Sums


def sums_by_job(connection: Connection, scopes: Scopes, since: int, until: int) -> list[JobSums]:
    """Of the days from ``since`` to before ``until``, in days since 1970."""
    keys = (usage_days.c.job, usage_days.c.labels)
    days = (
        select(*keys, *_TOTALS)
        .where(usage_days.c.day >= since, usage_days.c.day < until)
        .group_by(*keys)
        .subquery()
    )
    query = (
        select(*(jobs.c[name] for name in NAMES), days.c.labels, *(days.c[name] for name in Sums._fields))
        .join(jobs, jobs.c.id == days.c.job)
        .where(within(scopes, jobs))
    )
    return [
        JobSums((row[0], row[1], row[2], row[3]), row[4], Sums._make(row[5:]))
        for row in connection.execute(query)
    ]


def sums_by_day(connection: Connection, scopes: Scopes, since: int, until: int) -> list[DaySums]:
    """Of the same days, each with a run, in their order."""
    query = select(usage_days.c.day, *_TOTALS).where(usage_days.c.day >= since, usage_days.c.day < until)
    if scopes is not None:
        query = query.join(jobs, jobs.c.id == usage_days.c.job).where(within(scopes, jobs))
    query = query.group_by(usage_days.c.day).order_by(usage_days.c.day)
    return [DaySums(row[0], Sums._make(row[1:])) for row in connection.execute(query)]


_TOTALS = (
    *(cast(func.sum(usage_days.c[name]), jobs.c.runs.type).label(name) for name in COUNTS),
    *(func.sum(usage_days.c[name]).label(name) for name in SUMS),
)
