"""What is said of history: the functions behind the API and behind the pages.

Each takes a connection, reads, and returns a value of ``history_types``; none knows HTTP. Names are as
``store.usages.names_of`` makes them.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from jobmeter.model.history.compare import differences
from jobmeter.model.history.digest import PastRun, Waste, digest
from jobmeter.model.history.fleet import Account, priced, together
from jobmeter.model.history.usual import EARLIER_RUNS
from jobmeter.model.prices import Prices
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.api.history_types import (
    Comparison,
    Fleet,
    FleetDay,
    FleetJob,
    JobHistory,
    RepositoryDetail,
    RepositoryItem,
    RepositoryList,
    Side,
)
from jobmeter.receiver.api.job_items import JobItems
from jobmeter.receiver.store.day_sums import Sums, sums_by_day, sums_by_job
from jobmeter.receiver.store.history import FoundRun, RunPage, RunQuestion, find_past_run, page_of, runs_of
from jobmeter.receiver.store.known_jobs import (
    JobOrder,
    OfRepository,
    RepositoryOrder,
    count_jobs,
    find_job,
    jobs_by_use,
    jobs_of,
    known_repositories,
)
from jobmeter.receiver.store.scopes import Scopes, covered_job
from jobmeter.receiver.store.usages import Names

MOST_ORDERED = 500
"""So many jobs of a repository are ordered by what they used: the runs of each are read."""
USUAL_RUNS = 20
"""So many runs of the branch before say what is usual, as for `jobmeter check`."""
_EPOCH = date(1970, 1, 1)


def job_history(
    connection: Connection, names: Names, scopes: Scopes, wanted: RunQuestion, limit: int
) -> JobHistory:
    """At most ``limit`` runs; of a job that may not be seen, as of one that is not there, none."""
    job = find_job(connection, names) if covered_job(scopes, names) else None
    page = RunPage([]) if job is None else page_of(connection, job.id, wanted, limit)
    runs = [one.run for one in page.found]
    organization, repository, workflow, name = names
    return JobHistory(
        organization=organization,
        repository=repository,
        workflow=workflow,
        job=name,
        runs=runs,
        digest=digest(runs),
        next_cursor="{}:{}".format(*page.next) if page.next else None,
    )


def repositories(
    connection: Connection, scopes: Scopes, words: str, order: RepositoryOrder, skip: int, limit: int
) -> RepositoryList:
    """At most ``limit`` repositories whose path has ``words`` in it, after the first ``skip``."""
    found = known_repositories(connection, scopes, words, order, skip, limit + 1)
    return RepositoryList(
        repositories=[
            RepositoryItem(
                organization=one.organization,
                repository=one.repository,
                jobs=one.jobs,
                runs=one.runs,
                last_run_at=None if one.last_begun_at is None else rfc3339_of(one.last_begun_at / 1000),
            )
            for one in found[:limit]
        ],
        next_cursor=str(skip + limit) if len(found) > limit else None,
    )


def repository(
    connection: Connection, of: OfRepository, order: JobOrder, skip: int, limit: int, items: JobItems
) -> RepositoryDetail | None:
    """A repository with at most ``limit`` of its jobs, after the first ``skip``; None where none may be seen."""
    total = count_jobs(connection, of)
    if not total and not (of.words and count_jobs(connection, of._replace(words=""))):
        return None
    match order:
        case "name" | "last" | "runs":
            ordered = total
            found = jobs_of(connection, of, order, skip, limit)
        case _:
            ordered = min(total, MOST_ORDERED)
            used = partial(items.used, connection, order=order)
            found = jobs_by_use(connection, of, MOST_ORDERED, used)[skip : skip + limit]
    return RepositoryDetail(
        organization=of.organization,
        repository=of.repository,
        total=total,
        jobs=[items.item(connection, job) for job in found],
        ordered=ordered,
        next_cursor=str(skip + limit) if ordered > skip + limit else None,
    )


def compare_runs(connection: Connection, scopes: Scopes, before: str | None, after: str) -> Comparison | None:
    """Two runs; None unless both are there, are over and may be seen. None as ``before`` is the run before.

    What is usual is said by the last whole runs of the first one's leg and branch up to it; where it names no branch,
    by runs that name none either.
    """
    new = seen_run(connection, scopes, after)
    if new is None:
        return None
    old = _run_before(connection, *new) if before is None else seen_run(connection, scopes, before)
    if old is None:
        return None
    names, (begun_at, run) = old
    like = _of_branch(run.ref)._replace(leg=run.leg, ended="whole", until=begun_at + 1)
    usual = _runs_like(connection, names, like, USUAL_RUNS + EARLIER_RUNS)
    later = new[1].run
    return Comparison(
        before=_side(names, run.ref, [run]),
        after=_side(new[0], later.ref, [later]),
        differences=differences([run], [later], [one.run for one in usual], USUAL_RUNS),
    )


def seen_run(connection: Connection, scopes: Scopes, run_uid: str) -> tuple[Names, FoundRun] | None:
    """A run that is over, with the names of its job; None unless it is there and may be seen."""
    found = find_past_run(connection, run_uid)
    return found if found is not None and covered_job(scopes, found[0]) else None


def _run_before(connection: Connection, names: Names, found: FoundRun) -> tuple[Names, FoundRun] | None:
    """The newest whole run of the same job and leg before this one: of its branch, else of any."""
    for branch in (_of_branch(found.run.ref), RunQuestion()):
        wanted = branch._replace(leg=found.run.leg, ended="whole", before=found.place)
        for one in _runs_like(connection, names, wanted, 1):
            return names, one
    return None


def _of_branch(ref: str | None) -> RunQuestion:
    """Runs of a branch; None are those that name none, which are not the runs of all branches."""
    return RunQuestion(ref=ref, without_ref=ref is None)


def _runs_like(connection: Connection, names: Names, wanted: RunQuestion, limit: int) -> list[FoundRun]:
    job = find_job(connection, names)
    return [] if job is None else runs_of(connection, job.id, wanted, limit)


def compare_branches(
    connection: Connection, names: Names, scopes: Scopes, refs: tuple[str, str], leg: str | None, limit: int
) -> Comparison:
    """The last whole runs of two branches of a job, at most ``limit`` each; what is usual is that of the first.

    Legs are not mixed: None is the one that most of these runs of the second branch are of.
    """

    def runs(ref: str, leg: str | None) -> list[PastRun]:
        wanted = RunQuestion(ref=ref, leg=leg, ended="whole")
        if not covered_job(scopes, names):
            return []
        return [one.run for one in _runs_like(connection, names, wanted, limit + EARLIER_RUNS)]

    before, after = refs
    if leg is None:
        counts = Counter(run.leg for run in runs(after, None) or runs(before, None))
        leg = max(counts, key=counts.__getitem__, default=None)
    old, new = runs(before, leg), runs(after, leg)
    return Comparison(
        before=_side(names, before, old[:limit]),
        after=_side(names, after, new[:limit]),
        differences=differences(old, new, old, limit),
    )


def _side(names: Names, ref: str | None, runs: list[PastRun]) -> Side:
    organization, repository, workflow, job = names
    return Side(
        organization=organization, repository=repository, workflow=workflow, job=job, ref=ref, runs=runs
    )


def fleet(
    connection: Connection, scopes: Scopes, prices: Prices | None, since: date, until: date, limit: int
) -> Fleet:
    """All runs of the days from ``since`` to ``until``, and at most ``limit`` jobs that waste most."""
    first, end = (since - _EPOCH).days, (until - _EPOCH).days + 1
    jobs: dict[Names, list[Account]] = {}
    for one in sums_by_job(connection, scopes, first, end):
        account = _account(one.sums)
        if prices is not None:
            account = priced(account, prices.of(one.labels.split(",")))
        jobs.setdefault(one.names, []).append(account)
    accounts = {names: together(parts) for names, parts in jobs.items()}
    most = sorted(accounts.items(), key=lambda pair: (-_wasted(pair[1]), pair[0]))[:limit]
    return Fleet(
        since=since.isoformat(),
        until=until.isoformat(),
        currency=None if prices is None else prices.currency,
        total=together(accounts.values()),
        jobs=[
            FleetJob(
                organization=names[0], repository=names[1], workflow=names[2], job=names[3], account=account
            )
            for names, account in most
            if _wasted(account) > 0
        ],
        days=[
            FleetDay(day=(_EPOCH + timedelta(one.day)).isoformat(), account=_account(one.sums))
            for one in sums_by_day(connection, scopes, first, end)
        ],
    )


def _wasted(account: Account) -> float:
    return account.wasted_weight if account.wasted_cost is None else account.wasted_cost


def _account(sums: Sums) -> Account:
    return Account(
        runs=sums.runs,
        failed_runs=sums.failed_runs,
        duration_seconds=sums.duration_seconds,
        core_seconds=sums.core_seconds,
        core_lower_bounds=sums.core_lower_bounds,
        byte_seconds=sums.byte_seconds,
        byte_lower_bounds=sums.byte_lower_bounds,
        cpu=Waste(
            runs=sums.cores_told_runs,
            reserved=sums.reserved_core_seconds,
            used=sums.reserved_used_core_seconds,
            unused=sums.reserved_unused_core_seconds,
            partial=sums.cores_partial_runs,
        ),
        memory=Waste(
            runs=sums.memory_told_runs,
            reserved=sums.reserved_byte_seconds,
            used=sums.reserved_used_byte_seconds,
            unused=sums.reserved_unused_byte_seconds,
            partial=sums.memory_partial_runs,
        ),
    )


def today() -> date:
    """The day it is, UTC."""
    return datetime.now(UTC).date()
