"""Questions about the jobs that ran: by their names, their repositories, and in the order of what they use."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, cast, false, func, select

from jobmeter.model.statistics import median
from jobmeter.receiver.store.forms import can_be, folded
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.usage_tables import NAMES, jobs, usages
from jobmeter.receiver.store.usages import Names

RepositoryOrder = Literal["name", "last", "runs"]
JobUse = Literal["memory", "cpu", "duration", "memory_waste", "cpu_waste"]
JobOrder = RepositoryOrder | JobUse


class KnownJob(NamedTuple):
    """A job that ran; ``last_begun_at`` in milliseconds since 1970, that of a run that was removed since too.

    With the same ``version`` its runs tell the same.
    """

    id: int
    organization: str
    repository: str
    workflow: str
    job: str
    runs: int
    last_begun_at: int | None
    version: int

    @property
    def names(self) -> Names:
        """Its four names."""
        return self.organization, self.repository, self.workflow, self.job


class KnownRepository(NamedTuple):
    """A repository of which a job ran; ``repository`` is without its organization."""

    organization: str
    repository: str
    jobs: int
    runs: int
    last_begun_at: int | None


def find_job(connection: Connection, names: Names) -> KnownJob | None:
    """The job of these names, as ``usages.names_of`` makes them."""
    if not can_be(*names):
        return None
    same = (jobs.c[column] == name for column, name in zip(NAMES, names, strict=True))
    row = connection.execute(select(*_ABOUT_JOB).where(*same)).first()
    return None if row is None else KnownJob._make(row)


def known_repositories(
    connection: Connection, scopes: Scopes, words: str, order: RepositoryOrder, skip: int, limit: int
) -> list[KnownRepository]:
    """Repositories whose path has ``words`` in it, but for those whose jobs lack a name."""
    if not can_be(words):
        return []
    owner, name = jobs.c.organization, jobs.c.repository
    runs, last = func.sum(jobs.c.runs), func.max(jobs.c.last_begun_at)
    orders: dict[str, tuple[ColumnElement[Any], ...]] = {
        "name": (owner, name),
        "last": (func.coalesce(last, 0).desc(), owner, name),
        "runs": (runs.desc(), owner, name),
    }
    query = (
        select(owner, name, func.count(), cast(runs, jobs.c.runs.type), last)
        .where(*(jobs.c[column] != "" for column in NAMES), within(scopes, jobs))
        .group_by(owner, name)
        .order_by(*orders[order])
        .offset(skip)
        .limit(limit)
    )
    if words:
        query = query.where(jobs.c.path_folded.contains(folded(words), autoescape=True))
    return [KnownRepository._make(row) for row in connection.execute(query)]


class OfRepository(NamedTuple):
    """Jobs of a repository (without its organization) whose ``workflow/job`` has ``words`` in it."""

    scopes: Scopes
    organization: str
    repository: str
    words: str = ""

    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Of a row of jobs."""
        found = (
            jobs.c.organization == self.organization,
            jobs.c.repository == self.repository,
            jobs.c.workflow != "",
            jobs.c.job != "",
            within(self.scopes, jobs),
        )
        return (
            (*found, jobs.c.name_folded.contains(folded(self.words), autoescape=True))
            if self.words
            else found
        )


def count_jobs(connection: Connection, of: OfRepository) -> int:
    """How many there are."""
    if not can_be(of.organization, of.repository, of.words):
        return 0
    return connection.execute(select(func.count()).select_from(jobs).where(*of.conditions())).scalar_one()


def jobs_of(
    connection: Connection, of: OfRepository, order: RepositoryOrder, skip: int, limit: int
) -> list[KnownJob]:
    """At most ``limit`` of them, after the first ``skip``: by name, the last run or the number of runs."""
    if not can_be(of.organization, of.repository, of.words):
        return []
    last = func.coalesce(jobs.c.last_begun_at, 0).desc()
    orders: dict[str, tuple[ColumnElement[Any], ...]] = {
        "name": (jobs.c.workflow, jobs.c.job),
        "last": (last,),
        "runs": (jobs.c.runs.desc(), last),
    }
    query = select(*_ABOUT_JOB).where(*of.conditions()).order_by(*orders[order], jobs.c.id)
    return [KnownJob._make(row) for row in connection.execute(query.offset(skip).limit(limit))]


def jobs_by_use(
    connection: Connection, of: OfRepository, most: int, used: Callable[[KnownJob], float]
) -> list[KnownJob]:
    """The ``most`` of them that ran last, those first that ``used`` most."""
    return sorted(jobs_of(connection, of, "last", 0, most), key=used, reverse=True)


def used_lately(connection: Connection, job: int, order: JobUse, recent: int) -> float:
    """The median of the whole ones of its last runs, or what all of them left unused over their time."""
    query = (
        select(usages.c.whole, *_USED[order])
        .where(usages.c.job == job, usages.c.gone == false())
        .order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())
        .limit(recent)
    )
    rows = connection.execute(query).all()
    if len(_USED[order]) == 1:
        known = [value for whole, value in rows if whole and value is not None]
        return median(known) if known else 0.0
    told = (values for _, *values in rows if None not in values)
    return math.fsum(unused * seconds for seconds, unused in told)


_ABOUT_JOB = (jobs.c.id, *(jobs.c[name] for name in NAMES), jobs.c.runs, jobs.c.last_begun_at, jobs.c.version)
_USED: dict[JobUse, tuple[Any, ...]] = {
    "memory": (usages.c.memory_bytes,),
    "cpu": (usages.c.cpu_seconds,),
    "duration": (usages.c.duration_seconds,),
    "memory_waste": (usages.c.duration_seconds, usages.c.memory_reserved_unused),
    "cpu_waste": (usages.c.duration_seconds, usages.c.cores_reserved_unused),
}
