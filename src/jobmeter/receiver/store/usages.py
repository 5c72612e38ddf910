"""Keeps the tables of what runs used up with the runs, a batch at a time.

A reader finds runs that ended or changed since and reads their numbers; the writer then stores these and makes the
days anew that they belong to. Taking in a run twice is taking it in once. One at a time writes, whatever the number of
receivers on one database: who finds another at it leaves it to that one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    Integer,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from jobmeter.model.errors import StoreError
from jobmeter.model.history.digest import WHOLE
from jobmeter.model.history.usage import Usage, usage_of
from jobmeter.receiver.store.backend import backend_of
from jobmeter.receiver.store.forms import name_alone
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.usage_tables import NAMES, jobs, usage_days, usage_progress, usages
from jobmeter.receiver.times import begin_of

DAY = 86_400_000
MAX_SUMMARY_BYTES = 1024 * 1024
"""Of a run with a larger summary nothing is told but that it was."""
# A change is in the database no later than this after the time it says: senders and locks give up before.
_SETTLED = 15_000
# An entry of an index of PostgreSQL has at most 2704 bytes; one entry holds four names, or one other text.
_MAX_NAME_BYTES, _MAX_TEXT_BYTES = 600, 2048


Names = tuple[str, str, str, str]


class Taken(NamedTuple):
    """The numbers of one run; ``heard_at`` says of which of its states."""

    run_uid: str
    names: Names
    begun_at: int
    heard_at: int
    usage: Usage


def names_of(
    organization: str | None, repository: str | None, workflow: str | None, job: str | None
) -> Names:
    """The four names as tables have them: both forms of a repository, its full path and its name alone, are one.

    They are cut to what fits into an index.
    """
    owner = organization or ""
    names = owner, name_alone(owner, repository or ""), workflow or "", job or ""
    return tuple(_cut(name, _MAX_NAME_BYTES) for name in names)  # type: ignore[return-value]


def position(connection: Connection, now: int) -> tuple[int, int]:
    """Until when runs are known, and from when on they must be looked at; times in milliseconds since 1970."""
    stored = connection.execute(select(usage_progress.c.heard_at)).scalar() or 0
    return stored, min(stored, now - _SETTLED)


def silent_since(connection: Connection) -> int | None:
    """When the one of the runs that are not over was heard of that is silent for longest; None when all are over."""
    running = runs.c.state == literal("running", String, literal_execute=True)
    return connection.execute(select(func.min(runs.c.heard_at)).where(running)).scalar()


def changed_runs(connection: Connection, since: int, limit: int) -> list[Taken]:
    """At most ``limit`` runs that were heard of since and are over, and are not in the tables as they are now."""
    small = func.length(runs.c.summary) <= MAX_SUMMARY_BYTES
    query = (
        select(
            runs.c.run_uid, runs.c.organization, runs.c.repository, runs.c.workflow, runs.c.job,
            runs.c.start_time, runs.c.received_at, runs.c.heard_at, runs.c.job_json,
            case((small, runs.c.summary), else_=None),
        )
        .outerjoin(usages, usages.c.run_uid == runs.c.run_uid)
        # In the text of the statement, so that the index of runs that are over is seen to fit.
        .where(runs.c.state != literal("running", String, literal_execute=True), runs.c.heard_at >= since)
        .where(or_(usages.c.heard_at.is_(None), usages.c.heard_at != runs.c.heard_at))
        .order_by(runs.c.heard_at)
        .limit(limit)
    )  # fmt: skip
    with connection.execute(query.execution_options(yield_per=20)) as found:
        return [
            Taken(uid, names_of(*names), begin_of(start, received, heard), heard, usage_of(body or b"", job))
            for uid, *names, start, received, heard, job, body in found
        ]


class TakeIn:
    """Stores what runs used; as a change of the writer it gives until when runs are known now.

    None means to stop: another is at it, or since ``known`` an import has set back until when runs are known, and the
    next one is to begin there.
    """

    def __init__(self, taken: Sequence[Taken], known: int) -> None:
        self._taken = taken
        self._known = known
        self.size = 1024 * len(taken)

    def apply(self, connection: Connection, now: int) -> int | None:
        """Store them, and make their days and jobs anew."""
        stored = connection.execute(
            select(usage_progress.c.heard_at).with_for_update(skip_locked=True)
        ).scalar()
        if stored is None:
            return None
        if not _could(connection, _take_in, self._taken):
            for one in self._taken:
                self._take_in_one(connection, one)
        if stored < self._known:
            return None
        newest = max((one.heard_at for one in self._taken), default=0)
        known: int = max(stored, min(newest, now))
        connection.execute(update(usage_progress).values(heard_at=known))
        return known

    def _take_in_one(self, connection: Connection, one: Taken) -> None:
        """With nothing but its job and its times where the database does not take its numbers."""
        if _could(connection, _take_in, [one]) or _could(connection, _take_in, [one._replace(usage=Usage())]):
            return
        raise StoreError(f"what the run {one.run_uid} used cannot be stored")


def gone_runs(connection: Connection, after: str, limit: int) -> tuple[list[str], str | None]:
    """Of ``limit`` runs in the tables with keys above one those that were removed; and the last key looked at."""
    page = (
        select(usages.c.run_uid)
        .where(usages.c.run_uid > after)
        .order_by(usages.c.run_uid)
        .limit(limit)
        .subquery()
    )
    query = (
        select(page.c.run_uid, runs.c.run_uid.is_(None))
        .outerjoin(runs, runs.c.run_uid == page.c.run_uid)
        .order_by(page.c.run_uid)
    )
    found = connection.execute(query).all()
    gone = [run_uid for run_uid, is_gone in found if is_gone]
    return gone, found[-1][0] if len(found) == limit else None


class Forget:
    """Takes runs that were removed out again; the sums of their days stay, as what is known of that time."""

    def __init__(self, run_uids: Sequence[str]) -> None:
        self._run_uids = run_uids
        self.size = 100 * len(run_uids)

    def apply(self, connection: Connection, now: int) -> None:
        """Remove them, but for those that came again."""
        there = select(runs.c.run_uid).where(runs.c.run_uid == usages.c.run_uid).exists()
        connection.execute(delete(usages).where(usages.c.run_uid.in_(self._run_uids), ~there))


def _could(
    connection: Connection, work: Callable[[Connection, Sequence[Taken]], None], taken: Sequence[Taken]
) -> bool:
    """Whether it could be done; if not, nothing of it is. What would meet any other change too is raised."""
    try:
        with connection.begin_nested():
            work(connection, taken)
    except Exception as error:
        judgement = backend_of(connection).judge(error)
        if judgement and (judgement.concerns_all or judgement.clash or judgement.stale):
            raise
        return False
    return True


def _take_in(connection: Connection, found: Sequence[Taken]) -> None:
    """Store those that are still as they were read and are not there so, and make their days and jobs anew."""
    run_uids = [one.run_uid for one in found]
    before, heard_at = _stored(connection, run_uids), _heard_at(connection, run_uids)
    taken = [
        one
        for one in found
        if one.heard_at == heard_at.get(one.run_uid)
        and (one.run_uid not in before or before[one.run_uid][2] != one.heard_at)
    ]
    ids = _job_ids(connection, {one.names for one in taken})
    _replace(connection, taken, ids)
    days = {(ids[one.names], one.begun_at // DAY) for one in taken}
    days |= {
        (job, begun_at // DAY)
        for uid in (one.run_uid for one in taken)
        if uid in before
        for job, begun_at, _ in (before[uid],)
    }
    _make_days(connection, days)


def _stored(connection: Connection, run_uids: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    query = select(usages.c.run_uid, usages.c.job, usages.c.begun_at, usages.c.heard_at)
    found = connection.execute(query.where(usages.c.run_uid.in_(list(run_uids))))
    return {uid: (job, begun_at, heard_at) for uid, job, begun_at, heard_at in found}


def _heard_at(connection: Connection, run_uids: Sequence[str]) -> dict[str, int]:
    """As the runs say it now: by a clock that was set back, the later of two states may have the earlier time."""
    found = connection.execute(select(runs.c.run_uid, runs.c.heard_at).where(runs.c.run_uid.in_(run_uids)))
    return dict(found.all())


def _job_ids(connection: Connection, wanted: set[Names]) -> dict[Names, int]:
    """The ids of jobs, of which those that are new are made."""
    found = _known_ids(connection, wanted)
    new = sorted(wanted - found.keys())
    if new:
        connection.execute(insert(jobs), [dict(zip(NAMES, names, strict=True)) for names in new])
        found |= _known_ids(connection, set(new))
    return found


def _known_ids(connection: Connection, wanted: set[Names]) -> dict[Names, int]:
    columns = [jobs.c[name] for name in NAMES]
    found = connection.execute(select(jobs.c.id, *columns).where(tuple_(*columns).in_(sorted(wanted))))
    return {
        (organization, repository, workflow, job): id for id, organization, repository, workflow, job in found
    }


def _replace(connection: Connection, taken: Sequence[Taken], ids: dict[Names, int]) -> None:
    if taken:
        connection.execute(delete(usages).where(usages.c.run_uid.in_([one.run_uid for one in taken])))
        connection.execute(insert(usages), [_row(one, ids[one.names]) for one in taken])


def _row(one: Taken, job: int) -> dict[str, Any]:
    used = one.usage
    return {
        "run_uid": one.run_uid,
        "job": job,
        "begun_at": one.begun_at,
        "heard_at": one.heard_at,
        "whole": None if used.exit_reason is None else used.exit_reason in WHOLE,
        "exit_reason": used.exit_reason,
        "duration_seconds": used.duration_seconds,
        "cpu_seconds": used.cpu_seconds,
        "memory_bytes": used.memory_bytes,
        "network_bytes": used.network_bytes,
        "lower_bounds": ",".join(used.lower_bounds),
        "memory_total_bytes": used.memory_total_bytes,
        "throttled_seconds": used.throttled_seconds,
        "oom_kills": used.oom_kills,
        "cores_reserved": used.reserved_cores.amount,
        "cores_reserved_used": used.reserved_cores.used,
        "memory_reserved": used.reserved_memory_bytes.amount,
        "memory_reserved_used": used.reserved_memory_bytes.used,
        "ref": _storable(used.ref),
        "sha": _storable(used.sha),
        "run_id": _storable(used.run_id),
        "leg": _storable(used.leg),
        "labels": _storable(",".join(label.replace(",", " ") for label in used.runner_labels)),
    }


def _storable(name: str | None) -> str | None:
    """PostgreSQL takes no NUL."""
    return name and _cut(name.replace("\0", ""), _MAX_TEXT_BYTES)


def _cut(text: str, size: int) -> str:
    """At most so many bytes of it, whole characters."""
    return text.encode()[:size].decode(errors="ignore")


def _make_days(connection: Connection, days: set[tuple[int, int]]) -> None:
    """The sums of jobs' days from all their runs: sums that only grew would drift, and count a change twice."""
    told = [
        {"of_job": job, "of_day": day, "begin": day * DAY, "end": (day + 1) * DAY}
        for job, day in sorted(days)
    ]
    if told:
        connection.execute(_NO_DAY, told)
        connection.execute(_DAY, told)
        connection.execute(_COUNT, [{"of_job": job} for job in sorted({job for job, _ in days})])


