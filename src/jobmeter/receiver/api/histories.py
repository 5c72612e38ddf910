"""What is said of history: the functions behind the API and behind the pages.

Each takes a connection, reads, and returns a value of ``history_types``; none knows HTTP. Names are as
``store.usages.names_of`` makes them.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from jobmeter.model.history.compare import differences
from jobmeter.model.history.digest import MEASURED, PastRun, Waste, digest, spread_of, waste_of
from jobmeter.model.history.fleet import Account, priced, together
from jobmeter.model.prices import Prices
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.api.history_types import (
    Comparison,
    Fleet,
    FleetDay,
    FleetJob,
    JobHistory,
    JobItem,
    Recent,
    RepositoryDetail,
    RepositoryItem,
    RepositoryList,
    Side,
)
from jobmeter.receiver.store.history import (
    KnownJob,
    RepositoryOrder,
    RunQuestion,
    Sums,
    find_job,
    find_past_run,
    jobs_of,
    known_repositories,
    runs_of,
    sums_by_day,
    sums_by_job,
)
from jobmeter.receiver.store.scopes import Scopes, covered
from jobmeter.receiver.store.usages import Names

RECENT_RUNS = 30
MAX_JOBS = 200
USUAL_RUNS = 20
"""So many runs of the branch before say what is usual, as for `jobmeter check`."""
_EPOCH = date(1970, 1, 1)


def job_history(
    connection: Connection, names: Names, scopes: Scopes, wanted: RunQuestion, limit: int
) -> JobHistory:
    """At most ``limit`` runs; of a job that may not be seen, as of one that is not there, none."""
    job = find_job(connection, names) if covered(scopes, *names) else None
    found = [] if job is None else runs_of(connection, job.id, wanted, limit + 1)
    runs = [one.run for one in found[:limit]]
    organization, repository, workflow, name = names
    return JobHistory(
        organization=organization,
        repository=repository,
        workflow=workflow,
        job=name,
        runs=runs,
        digest=digest(runs),
        next_cursor=cursor_after(found[limit - 1].begun_at, runs[-1]) if len(found) > limit else None,
    )


def cursor_after(begun_at: int, run: PastRun) -> str:
    """The cursor of what follows a run; begins are milliseconds since 1970."""
    return f"{begun_at}:{run.run_uid}"


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
    connection: Connection, scopes: Scopes, organization: str, name: str
) -> RepositoryDetail | None:
    """A repository with its jobs; None when no job of it that may be seen ran."""
    found = jobs_of(connection, scopes, organization, name, MAX_JOBS)
    if not found:
        return None
    return RepositoryDetail(
        organization=organization, repository=name, jobs=[_job_item(connection, job) for job in found]
    )


def _job_item(connection: Connection, job: KnownJob) -> JobItem:
    runs = [one.run for one in runs_of(connection, job.id, RunQuestion(), RECENT_RUNS)]
    whole = [run for run in runs if run.is_whole]
    of_leg = [run for run in reversed(whole) if run.leg == whole[0].leg]
    spreads = (spread_of(measured, whole) for measured in MEASURED)
    return JobItem(
        workflow=job.workflow,
        job=job.job,
        runs=job.runs,
        last_run=runs[0] if runs else None,
        spreads=tuple(spread for spread in spreads if spread),
        cpu=waste_of(runs, lambda run: run.reserved_cores),
        memory=waste_of(runs, lambda run: run.reserved_memory_bytes),
        recent=Recent(
            **{name: [run.measure(name) for run in of_leg] for name in ("duration", "cpu_seconds", "memory")}
        ),
    )


def compare_runs(connection: Connection, scopes: Scopes, before: str, after: str) -> Comparison | None:
    """Two runs; None unless both are there, are over and may be seen.

    What is usual is said by the last whole runs of the first one's leg and branch up to it.
    """
    found = [find_past_run(connection, run_uid) for run_uid in (before, after)]
    sides: list[Side] = []
    usual: Sequence[PastRun] = ()
    for one in found:
        if one is None or not covered(scopes, *one[0]):
            return None
        names, (begun_at, run) = one
        if not sides:
            usual = _like(connection, names, run, begun_at)
        sides.append(Side(ref=run.ref, runs=[run]))
    return _compared(sides[0], sides[1], usual)


def _like(connection: Connection, names: Names, run: PastRun, begun_at: int) -> list[PastRun]:
    job = find_job(connection, names)
    wanted = RunQuestion(ref=run.ref, leg=run.leg, whole=True, until=begun_at + 1)
    return [] if job is None else [one.run for one in runs_of(connection, job.id, wanted, USUAL_RUNS)]


def compare_branches(
    connection: Connection, names: Names, scopes: Scopes, refs: tuple[str, str], leg: str | None, limit: int
) -> Comparison:
    """The last whole runs of two branches of a job, at most ``limit`` each; what is usual is that of the first."""
    job = find_job(connection, names) if covered(scopes, *names) else None
    before, after = (
        Side(
            ref=ref,
            runs=[]
            if job is None
            else [
                one.run
                for one in runs_of(connection, job.id, RunQuestion(ref=ref, leg=leg, whole=True), limit)
            ],
        )
        for ref in refs
    )
    return _compared(before, after, before.runs)


def _compared(before: Side, after: Side, usual: Sequence[PastRun]) -> Comparison:
    return Comparison(before=before, after=after, differences=differences(before.runs, after.runs, usual))


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
        byte_seconds=sums.byte_seconds,
        cpu=Waste(
            runs=sums.cores_told_runs,
            reserved=sums.reserved_core_seconds,
            used=sums.reserved_used_core_seconds,
        ),
        memory=Waste(
            runs=sums.memory_told_runs,
            reserved=sums.reserved_byte_seconds,
            used=sums.reserved_used_byte_seconds,
        ),
    )


def today() -> date:
    """The day it is, UTC."""
    return datetime.now(UTC).date()
