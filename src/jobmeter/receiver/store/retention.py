"""What is no longer kept: which runs and which timelines, and their removal in bites.

A timeline is what was streamed of a run; a run without it keeps its summary. What goes on is never removed. How old
something is is told by when it was last heard of, by the receiver's clock: a run that was reopened is young again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, tuple_

from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.schema import evidence, parts, runs
from jobmeter.receiver.store.usages import is_told, look_again

_DAY_MILLISECONDS = 86_400_000
_NAMES = (runs.c.organization, runs.c.repository, runs.c.workflow, runs.c.job)
# Of one change: so many are gone within some milliseconds.
_PARTS = 500


class Bound(NamedTuple):
    """How much is kept: not longer than so many seconds, and of each job not more than so many of the newest."""

    seconds: float | None = None
    per_job: int | None = None

    def __bool__(self) -> bool:
        return self != Bound()

    def before(self, now: int) -> int | None:
        """What was last heard of before is not kept; milliseconds since 1970."""
        return None if self.seconds is None else now - int(self.seconds * 1000)


class Keep(NamedTuple):
    """What is kept: everything, unless it is said."""

    timelines: Bound = Bound()
    runs: Bound = Bound()

    def __bool__(self) -> bool:
        return bool(self.timelines or self.runs)


class Page(NamedTuple):
    """Runs that are over and not to be kept, of those that were looked at; ``last`` is None when that were all."""

    found: list[Key]
    last: Key | None


class Part(NamedTuple):
    """The key of a part."""

    run: Key
    first_sequence: int


def old_timelines(connection: Connection, before: int, after: Key | None, limit: int) -> Page:
    """Runs with a timeline that were last heard of before; the next ``limit`` of all with one are looked at."""
    key = backend_of(connection).run_key
    query = select(parts.c.run).group_by(parts.c.run).order_by(parts.c.run).limit(limit)
    looked_at = (
        connection.execute(query if after is None else query.where(parts.c.run > after)).scalars().all()
    )
    old = select(key).where(key.in_(looked_at), _is_over(before))
    found = connection.execute(old).scalars().all() if looked_at else []
    return Page(list(found), looked_at[-1] if len(looked_at) == limit else None)


def surplus_timelines(connection: Connection, per_job: int, limit: int) -> list[Key]:
    """Runs with a timeline of which the job has so many newer ones with one."""
    key = backend_of(connection).run_key
    place = func.row_number().over(partition_by=_NAMES, order_by=runs.c.id.desc()).label("place")
    numbered = select(key.label("key"), runs.c.state, place).where(
        key.in_(select(parts.c.run)), runs.c.job.is_not(None)
    )
    counted = numbered.subquery()
    query = select(counted.c.key).where(counted.c.place > per_job, counted.c.state != "running").limit(limit)
    return list(connection.execute(query).scalars())


def starts(before: int, now: int) -> tuple[ColumnElement[bool], ...]:
    """When old runs began, as clocks told that may be wrong; the index of starts finds each kind."""
    return (
        runs.c.start_time < before,
        runs.c.start_time.is_(None),
        runs.c.start_time > now + _DAY_MILLISECONDS,
    )


def old_runs(connection: Connection, started: ColumnElement[bool], before: int, limit: int) -> list[Key]:
    """Runs that started so, which is one of ``starts``, and were last heard of before."""
    key = backend_of(connection).run_key
    return list(connection.execute(select(key).where(started, _is_over(before)).limit(limit)).scalars().all())


def surplus_runs(connection: Connection, per_job: int, limit: int) -> list[Key]:
    """Runs of a job that has so many newer ones."""
    many = select(*_NAMES).where(runs.c.job.is_not(None)).group_by(*_NAMES).having(func.count() > per_job)
    key = backend_of(connection).run_key
    found: list[Key] = []
    for names in connection.execute(many).all():
        of_job = and_(
            *(column.is_not_distinct_from(name) for column, name in zip(_NAMES, names, strict=True))
        )
        newest = select(runs.c.id).where(of_job).order_by(runs.c.id.desc()).offset(per_job - 1).limit(1)
        last_kept = connection.execute(newest).scalar_one()
        surplus = select(key).where(of_job, runs.c.id < last_kept, runs.c.state != "running")
        found += connection.execute(surplus.limit(limit - len(found))).scalars()
        if len(found) == limit:
            break
    return found


def some_parts(connection: Connection, keys: Sequence[Key]) -> list[Part]:
    """Parts of these runs, as many as one change removes; of each its first ones, by which it is seen to be cut."""
    query = select(parts.c.run, parts.c.first_sequence).where(parts.c.run.in_(keys))
    query = query.order_by(parts.c.run, parts.c.first_sequence).limit(_PARTS)
    return [Part(run, first) for run, first in connection.execute(query)]


class Removed(NamedTuple):
    """So many parts, and with them so many whole timelines."""

    parts: int
    timelines: int


class RemoveParts(NamedTuple):
    """Removes parts of runs; gives what was Removed."""

    parts: Sequence[Part]
    before: int | None
    size: int = 0

    def apply(self, connection: Connection, now: int) -> Removed:
        """Those of runs that go on again are left."""
        over = set(_locked(connection, {part.run for part in self.parts}, self.before))
        gone = [part for part in self.parts if part.run in over]
        if not gone:
            return Removed(0, 0)
        connection.execute(delete(parts).where(tuple_(parts.c.run, parts.c.first_sequence).in_(gone)))
        left = select(parts.c.run).where(parts.c.run.in_(over)).distinct()
        return Removed(len(gone), len(over - set(connection.execute(left).scalars())))


class RemoveRuns(NamedTuple):
    """Removes runs, their evidence and what is left of their parts; gives how many."""

    keys: Sequence[Key]
    before: int | None
    size: int = 0

    def apply(self, connection: Connection, now: int) -> int:
        """Those that go on again are left, and until then those that history does not tell as they are."""
        key = backend_of(connection).run_key
        over = _locked(connection, self.keys, self.before)
        told = list(connection.execute(select(key).where(key.in_(over), is_told())).scalars())
        if len(told) < len(over):
            oldest = select(func.min(runs.c.heard_at)).where(key.in_(over), ~is_told())
            look_again(connection, connection.execute(oldest).scalar_one())
        connection.execute(delete(parts).where(parts.c.run.in_(told)))
        connection.execute(delete(evidence).where(evidence.c.run.in_(told)))
        connection.execute(delete(runs).where(key.in_(told)))
        return len(told)


def _locked(connection: Connection, keys: Iterable[Key], before: int | None) -> list[Key]:
    """Those that are over, locked; what another receiver is at is left to it."""
    key = backend_of(connection).run_key
    query = select(key).where(key.in_(list(keys)), _is_over(before)).with_for_update(skip_locked=True)
    return list(connection.execute(query).scalars())


def _is_over(before: int | None) -> ColumnElement[bool]:
    over = runs.c.state != "running"
    return over if before is None else and_(over, runs.c.heard_at < before)
