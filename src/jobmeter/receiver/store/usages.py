"""Keeps the tables of what runs used up with the runs, a batch at a time.

A reader finds runs that ended or changed since and reads their numbers; the writer then stores these and makes the
days anew that they belong to. Taking in a run twice is taking it in once. One that goes on again is taken out until it
is over. One at a time writes, whatever the number of receivers on one database: who finds another at it leaves it to
that one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    case,
    delete,
    exists,
    false,
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
from jobmeter.receiver.store import sizing_days as days_of_sizing
from jobmeter.receiver.store.backend import backend_of
from jobmeter.receiver.store.forms import folded, name_alone
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.sizing_days import Told, observed
from jobmeter.receiver.store.usage_days import DAY, REST, make_days
from jobmeter.receiver.store.usage_tables import NAMES, jobs, sizing_days, usage_progress, usages
from jobmeter.receiver.times import begin_of

MAX_SUMMARY_BYTES = 1024 * 1024
"""Of a run with a larger summary nothing is told but that it was."""
# A change is in the database no later than this after the time it says: senders and locks give up before.
_SETTLED = 15_000
# An entry of an index of PostgreSQL has at most 2704 bytes; one entry holds four names, or one other text.
_MAX_NAME_BYTES, _MAX_TEXT_BYTES = 600, 2048


Names = tuple[str, str, str, str]


class Taken(NamedTuple):
    """The numbers of one run, and what sizing learns of it; ``heard_at`` says of which of its states."""

    run_uid: str
    names: Names
    begun_at: int
    heard_at: int
    usage: Usage
    observation: bytes | None = None


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
    return stored, min(stored, settled(now))


def settled(now: int) -> int:
    """Up to then whatever has been stored can be read."""
    return now - _SETTLED


def look_again(connection: Connection, since: int) -> None:
    """Have runs looked at that were last heard of since: something was stored, or has ended, with such an old time."""
    later = update(usage_progress).where(usage_progress.c.heard_at > since)
    connection.execute(later.values(heard_at=since))


def is_told() -> ColumnElement[bool]:
    """Of a row of runs: whether it is in the tables as it is now."""
    same = usages.c.run_uid == runs.c.run_uid, usages.c.heard_at == runs.c.heard_at
    return exists().where(*same, usages.c.gone == false())


# In the text of statements, so that the indexes of runs that are over and of the others are seen to fit.
_RUNNING = literal("running", String, literal_execute=True)


def changed_runs(connection: Connection, since: int, limit: int) -> list[Taken]:
    """At most ``limit`` runs that were heard of since and are over, and are not in the tables as they are now."""
    query = (
        select(*_ABOUT_RUN)
        .outerjoin(usages, usages.c.run_uid == runs.c.run_uid)
        .where(runs.c.state != _RUNNING, runs.c.heard_at >= since)
        .where(or_(usages.c.heard_at.is_(None), usages.c.heard_at != runs.c.heard_at, usages.c.gone))
        .order_by(runs.c.heard_at)
        .limit(limit)
    )
    with connection.execute(query.execution_options(yield_per=20)) as found:
        return [_taken(*row) for row in found]


def these_runs(connection: Connection, run_uids: Iterable[str]) -> list[Taken]:
    """What these runs tell, whatever the tables have of them."""
    query = select(*_ABOUT_RUN).where(runs.c.run_uid.in_(list(run_uids)))
    return [_taken(*row) for row in connection.execute(query)]


_ABOUT_RUN = (
    runs.c.run_uid, runs.c.organization, runs.c.repository, runs.c.workflow, runs.c.job,
    runs.c.start_time, runs.c.received_at, runs.c.heard_at, runs.c.job_json,
    case((func.length(runs.c.summary) <= MAX_SUMMARY_BYTES, runs.c.summary), else_=None),
)  # fmt: skip


def _taken(uid: str, *about: Any) -> Taken:
    *names, start, received, heard, job, body = about
    return Taken(
        uid,
        names_of(*names),
        begin_of(start, received, heard),
        heard,
        usage_of(body or b"", job),
        observed(uid, received, body),
    )


def reopened_runs(connection: Connection, limit: int) -> list[str]:
    """At most ``limit`` runs that are in the tables as over, and go on again."""
    query = (
        select(runs.c.run_uid)
        .join(usages, usages.c.run_uid == runs.c.run_uid)
        .where(runs.c.state == _RUNNING, usages.c.gone == false())
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


class TakeOut:
    """Has runs that go on again not be told until they are over, of their days neither."""

    def __init__(self, run_uids: Sequence[str]) -> None:
        self._run_uids = run_uids
        self.size = 100 * len(run_uids)

    def apply(self, connection: Connection, now: int) -> None:
        """Those that still go on; nothing where another is at it."""
        if _until(connection) is None:
            return
        running = select(runs.c.run_uid).where(runs.c.run_uid.in_(self._run_uids), runs.c.state == _RUNNING)
        going = connection.execute(running).scalars()
        before = {uid: one for uid, one in stored(connection, going).items() if not one.gone}
        replace_rows(connection, before, [])


class TakeIn:
    """Stores what runs used; as a change of the writer it gives until when runs are known now.

    These are all that had changed up to ``until``, where that is told. None means to stop: another is at it, or since
    ``known`` something has set back until when runs are known, and the next one is to begin there.
    """

    def __init__(self, taken: Sequence[Taken], known: int, until: int = 0) -> None:
        self._taken = taken
        self._known = known
        self._until = until
        self.size = 1024 * len(taken)

    def apply(self, connection: Connection, now: int) -> int | None:
        """Store them, and make their days and jobs anew."""
        stored = _until(connection)
        if stored is None:
            return None
        if not _could(connection, _take_in, self._taken):
            for one in self._taken:
                self._take_in_one(connection, one)
        if stored < self._known:
            return None
        newest = max((one.heard_at for one in self._taken), default=0)
        known: int = max(stored, min(max(newest, self._until), now))
        connection.execute(update(usage_progress).values(heard_at=known))
        return known

    def _take_in_one(self, connection: Connection, one: Taken) -> None:
        """With nothing but its job and its times where the database does not take its numbers."""
        if _could(connection, _take_in, [one]) or _could(
            connection, _take_in, [one._replace(usage=Usage(), observation=None)]
        ):
            return
        raise StoreError(f"what the run {one.run_uid} used cannot be stored")


def _until(connection: Connection) -> int | None:
    """Until when runs are known, while nobody else changes the tables; None where another is at it."""
    return connection.execute(select(usage_progress.c.heard_at).with_for_update(skip_locked=True)).scalar()


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
    before, heard_at = stored(connection, run_uids), _heard_at(connection, run_uids)
    taken = [
        one
        for one in found
        if one.heard_at == heard_at.get(one.run_uid) and not _is_same(before.get(one.run_uid), one)
    ]
    ids = job_ids(connection, {one.names for one in taken})
    changed = {one.run_uid: before[one.run_uid] for one in taken if one.run_uid in before}
    replace_rows(connection, changed, [row_of(one, ids[one.names]) for one in taken])


def _is_same(before: "Before | None", one: Taken) -> bool:
    return before is not None and not before.gone and before.heard_at == one.heard_at


class Before(NamedTuple):
    """How a run is in the tables."""

    job: int
    begun_at: int
    heard_at: int
    gone: bool
    observation: bytes | None

    @property
    def day(self) -> tuple[int, int]:
        """Its job, and the day in it."""
        return self.job, self.begun_at // DAY


def stored(connection: Connection, run_uids: Iterable[str]) -> dict[str, Before]:
    """Those of these runs that are in the tables."""
    columns = [usages.c[name] for name in Before._fields]
    query = select(usages.c.run_uid, *columns).where(usages.c.run_uid.in_(list(run_uids)))
    return {uid: Before(*values) for uid, *values in connection.execute(query)}


def replace_rows(
    connection: Connection, before: Mapping[str, Before], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Have the tables tell of runs by these rows alone, and make the days and jobs anew that this changes.

    ``before`` is what there is of these and other runs: all of it goes. A row has columns of ``usages``, all the same.
    """
    was = {uid: Told(uid, one.day, one.observation) for uid, one in before.items()}
    told = {
        row["run_uid"]: Told(row["run_uid"], (row["job"], row["begun_at"] // DAY), row["observation"])
        for row in rows
    }
    connection.execute(delete(usages).where(usages.c.run_uid.in_(list(before))))
    if rows:
        connection.execute(insert(usages), [dict(row) for row in rows])
    changed = {one.day for one in (*was.values(), *told.values())}
    make_days(connection, changed)
    out = (one._replace(observation=None) for uid, one in was.items() if uid not in told)
    days_of_sizing.take_in(connection, was.values(), [*told.values(), *out])
    _remove_empty(connection, {job for job, _ in changed})


def _remove_empty(connection: Connection, wanted: Iterable[int]) -> None:
    """Jobs whose runs are all told of another one now."""
    empty = select(jobs.c.id).where(jobs.c.id.in_(list(wanted)), jobs.c.runs == 0)
    ids = list(connection.execute(empty).scalars())
    if ids:
        connection.execute(delete(sizing_days).where(sizing_days.c.job.in_(ids)))
        connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))


