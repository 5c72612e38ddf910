"""The sums of jobs' days, made anew from all their runs, those included that were removed since.

Sums that only grew would drift, and count a run twice that changes or comes again. Of one job and day so many sets of
labels are told apart that a label which is new in each run makes no row of each.
"""

import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    Integer,
    and_,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from jobmeter.receiver.store.usage_tables import COUNTS, SUMS, jobs, usage_days, usages

DAY = 86_400_000
MOST_SETS = 16
"""So many sets of labels have rows of their own, those of the most runs; all others of a job and day have one row."""
REST = "…"
"""What the labels of that row end with; before it are those that all of its runs have."""
_AT_ONCE = 500


def make_days(connection: Connection, days: Iterable[tuple[int, int]]) -> None:
    """Make the rows of these jobs and days (ids, and days since 1970), and what jobs tell of all their days."""
    wanted = sorted(set(days))
    for place in range(0, len(wanted), _AT_ONCE):
        some = wanted[place : place + _AT_ONCE]
        told = [
            {"of_job": job, "of_day": day, "begin": day * DAY, "end": (day + 1) * DAY} for job, day in some
        ]
        connection.execute(_NO_DAY, told)
        connection.execute(_DAY, told)
        for job, day in _with_a_rest(connection, some):
            _name_rest(connection, job, day)
    if wanted:
        told = [{"of_job": job, "new_version": new_version()} for job in sorted({job for job, _ in wanted})]
        connection.execute(_COUNT, told)


def new_version() -> int:
    """Drawn, not counted: a job that was removed and is made again may have the same id."""
    return secrets.randbits(62)


def _with_a_rest(connection: Connection, days: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    keys = usage_days.c.job, usage_days.c.day
    query = select(*keys).where(tuple_(*keys).in_(list(days)), usage_days.c.labels == REST)
    return [(job, day) for job, day in connection.execute(query)]


def _name_rest(connection: Connection, job: int, day: int) -> None:
    """By the labels that all runs of the row have: what these cost is known."""
    of_day = usage_days.c.job == job, usage_days.c.day == day
    own = set(connection.execute(select(usage_days.c.labels).where(*of_day)).scalars())
    sets = select(usages.c.labels).where(*begun_within(job, day * DAY, (day + 1) * DAY)).distinct()
    rest = [labels.split(",") for labels in connection.execute(sets).scalars() if labels not in own]
    shared = set(rest[0]).intersection(*islice(rest, 1, None)) - {""} if rest else set()
    if shared:
        labels = ",".join([*(label for label in dict.fromkeys(rest[0]) if label in shared), REST])
        connection.execute(
            update(usage_days).where(*of_day, usage_days.c.labels == REST).values(labels=labels)
        )


def begun_within(job: Any, begin: Any, end: Any) -> Iterator[Any]:
    """Of all runs of a job and a time (milliseconds since 1970); both kinds are named, so that the index finds them."""
    yield usages.c.job == job
    yield usages.c.gone.in_([false(), true()])
    yield usages.c.begun_at >= begin
    yield usages.c.begun_at < end


def _counts() -> dict[str, Any]:
    one, seconds = usages.c, usages.c.duration_seconds

    def counted(*conditions: Any) -> Any:
        return func.sum(case((and_(*conditions), 1), else_=0))

    def told_too_low(measure: str) -> Any:
        return counted((literal(",") + one.lower_bounds + ",").contains(f",{measure},"))

    cores = one.cores_reserved.is_not(None), seconds.is_not(None)
    memory = one.memory_reserved.is_not(None), seconds.is_not(None)
    return {
        "runs": func.count(),
        "failed_runs": counted(one.whole.is_(False)),
        "core_lower_bounds": told_too_low("cpu_seconds"),
        "byte_lower_bounds": told_too_low("memory"),
        "cores_told_runs": counted(*cores),
        "cores_partial_runs": counted(*cores, one.cores_partial),
        "memory_told_runs": counted(*memory),
        "memory_partial_runs": counted(*memory, one.memory_partial),
    }


def _sums() -> dict[str, Any]:
    one, seconds = usages.c, usages.c.duration_seconds

    def times(value: Any) -> Any:
        return func.sum(cast(value, Float) * seconds)

    return {
        "duration_seconds": func.sum(seconds),
        "core_seconds": func.sum(one.cpu_seconds),
        "byte_seconds": times(one.memory_total_bytes),
        "reserved_core_seconds": times(one.cores_reserved),
        "reserved_used_core_seconds": times(one.cores_reserved_used),
        "reserved_unused_core_seconds": times(one.cores_reserved_unused),
        "reserved_byte_seconds": times(one.memory_reserved),
        "reserved_used_byte_seconds": times(one.memory_reserved_used),
        "reserved_unused_byte_seconds": times(one.memory_reserved_unused),
    }


def _of(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _newest(gone: Any) -> Any:
    return select(func.max(usages.c.begun_at).label("at")).where(
        usages.c.job == _of("of_job"), usages.c.gone == gone
    )


_ADDED = (*COUNTS, *SUMS)
_BY_SET = (
    select(
        usages.c.job,
        usages.c.labels,
        *(value.label(name) for name, value in (_counts() | _sums()).items()),
        func.row_number().over(order_by=(func.count().desc(), usages.c.labels)).label("place"),
    )
    .where(*begun_within(_of("of_job"), _of("begin"), _of("end")))
    .group_by(usages.c.job, usages.c.labels)
    .subquery()
)
_BY_ROW = select(
    _BY_SET.c.job,
    case((_BY_SET.c.place <= MOST_SETS, _BY_SET.c.labels), else_=REST).label("labels"),
    *(_BY_SET.c[name] for name in _ADDED),
).subquery()
_NO_DAY = delete(usage_days).where(usage_days.c.job == _of("of_job"), usage_days.c.day == _of("of_day"))
_DAY = insert(usage_days).from_select(
    ("day", "job", "labels", *_ADDED),
    select(
        cast(_of("of_day"), Integer),
        _BY_ROW.c.job,
        _BY_ROW.c.labels,
        *(func.sum(_BY_ROW.c[name]) for name in _ADDED),
    ).group_by(_BY_ROW.c.job, _BY_ROW.c.labels),
)
_COUNT = (
    update(jobs)
    .where(jobs.c.id == _of("of_job"))
    .values(
        version=_of("new_version"),
        runs=select(func.coalesce(func.sum(usage_days.c.runs), 0))
        .where(usage_days.c.job == _of("of_job"))
        .scalar_subquery(),
        last_begun_at=select(
            func.max(union_all(_newest(false()), _newest(true())).subquery().c.at)
        ).scalar_subquery(),
    )
)
