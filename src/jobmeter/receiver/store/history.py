"""Questions about what runs used: jobs, the runs of a job, and the sums of a time. None reads a summary.

Each is bounded, and found by an index: the runs of one job by ``usages_by_job`` or ``usages_by_ref``, the sums of a
time by the days in it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    cast,
    false,
    func,
    literal,
    select,
    text,
    tuple_,
)

from jobmeter.model.history.digest import WHOLE, PastRun
from jobmeter.model.history.usage import Reserved
from jobmeter.model.statistics import median
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.forms import can_be, folded
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.usage_tables import COUNTS, NAMES, SUMS, jobs, usage_days, usages
from jobmeter.receiver.store.usages import Names

MOST_LOOKED_AT = 20_000
"""So many runs of a job, or of its branch, are looked through at a time."""
_LEAST_PAGE, _GROWTH = 100, 5

RepositoryOrder = Literal["name", "last", "runs"]
JobUse = Literal["memory", "cpu", "duration", "memory_waste", "cpu_waste"]
JobOrder = RepositoryOrder | JobUse
Ended = Literal["any", "whole", "failed"]


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


class RunQuestion(NamedTuple):
    """Which runs of a job are asked for; None asks for all.

    ``ended`` whole are those that went to their end as far as is known, failed those of which it is known that they did
    not. ``until`` bounds the begin, in milliseconds since 1970. ``before`` is the begin and the key of the run after
    which the answer goes on. With ``without_ref`` only those that name no branch are asked for.
    """

    ref: str | None = None
    leg: str | None = None
    ended: Ended = "any"
    until: int | None = None
    before: tuple[int, str] | None = None
    without_ref: bool = False


class FoundRun(NamedTuple):
    """A run, and its begin in milliseconds since 1970."""

    begun_at: int
    run: PastRun

    @property
    def place(self) -> tuple[int, str]:
        """Where it is among the runs of its job."""
        return self.begun_at, self.run.run_uid


class RunPage(NamedTuple):
    """Some runs of a job, newest first, and the place after which there may be more: perhaps that of none of them."""

    found: list[FoundRun]
    next: tuple[int, str] | None = None


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


def runs_of(connection: Connection, job: int, wanted: RunQuestion, limit: int) -> list[FoundRun]:
    """At most ``limit`` runs of a job, newest first, as far as is looked through."""
    return page_of(connection, job, wanted, limit).found


def page_of(connection: Connection, job: int, wanted: RunQuestion, limit: int) -> RunPage:
    """At most ``limit`` runs of a job; fewer, and where to go on, when so many were looked through that are others."""
    if not can_be(wanted.ref, wanted.leg, wanted.before and wanted.before[1]):
        return RunPage([])
    is_looked_for = _is_looked_for(wanted)
    page = max(_LEAST_PAGE, 2 * limit) if is_looked_for else limit + 1
    found: list[FoundRun] = []
    looked_at = 0
    while looked_at < MOST_LOOKED_AT:
        page = min(page, MOST_LOOKED_AT - looked_at)
        found += _kept(connection, job, wanted, page, limit + 1)
        if len(found) > limit:
            return RunPage(found[:limit], found[limit - 1].place)
        last = _last(connection, job, wanted, page) if is_looked_for else None
        if last is None:
            return RunPage(found)
        wanted = wanted._replace(before=last)
        looked_at, page = looked_at + page, _GROWTH * page
    return RunPage(found, wanted.before)


# As the index of failed runs says it.
_FAILED = text("NOT usages.whole AND NOT usages.gone")


def _kept(connection: Connection, job: int, wanted: RunQuestion, page: int, limit: int) -> Sequence[FoundRun]:
    """At most ``limit`` runs of the next ``page``: those that are like what no index tells."""
    query = _newest(_ABOUT_RUN, job, wanted).limit(page)
    if _is_looked_for(wanted):
        found = query.subquery()
        order = found.c.begun_at.desc(), found.c.run_uid.desc()
        query = select(*(found.c[column.name] for column in _ABOUT_RUN)).order_by(*order).limit(limit)
        query = query.where(*_is_like(found, wanted))
    return [_run(row) for row in connection.execute(query)]


def _last(connection: Connection, job: int, wanted: RunQuestion, page: int) -> tuple[int, str] | None:
    """The place of the last of the next ``page`` runs; None where there are fewer."""
    query = _newest((usages.c.begun_at, usages.c.run_uid), job, wanted).offset(page - 1).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1])


def _newest(columns: Sequence[Any], job: int, wanted: RunQuestion) -> Select[Any]:
    """The runs of a job, or of its branch, or those that failed, as an index has them in order."""
    failed = wanted.ended == "failed"
    query = select(*columns).where(usages.c.job == job, _FAILED if failed else usages.c.gone == false())
    if wanted.ref is not None and not failed:
        query = query.where(usages.c.ref == wanted.ref)
    if wanted.without_ref and not failed:
        query = query.where(usages.c.ref.is_(None))
    if wanted.until is not None:
        query = query.where(usages.c.begun_at < wanted.until)
    if wanted.before is not None:
        query = query.where(
            tuple_(usages.c.begun_at, usages.c.run_uid) < tuple_(*map(literal, wanted.before))
        )
    return query.order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())


def _is_looked_for(wanted: RunQuestion) -> bool:
    """No index is for legs, nor for whole runs, which most are, nor for those of a branch that failed."""
    of_branch = wanted.ref is not None or wanted.without_ref
    return wanted.leg is not None or wanted.ended == "whole" or (wanted.ended == "failed" and of_branch)


def _is_like(runs: Subquery, wanted: RunQuestion) -> Iterator[ColumnElement[bool]]:
    if wanted.leg is not None:
        yield runs.c.leg == wanted.leg
    if wanted.ended == "whole":
        yield runs.c.exit_reason.in_(WHOLE)
    if wanted.ended == "failed" and wanted.ref is not None:
        yield runs.c.ref == wanted.ref
    if wanted.ended == "failed" and wanted.without_ref:
        yield runs.c.ref.is_(None)


def refs_and_legs_of(connection: Connection, job: int, runs: int, limit: int) -> tuple[list[str], list[str]]:
    """At most ``limit`` refs and legs of the newest runs of a job, those that ran last first."""
    newest = (
        select(usages.c.ref, usages.c.leg)
        .where(usages.c.job == job, usages.c.gone == false())
        .order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())
        .limit(runs)
    )
    found = connection.execute(newest).all()
    refs = list(dict.fromkeys(ref for ref, _ in found if ref))
    return refs[:limit], list(dict.fromkeys(leg for _, leg in found))[:limit]


def find_past_run(connection: Connection, run_uid: str) -> tuple[Names, FoundRun] | None:
    """One run and the names of its job."""
    if not can_be(run_uid):
        return None
    query = select(*(jobs.c[name] for name in NAMES), *_ABOUT_RUN).join(jobs, jobs.c.id == usages.c.job)
    row = connection.execute(query.where(usages.c.run_uid == run_uid, usages.c.gone == false())).first()
    return None if row is None else ((row[0], row[1], row[2], row[3]), _run(row[4:]))


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


_ABOUT_JOB = (jobs.c.id, *(jobs.c[name] for name in NAMES), jobs.c.runs, jobs.c.last_begun_at, jobs.c.version)
_USED: dict[JobUse, tuple[Any, ...]] = {
    "memory": (usages.c.memory_bytes,),
    "cpu": (usages.c.cpu_seconds,),
    "duration": (usages.c.duration_seconds,),
    "memory_waste": (usages.c.duration_seconds, usages.c.memory_reserved_unused),
    "cpu_waste": (usages.c.duration_seconds, usages.c.cores_reserved_unused),
}
_ABOUT_RUN = (
    usages.c.run_uid, usages.c.begun_at, usages.c.exit_reason, usages.c.duration_seconds, usages.c.cpu_seconds,
    usages.c.memory_bytes, usages.c.network_bytes, usages.c.lower_bounds, usages.c.memory_total_bytes,
    usages.c.throttled_seconds, usages.c.oom_kills,
    usages.c.cores_reserved, usages.c.cores_reserved_used, usages.c.cores_partial, usages.c.cores_reserved_unused,
    usages.c.memory_reserved, usages.c.memory_reserved_used, usages.c.memory_partial,
    usages.c.memory_reserved_unused,
    usages.c.ref, usages.c.sha, usages.c.run_id, usages.c.leg, usages.c.labels,
)  # fmt: skip
_TOTALS = (
    *(cast(func.sum(usage_days.c[name]), jobs.c.runs.type).label(name) for name in COUNTS),
    *(func.sum(usage_days.c[name]).label(name) for name in SUMS),
)


def _run(row: Sequence[Any]) -> FoundRun:
    (
        run_uid, begun_at, exit_reason, seconds, cpu_seconds, memory, network, lower_bounds, memory_total,
        throttled, oom_kills, cores, cores_used, cores_partial, cores_unused,
        reserved, reserved_used, reserved_partial, reserved_unused, ref, sha, run_id, leg, labels,
    ) = row  # fmt: skip
    return FoundRun(
        begun_at,
        PastRun(
            run_uid=run_uid,
            began_at=rfc3339_of(begun_at / 1000),
            exit_reason=exit_reason,
            duration_seconds=seconds,
            cpu_seconds=cpu_seconds,
            memory_bytes=memory,
            network_bytes=network,
            lower_bounds=_words(lower_bounds),
            memory_total_bytes=memory_total,
            throttled_seconds=throttled,
            oom_kills=oom_kills,
            reserved_cores=Reserved(cores, cores_used, cores_partial, cores_unused),
            reserved_memory_bytes=Reserved(reserved, reserved_used, reserved_partial, reserved_unused),
            ref=ref,
            sha=sha,
            run_id=run_id,
            leg=leg,
            runner_labels=_words(labels),
        ),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