def _heard_at(connection: Connection, run_uids: Sequence[str]) -> dict[str, int]:
    """As the runs say it now: by a clock that was set back, the later of two states may have the earlier time."""
    found = connection.execute(select(runs.c.run_uid, runs.c.heard_at).where(runs.c.run_uid.in_(run_uids)))
    return dict(found.all())


def job_ids(connection: Connection, wanted: set[Names]) -> dict[Names, int]:
    """The ids of jobs, of which those that are new are made."""
    found = _known_ids(connection, wanted)
    new = sorted(wanted - found.keys())
    if new:
        connection.execute(insert(jobs), list(map(_job_row, new)))
        found |= _known_ids(connection, set(new))
    return found


def _job_row(names: Names) -> dict[str, str]:
    owner, repository, workflow, job = names
    return {
        **dict(zip(NAMES, names, strict=True)),
        "path_folded": folded(f"{owner}/{repository}"),
        "name_folded": folded(f"{workflow}/{job}"),
    }


def _known_ids(connection: Connection, wanted: set[Names]) -> dict[Names, int]:
    columns = [jobs.c[name] for name in NAMES]
    found = connection.execute(select(jobs.c.id, *columns).where(tuple_(*columns).in_(sorted(wanted))))
    return {
        (organization, repository, workflow, job): id for id, organization, repository, workflow, job in found
    }


def row_of(one: Taken, job: int) -> dict[str, Any]:
    """Its row in the table."""
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
        "cores_reserved_unused": used.reserved_cores.unused,
        "cores_partial": used.reserved_cores.partial,
        "memory_reserved": used.reserved_memory_bytes.amount,
        "memory_reserved_used": used.reserved_memory_bytes.used,
        "memory_reserved_unused": used.reserved_memory_bytes.unused,
        "memory_partial": used.reserved_memory_bytes.partial,
        "ref": _storable(used.ref),
        "sha": _storable(used.sha),
        "run_id": _storable(used.run_id),
        "leg": _storable(used.leg),
        "labels": _storable(",".join(map(_label, used.runner_labels))),
        "observation": one.observation,
    }


def _storable(name: str | None) -> str | None:
    """PostgreSQL takes no NUL."""
    return name and _cut(name.replace("\0", ""), _MAX_TEXT_BYTES)


def _label(label: str) -> str:
    """Without what separates labels, or stands for some."""
    return label.replace(",", " ").replace(REST, " ")


def _cut(text: str, size: int) -> str:
    """At most so many bytes of it, whole characters."""
    return text.encode()[:size].decode(errors="ignore")
