"""Questions about what runs used: jobs, the runs of a job, and the sums of a time. None reads a summary.

Each is bounded, and found by an index: the runs of one job by ``usages_by_job`` or ``usages_by_ref``, the sums of a
time by the days in it.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from jobmeter.model.history.digest import PastRun
from jobmeter.model.history.usage import Reserved
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.forms import name_alone
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.receiver.store.usage_tables import COUNTS, NAMES, SUMS, jobs, usage_days, usages
from jobmeter.receiver.store.usages import Names

MOST_LOOKED_AT = 20_000
"""So many of the newest runs of a job, or of its branch, are looked through."""
_LEAST_PAGE = 100

RepositoryOrder = Literal["name", "last", "runs"]


class KnownJob(NamedTuple):
    """A job that ran; ``last_begun_at`` in milliseconds since 1970, null when its runs are no longer there."""

    id: int
    organization: str
    repository: str
    workflow: str
    job: str
    runs: int
    last_begun_at: int | None

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

    ``until`` bounds the begin, in milliseconds since 1970. ``before`` is the begin and the key of the run after which
    the answer goes on.
    """

    ref: str | None = None
    leg: str | None = None
    whole: bool = False
    until: int | None = None
    before: tuple[int, str] | None = None


class FoundRun(NamedTuple):
    """A run, and its begin in milliseconds since 1970."""

    begun_at: int
    run: PastRun


class Sums(NamedTuple):
    """What the runs of a time used and reserved together, of those that tell it; None where none does."""

    runs: int
    failed_runs: int
    cores_told_runs: int
    memory_told_runs: int
    duration_seconds: float | None
    core_seconds: float | None
    byte_seconds: float | None
    reserved_core_seconds: float | None
    reserved_used_core_seconds: float | None
    reserved_byte_seconds: float | None
    reserved_used_byte_seconds: float | None


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
    if not _can_be(*names):
        return None
    same = (jobs.c[column] == name for column, name in zip(NAMES, names, strict=True))
    row = connection.execute(select(*_ABOUT_JOB).where(*same)).first()
    return None if row is None else KnownJob._make(row)


def known_repositories(
    connection: Connection, scopes: Scopes, words: str, order: RepositoryOrder, skip: int, limit: int
) -> list[KnownRepository]:
    """Repositories whose path has ``words`` in it, but for those whose jobs lack a name."""
    if not _can_be(words):
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
        .where(*(jobs.c[column] != "" for column in NAMES), job_within(scopes))
        .group_by(owner, name)
        .order_by(*orders[order])
        .offset(skip)
        .limit(limit)
    )
    if words:
        path = func.lower(owner + "/" + name)
        query = query.where(path.contains(words.lower(), autoescape=True))
    return [KnownRepository._make(row) for row in connection.execute(query)]


def jobs_of(
    connection: Connection, scopes: Scopes, organization: str, repository: str, limit: int
) -> list[KnownJob]:
    """At most ``limit`` jobs of a repository (without its organization), those that ran last first."""
    if not _can_be(organization, repository):
        return []
    query = (
        select(*_ABOUT_JOB)
        .where(jobs.c.organization == organization, jobs.c.repository == repository)
        .where(jobs.c.workflow != "", jobs.c.job != "", job_within(scopes))
        .order_by(func.coalesce(jobs.c.last_begun_at, 0).desc(), jobs.c.id)
        .limit(limit)
    )
    return [KnownJob._make(row) for row in connection.execute(query)]


def runs_of(connection: Connection, job: int, wanted: RunQuestion, limit: int) -> list[FoundRun]:
    """At most ``limit`` runs of a job, newest first."""
    if not _can_be(wanted.ref, wanted.leg, wanted.before and wanted.before[1]):
        return []
    if wanted.leg is None and not wanted.whole:
        return _newest(connection, job, wanted, limit)
    # No index is for these: pages of the newest are looked through.
    found: list[FoundRun] = []
    page = max(_LEAST_PAGE, 2 * limit)
    for _ in range(0, MOST_LOOKED_AT, page):
        runs = _newest(connection, job, wanted, page)
        found += [one for one in runs if _is_kept(one.run, wanted)]
        if len(runs) < page or len(found) >= limit:
            break
        wanted = wanted._replace(before=(runs[-1].begun_at, runs[-1].run.run_uid))
    return found[:limit]


def _newest(connection: Connection, job: int, wanted: RunQuestion, limit: int) -> list[FoundRun]:
    query = select(*_ABOUT_RUN).where(usages.c.job == job)
    if wanted.ref is not None:
        query = query.where(usages.c.ref == wanted.ref)
    if wanted.until is not None:
        query = query.where(usages.c.begun_at < wanted.until)
    if wanted.before is not None:
        query = query.where(
            tuple_(usages.c.begun_at, usages.c.run_uid) < tuple_(*map(literal, wanted.before))
        )
    query = query.order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc()).limit(limit)
    return [_run(row) for row in connection.execute(query)]


