"""Questions about the runs of a job and what they used. None reads a summary.

Each is bounded, and found by an index: ``usages_by_job`` or ``usages_by_ref``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    false,
    literal,
    select,
    text,
    tuple_,
)

from jobmeter.model.history.digest import WHOLE, PastRun
from jobmeter.model.history.usage import Reserved
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.usage_tables import NAMES, jobs, usages
from jobmeter.receiver.store.usages import Names

MOST_LOOKED_AT = 20_000
"""So many runs are looked through at a time for what no index tells: of all, of a job, or of its branch."""
_LEAST_PAGE, _GROWTH = 100, 5

Ended = Literal["any", "whole", "failed"]


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


_ABOUT_RUN = (
    usages.c.run_uid, usages.c.begun_at, usages.c.exit_reason, usages.c.duration_seconds, usages.c.cpu_seconds,
    usages.c.memory_bytes, usages.c.network_bytes, usages.c.lower_bounds, usages.c.memory_total_bytes,
    usages.c.throttled_seconds, usages.c.oom_kills,
    usages.c.cores_reserved, usages.c.cores_reserved_used, usages.c.cores_partial, usages.c.cores_reserved_unused,
    usages.c.memory_reserved, usages.c.memory_reserved_used, usages.c.memory_partial,
    usages.c.memory_reserved_unused,
    usages.c.ref, usages.c.sha, usages.c.run_id, usages.c.leg, usages.c.labels,
)  # fmt: skip


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
