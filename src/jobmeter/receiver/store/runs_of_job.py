"""Which runs are those of one job of a forge, for who knows its names and its time alone.

Legs of a matrix have all their names in common, and so have the runs of a job whose steps are metered one by one. So a
run is the job's only if it lies within its time, nothing tells that it is another one's, and no other run of these
names was at the same time.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, select, union_all

from jobmeter.model.errors import StoreError
from jobmeter.model.job import Job
from jobmeter.ops.problems import Problem
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.forms import both_forms, can_be
from jobmeter.receiver.store.schema import evidence, runs
from jobmeter.receiver.times import milliseconds

MOST_LOOKED_AT = 1000
"""So many of the newest runs of these names are looked at: evidence comes when its job has just ended."""
MOST_STEPS = 20
"""So many runs one job may have."""
_CLOCKS = 10_000
"""So far may the clocks of who metered the run and of who handed out the job be from each other, in milliseconds."""


_MOMENT = 1000
"""And so much is a last report late, or a time cut off."""


class NoRunYet(StoreError):
    """There is no run of the job, or one of them goes on."""


class SeveralRuns(StoreError):
    """More than one run can be the job's, and not all of them are."""


class OneJob(NamedTuple):
    """A job by its names, its task if that is known, and its time in milliseconds since 1970."""

    organization: str
    job: Job
    task: str | None
    begin: int
    end: int


class _Row(NamedTuple):
    key: Key
    run_uid: str
    state: str
    start_time: int
    received_at: int
    heard_at: int
    job_json: bytes
    task: str | None


class _Candidate(NamedTuple):
    run_uid: str
    begin: int
    end: int
    goes_on: bool


def runs_of_job(connection: Connection, wanted: OneJob) -> list[str]:
    """The keys of its runs, in their order; of a job whose steps are metered there are several, one after another.

    Raises NoRunYet and SeveralRuns.
    """
    found = sorted(_candidates(connection, wanted), key=lambda one: (one.begin, one.end))
    if len(found) > 1:
        # Where one is within without that the clocks need be apart, what is not is another leg's, just before or after.
        found = [one for one in found if _is_within(one, wanted)] or found
    if not found:
        raise NoRunYet("there is no run of these names within the job's time")
    if any(one.goes_on for one in found):
        raise NoRunYet(f"the run {next(one.run_uid for one in found if one.goes_on)} of these names goes on")
    if len(found) > MOST_STEPS or any(after.begin < before.end for before, after in pairwise(found)):
        raise SeveralRuns(f"{len(found)} runs of these names were within the job's time")
    return [one.run_uid for one in found]


def span_of(connection: Connection, key: Key) -> tuple[int | None, int | None]:
    """When a run began and ended, as who metered it says; None for what is not known, or still to come."""
    columns = runs.c.start_time, runs.c.state, runs.c.summary
    start, state, summary = connection.execute(
        select(*columns).where(backend_of(connection).run_key == key)
    ).one()
    return start, None if state == "running" else _end_of(summary)


def _candidates(connection: Connection, wanted: OneJob) -> Iterator[_Candidate]:
    for row in _rows(connection, wanted):
        if not _can_be_same(wanted, row):
            continue
        goes_on = row.state == "running"
        end = span_of(connection, row.key)[1]
        if end is None:
            # When a run that is over was last heard of says nothing: that is also when something was attached to it.
            end = row.heard_at if goes_on else row.received_at
        # Most of it was within: what only lies in what is given to the clocks is another's.
        middle = (row.start_time + end) // 2
        if end <= wanted.end + _CLOCKS and wanted.begin - _MOMENT <= middle <= wanted.end + _MOMENT:
            yield _Candidate(row.run_uid, row.start_time, end, goes_on)


def _is_within(one: _Candidate, wanted: OneJob) -> bool:
    return wanted.begin - _MOMENT <= one.begin and one.end <= wanted.end + _MOMENT


def _rows(connection: Connection, wanted: OneJob) -> list[_Row]:
    """Those of the newest runs of these names that began within the job's time."""
    if not can_be(wanted.organization, *_names(wanted.job), wanted.job.run_id):
        return []
    key = backend_of(connection).run_key
    columns = (runs.c[name] for name in _Row._fields[1:-1])
    query = (
        select(key, *columns, evidence.c.task)
        .outerjoin(evidence, evidence.c.run == key)
        .where(
            key.in_(_newest(key, wanted)),
            runs.c.run_id == wanted.job.run_id,
            runs.c.start_time.between(wanted.begin - _CLOCKS, wanted.end + _CLOCKS),
        )
    )
    return [_Row._make(row) for row in connection.execute(query)]


def _newest(key: ColumnElement[Any], wanted: OneJob) -> Any:
    """Each form of the repository by itself, as an index has it."""
    repository, workflow, job = _names(wanted.job)
    each = (
        select(key)
        .where(
            runs.c.organization == wanted.organization,
            runs.c.repository == form,
            runs.c.workflow == workflow,
            runs.c.job == job,
        )
        .order_by(runs.c.id.desc())
        .limit(MOST_LOOKED_AT)
        for form in both_forms(wanted.organization, repository)
    )
    return union_all(*(select(one.subquery()) for one in each))


def _names(job: Job) -> tuple[str, str, str]:
    return job.repository or "", job.workflow or "", job.job or ""


def _can_be_same(wanted: OneJob, row: _Row) -> bool:
    """Whether all that both tell is the same; a run with evidence of another task is that one's."""
    if None not in (wanted.task, row.task) and wanted.task != row.task:
        return False
    try:
        told = msgspec.json.decode(row.job_json, type=Job)
    except msgspec.MsgspecError:
        return True
    names = ["attempt", "matrix"]
    # A runner of GitLab is known to its jobs by its description, and to who hands them out by another name.
    if "gitlab" not in (wanted.job.forge, told.forge):
        names.append("runner")
    both = ((getattr(wanted.job, name), getattr(told, name)) for name in names)
    return all(one is None or other is None or one == other for one, other in both)


class _Ended(Struct):
    end_time: str | None = None


def _end_of(summary: bytes | None) -> int | None:
    """Of any JSON that was sent as a summary."""
    try:
        end = msgspec.json.decode(summary or b"", type=_Ended).end_time
        return None if end is None else milliseconds(end, "end_time")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Problem):
        return None