def _sums() -> Iterator[tuple[str, Any]]:
    one, seconds = usages.c, usages.c.duration_seconds

    def times(value: Any) -> Any:
        return func.sum(cast(value, Float) * seconds)

    def counted(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    yield "runs", func.count()
    yield "failed_runs", counted(one.whole.is_(False))
    yield "cores_told_runs", counted(and_(one.cores_reserved.is_not(None), seconds.is_not(None)))
    yield "memory_told_runs", counted(and_(one.memory_reserved.is_not(None), seconds.is_not(None)))
    yield "duration_seconds", func.sum(seconds)
    yield "core_seconds", func.sum(one.cpu_seconds)
    yield "byte_seconds", times(one.memory_total_bytes)
    yield "reserved_core_seconds", times(one.cores_reserved)
    yield "reserved_used_core_seconds", times(one.cores_reserved_used)
    yield "reserved_byte_seconds", times(one.memory_reserved)
    yield "reserved_used_byte_seconds", times(one.memory_reserved_used)


def _of(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_NO_DAY = delete(usage_days).where(usage_days.c.job == _of("of_job"), usage_days.c.day == _of("of_day"))
_DAY = insert(usage_days).from_select(
    ("day", "job", "labels", *(name for name, _ in _sums())),
    select(cast(_of("of_day"), Integer), usages.c.job, usages.c.labels, *(value for _, value in _sums()))
    .where(usages.c.job == _of("of_job"), usages.c.begun_at >= _of("begin"), usages.c.begun_at < _of("end"))
    .group_by(usages.c.job, usages.c.labels),
)
_COUNT = (
    update(jobs)
    .where(jobs.c.id == _of("of_job"))
    .values(
        runs=select(func.coalesce(func.sum(usage_days.c.runs), 0))
        .where(usage_days.c.job == _of("of_job"))
        .scalar_subquery(),
        last_begun_at=select(func.max(usages.c.begun_at))
        .where(usages.c.job == _of("of_job"))
        .scalar_subquery(),
    )
)
