"""Questions to the store. Each takes a connection of its own and returns plain rows."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    String,
    case,
    func,
    literal,
    select,
    union_all,
)

from jobmeter.model import wire
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.forms import both_forms, can_be, ref_forms
from jobmeter.receiver.store.history import MOST_LOOKED_AT
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.schema import parts, runs
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.usage_tables import NAMES, jobs, usages
from jobmeter.receiver.store.usages import Names

State = Literal["running", "finished", "lost"]
Ended = Literal["whole", "failed"]


class Run(NamedTuple):
    """One run as it is stored; times in milliseconds since 1970, ``job_json`` and ``summary`` are JSON.

    ``key`` is what its parts are found by. ``id`` grows in the order in which runs are first stored; receivers that
    store at once may commit a lower one later.
    """

    id: int
    run_uid: str
    state: State
    start_time: int | None
    received_at: int
    heard_at: int
    next_sequence: int
    pushed: bool
    job_json: bytes
    summary: bytes | None
    key: Key


class RunFilter(NamedTuple):
    """Which runs are asked for; None asks for all. ``since`` and ``until`` are about the start, in milliseconds.

    ``repository`` is the full path or the name alone, ``ref`` the whole ref or what people call it, as main.
    ``scopes`` are what who asks may see. ``ended`` whole are those that went to their end as far as is known, failed
    those of which it is known that they did not; what goes on, or history has not taken in yet, is neither.
    """

    organization: str | None = None
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None
    ref: str | None = None
    forge: str | None = None
    state: str | None = None
    since: int | None = None
    until: int | None = None
    scopes: Scopes = None
    ended: Ended | None = None


class SeedRow(NamedTuple):
    """One row as seed 000 answers it; ``received_at`` is RFC 3339 in UTC with milliseconds."""

    id: int
    organization: str | None
    repository: str | None
    workflow: str | None
    job: str | None
    run_id: str | None
    received_at: str
    summary: bytes


_ABOUT_RUN = (
    runs.c.id, runs.c.run_uid, runs.c.state, runs.c.start_time, runs.c.received_at, runs.c.heard_at,
    runs.c.next_sequence, runs.c.pushed, runs.c.job_json,
)  # fmt: skip
_MAX_LISTED_BYTES = 1024 * 1024
_LISTED_SUMMARY = case((func.length(runs.c.summary) <= _MAX_LISTED_BYTES, runs.c.summary), else_=None)

_NO_ID = 2**63 - 1
MAX_PAGE_BYTES = 4 * 1024 * 1024


def find_run(connection: Connection, run_uid: str, scopes: Scopes = None) -> Run | None:
    """The run of this key, if it is within the scopes."""
    if not can_be(run_uid):
        return None
    key = backend_of(connection).run_key
    query = select(*_ABOUT_RUN, runs.c.summary, key).where(runs.c.run_uid == run_uid, within(scopes))
    row = connection.execute(query).first()
    return None if row is None else Run._make(row)


def newest_runs(
    connection: Connection, wanted: RunFilter, before: int | None, limit: int, down_to: int | None = None
) -> Iterator[Run]:
    """At most ``limit`` runs, newest first, of those whose ``Run.id`` is below ``before``; one at a time.

    None is below ``down_to``. A summary of more than 1 MiB is left out.
    """
    if not can_be(*wanted[:7]):
        return
    key = backend_of(connection).run_key
    # Found by an index alone first: a sort of whole rows would read all their summaries.
    chosen = _newest(key, wanted, (down_to, before), limit)
    query = (
        select(*_ABOUT_RUN, _LISTED_SUMMARY, key)
        .where(key.in_(chosen))
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    with connection.execute(query.execution_options(yield_per=10)) as found:
        yield from map(Run._make, found)


def looked_down_to(
    connection: Connection, wanted: RunFilter, before: int | None, most: int = MOST_LOOKED_AT
) -> int | None:
    """The lowest ``Run.id`` that one question looks at; None where it looks at all runs below ``before``.

    What an index finds, as the runs of a repository, is found wherever it is. So are those of an organization, of a
    time, and what somebody may see, which no index has in order: the first page of a small organization is not to be
    empty because of what others run. For the rest runs are looked through.
    """
    indexed = wanted._replace(ended=None, forge=None)
    if wanted.repository is None:
        indexed = indexed._replace(workflow=None, job=None)
    if wanted.state == "running" or not can_be(*wanted[:7]):
        return None
    indexed = indexed._replace(state=None)
    if indexed == wanted:
        return None
    ids = _newest(runs.c.id, indexed, (None, before), most).subquery().c[0]
    query = select(ids).order_by(ids.desc()).offset(most - 1).limit(1)
    return connection.execute(query).scalar()


_Between = tuple[int | None, int | None]


def _newest(
    column: ColumnElement[Any], wanted: RunFilter, between: _Between, limit: int
) -> Select[Any] | CompoundSelect[Any]:
    """A column of the newest runs, and of some more where a name has several forms.

    Each form is asked for by itself, as an index has its runs in order: of all at once all would be read.
    """
    # Running runs are few and have an index of their own, which SQLite takes only if it must sort anyway.
    order = (runs.c.id + 0).desc() if wanted.state == "running" else runs.c.id.desc()
    among = select(column).where(*_conditions(wanted, between)).order_by(order).limit(limit)
    each = [among.where(*forms) for forms in _forms(wanted)]
    return each[0] if len(each) == 1 else union_all(*(select(one.subquery()) for one in each))


_Conditions = tuple[ColumnElement[bool], ...]


def _forms(wanted: RunFilter) -> list[_Conditions]:
    """What is to be asked for by itself."""
    refs = () if wanted.ref is None else ref_forms(wanted.ref)
    if wanted.repository is None:
        return [(runs.c.ref == ref,) for ref in refs] or [()]
    of_refs = (runs.c.ref.in_(refs),) if refs else ()
    return [(*of_repository, *of_refs) for of_repository in _of_repository(wanted, wanted.repository)]


def _conditions(wanted: RunFilter, between: _Between) -> Iterator[ColumnElement[bool]]:
    for name in ("organization", "workflow", "job", "forge"):
        value = getattr(wanted, name)
        if value is not None:
            yield runs.c[name] == value
    if wanted.state is not None:
        # In the text of the statement, so that the index of running runs is seen to fit.
        yield runs.c.state == literal(wanted.state, String, literal_execute=True)
    if wanted.ended is not None:
        # One that was given up and goes on again has not ended, though history may still tell that it did.
        yield runs.c.state != literal("running", String, literal_execute=True)
        # Run by run, as they are looked through: as a join, PostgreSQL may read what all runs used.
        whole = select(usages.c.whole).where(usages.c.run_uid == runs.c.run_uid).scalar_subquery()
        yield whole.is_(wanted.ended == "whole")
    if wanted.since is not None:
        yield runs.c.start_time >= wanted.since
    if wanted.until is not None:
        yield runs.c.start_time < wanted.until
    down_to, before = between
    if down_to is not None:
        yield runs.c.id >= down_to
    if before is not None:
        yield runs.c.id < before
    if wanted.scopes is not None:
        yield within(wanted.scopes)


def _of_repository(wanted: RunFilter, repository: str) -> list[_Conditions]:
    owner, _, name = repository.rpartition("/")
    if wanted.organization is not None:
        forms = both_forms(wanted.organization, repository)
        if None in (wanted.workflow, wanted.job):
            return [(runs.c.repository.in_(forms),)]
        return [(runs.c.repository == form,) for form in forms]
    if owner:
        return [
            (runs.c.repository == repository,),
            (runs.c.organization == owner, runs.c.repository == name),
        ]
    return [(runs.c.repository.in_(_paths(repository)),)]


def _paths(repository: str) -> CompoundSelect[Any]:
    """Of a name alone the paths in all organizations, each found by one look-up."""
    one, other = runs.alias(), runs.alias()
    owners = select(func.min(one.c.organization).label("name")).cte("owners", recursive=True)
    after = select(func.min(other.c.organization)).where(other.c.organization > owners.c.name)
    owners = owners.union_all(
        select(after.correlate(owners).scalar_subquery()).where(owners.c.name.is_not(None))
    )
    return union_all(
        select(literal(repository)),
        select(owners.c.name + f"/{repository}").where(owners.c.name.is_not(None)),
    )


def known_names(connection: Connection, scopes: Scopes, limit: int) -> list[Names]:
    """Of at most ``limit`` jobs, those that ran last first; jobs are known once a run of them is over."""
    query = select(*(jobs.c[name] for name in NAMES)).where(within(scopes, jobs))
    newest = query.order_by(func.coalesce(jobs.c.last_begun_at, 0).desc(), jobs.c.id).limit(limit)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(newest)]


class SeedPage(NamedTuple):
    """Some rows, newest first, and whether there are no more after them."""

    rows: list[SeedRow]
    is_last: bool


def runs_of_job(
    connection: Connection,
    organization: str,
    repository: str,
    workflow: str,
    job: str,
    before: int | None,
    limit: int,
) -> SeedPage:
    """At most ``limit`` rows of one job that have a summary, newest first, with an id below ``before``.

    Fewer when their summaries are large. ``repository`` is the full path, or the name alone below the organization.
    """
    if not can_be(organization, repository, workflow, job):
        return SeedPage([], True)
    # One question a form: of both at once, all rows of the job would be read and sorted.
    one, other = (
        _seed_page(connection, (organization, name, workflow, job, before or _NO_ID, limit))
        for name in both_forms(organization, repository)
    )
    return _merged(one, other, limit) if one.rows and other.rows else one if one.rows else other


def _seed_page(connection: Connection, values: tuple[Any, ...]) -> SeedPage:
    found: list[SeedRow] = []
    size, make = 0, SeedRow._make
    # As text, so that the rows come as the driver makes them: to go through a result of the library doubles the time.
    cursor: Any = connection.exec_driver_sql(backend_of(connection).seed_rows, values).cursor
    with closing(cursor):
        for row in cursor:
            found.append(make(row))
            size += len(row[-1])
            if size >= MAX_PAGE_BYTES:
                return SeedPage(found, False)
    return SeedPage(found, len(found) < values[-1])


def _merged(one: SeedPage, other: SeedPage, limit: int) -> SeedPage:
    """The rows of both down to where one of them may have more."""
    lowest = max((page.rows[-1].id for page in (one, other) if not page.is_last), default=0)
    rows = sorted(one.rows + other.rows, key=lambda row: row.id, reverse=True)
    found = [row for row in rows if row.id >= lowest][:limit]
    return SeedPage(found, one.is_last and other.is_last and len(found) == len(rows))


class NextPart(NamedTuple):
    """A stored part; its first ``skip`` records come before the one that was asked for."""

    skip: int
    next_sequence: int
    body: bytes


def next_part(connection: Connection, key: Key, sequence: int) -> NextPart | None:
    """The stored part of a run (``Run.key``) that has this record, or else the next one.

    Between two questions parts may be merged, so that a part begins below the record.
    """
    query = (
        select(parts.c.first_sequence, parts.c.next_sequence, parts.c.body)
        .where(parts.c.run == key, parts.c.next_sequence > sequence)
        .order_by(parts.c.first_sequence)
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    return NextPart(max(0, sequence - row.first_sequence), row.next_sequence, row.body)


def part_bodies(connection: Connection, key: Key) -> Iterator[bytes]:
    """What was streamed of a run (``Run.key``), in order: pieces of newline-separated JSON records."""
    query = (
        select(parts.c.body)
        .where(parts.c.run == key, parts.c.first_sequence >= 0)
        .order_by(parts.c.first_sequence)
    )
    with connection.execute(query.execution_options(yield_per=10)) as found:
        for (body,) in found:
            yield from unpacked(body)


def without_lines(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The text without its first ``count`` lines."""
    for piece in pieces:
        place = 0
        while count and (place := piece.find(b"\n", place) + 1):
            count -= 1
        if not count and piece[place:]:
            yield piece[place:]


def records(connection: Connection, key: Key) -> Iterator[wire.AnyRecord]:
    """The records that were streamed of a run, in order; kinds that are not known here are left out."""
    rest = b""
    for piece in part_bodies(connection, key):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            record = wire.decode(line) if line else None
            if record is not None:
                yield record