def _is_kept(run: PastRun, wanted: RunQuestion) -> bool:
    return (wanted.leg is None or run.leg == wanted.leg) and (run.is_whole or not wanted.whole)


def refs_and_legs_of(connection: Connection, job: int, runs: int, limit: int) -> tuple[list[str], list[str]]:
    """At most ``limit`` refs and legs of the newest runs of a job, those that ran last first."""
    newest = (
        select(usages.c.ref, usages.c.leg)
        .where(usages.c.job == job)
        .order_by(usages.c.begun_at.desc(), usages.c.run_uid.desc())
        .limit(runs)
    )
    found = connection.execute(newest).all()
    refs = list(dict.fromkeys(ref for ref, _ in found if ref))
    return refs[:limit], list(dict.fromkeys(leg for _, leg in found))[:limit]


def find_past_run(connection: Connection, run_uid: str) -> tuple[Names, FoundRun] | None:
    """One run and the names of its job."""
    if not _can_be(run_uid):
        return None
    query = select(*(jobs.c[name] for name in NAMES), *_ABOUT_RUN).join(jobs, jobs.c.id == usages.c.job)
    row = connection.execute(query.where(usages.c.run_uid == run_uid)).first()
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
        .where(job_within(scopes))
    )
    return [
        JobSums((row[0], row[1], row[2], row[3]), row[4], Sums._make(row[5:]))
        for row in connection.execute(query)
    ]


def sums_by_day(connection: Connection, scopes: Scopes, since: int, until: int) -> list[DaySums]:
    """Of the same days, each with a run, in their order."""
    query = select(usage_days.c.day, *_TOTALS).where(usage_days.c.day >= since, usage_days.c.day < until)
    if scopes is not None:
        query = query.join(jobs, jobs.c.id == usage_days.c.job).where(job_within(scopes))
    query = query.group_by(usage_days.c.day).order_by(usage_days.c.day)
    return [DaySums(row[0], Sums._make(row[1:])) for row in connection.execute(query)]


def job_within(scopes: Scopes) -> ColumnElement[bool]:
    """The condition that keeps a query of jobs to what is within one of the scopes."""
    if scopes is None:
        return true()
    found = []
    for scope in scopes:
        parts = [jobs.c.organization == scope.organization]
        if scope.repository is not None:
            parts.append(jobs.c.repository == name_alone(scope.organization, scope.repository))
        if scope.workflow is not None:
            parts.append(jobs.c.workflow == scope.workflow)
        if scope.job is not None:
            parts.append(jobs.c.job == scope.job)
        found.append(and_(*parts))
    return or_(*found) if found else false()


_ABOUT_JOB = (jobs.c.id, *(jobs.c[name] for name in NAMES), jobs.c.runs, jobs.c.last_begun_at)
_ABOUT_RUN = (
    usages.c.run_uid, usages.c.begun_at, usages.c.exit_reason, usages.c.duration_seconds, usages.c.cpu_seconds,
    usages.c.memory_bytes, usages.c.network_bytes, usages.c.lower_bounds, usages.c.memory_total_bytes,
    usages.c.throttled_seconds, usages.c.oom_kills, usages.c.cores_reserved, usages.c.cores_reserved_used,
    usages.c.memory_reserved, usages.c.memory_reserved_used, usages.c.ref, usages.c.sha, usages.c.run_id,
    usages.c.leg, usages.c.labels,
)  # fmt: skip
_TOTALS = (
    *(cast(func.sum(usage_days.c[name]), jobs.c.runs.type).label(name) for name in COUNTS),
    *(func.sum(usage_days.c[name]).label(name) for name in SUMS),
)


def _can_be(*names: str | None) -> bool:
    """No text of the store has a NUL in it, and PostgreSQL takes none."""
    return not any(name and "\0" in name for name in names)


def _run(row: Sequence[Any]) -> FoundRun:
    (
        run_uid, begun_at, exit_reason, seconds, cpu_seconds, memory, network, lower_bounds, memory_total,
        throttled, oom_kills, cores, cores_used, reserved, reserved_used, ref, sha, run_id, leg, labels,
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
            reserved_cores=Reserved(cores, cores_used),
            reserved_memory_bytes=Reserved(reserved, reserved_used),
            ref=ref,
            sha=sha,
            run_id=run_id,
            leg=leg,
            runner_labels=_words(labels),
        ),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
