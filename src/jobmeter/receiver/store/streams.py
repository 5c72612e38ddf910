"""Stores what is streamed: parts of a run, and its end.

Whatever depends on the state of a run is decided in the transaction of the writer, with the row of the run locked,
so that several receivers of one database agree.
"""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, exists, insert, literal, or_, select, update

from jobmeter.model.errors import StoreError
from jobmeter.model.job import Job
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.courses import keep_course
from jobmeter.receiver.store.errors import Foreign
from jobmeter.receiver.store.packing import packed
from jobmeter.receiver.store.queries import State
from jobmeter.receiver.store.schema import parts, runs
from jobmeter.receiver.store.scopes import Scopes, covered
from jobmeter.receiver.store.usages import look_again

_CLAIMED_MILLISECONDS = 60_000


class Progress(NamedTuple):
    """How far a run has come: the first record that is not on disk, and whether its end is."""

    next_sequence: int
    ended: bool
    stored_records: int = 0


class Gap(StoreError):
    """The part begins above the first record that is missing."""

    def __init__(self, next_sequence: int) -> None:
        super().__init__(f"records from {next_sequence} on are missing before this part")
        self.next_sequence = next_sequence


class Outdated(StoreError):
    """The run has changed since its summary was made."""


class Ending(NamedTuple):
    """A summary that was folded from the records below ``next_sequence``; None when there is nothing to tell of.

    ``course`` is what is to be drawn of the run, if that is to be kept.
    """

    next_sequence: int
    summary: bytes | None
    state: State = "finished"
    course: bytes | None = None


class Part(NamedTuple):
    """Records of one run, contiguous; ``lines`` are their JSON without newlines.

    ``compressed`` are the same lines as they were sent, where they were sent compressed. ``job`` and
    ``start_time`` (milliseconds since 1970) are there with the first record. ``ending`` is there when the last
    record is the end, and was made with the records that were stored then. ``scopes`` are the runs that its sender
    may store.
    """

    run_uid: str
    first_sequence: int
    lines: tuple[bytes, ...]
    compressed: bytes | None = None
    job: Job | None = None
    start_time: int | None = None
    gap: bool = False
    ends: bool = False
    ending: Ending | None = None
    scopes: Scopes = None

    @property
    def next_sequence(self) -> int:
        """The sequence of the record after the last one."""
        return self.first_sequence + len(self.lines)

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return sum(map(len, self.lines)) + len(self.compressed or b"")

    def apply(self, connection: Connection, now: int) -> Progress:
        """Store what is new of it. Raises Gap, Foreign, and Outdated when the ending was made of other records."""
        run = lock_run(connection, self.run_uid)
        self._check(run)
        missing = run.next_sequence if run else 0
        if self.next_sequence <= missing:
            return Progress(missing, run is not None and run.state == "finished")
        if self.first_sequence > missing and not self.gap:
            raise Gap(missing)
        if self.ends and (self.ending is None or self.ending.next_sequence != missing):
            raise Outdated("the run has changed since its summary was made")
        key = run.key if run else self._begin(connection, now)
        known = max(0, missing - self.first_sequence)
        connection.execute(
            insert(parts).values(
                run=key,
                first_sequence=self.first_sequence + known,
                next_sequence=self.next_sequence,
                body=self._body(known),
            )
        )
        values: dict[str, Any] = {"next_sequence": self.next_sequence, "heard_at": now, "state": "running"}
        if run and self.job is not None:
            values |= _named(self.job, self.start_time)
        if self.ending is not None:
            values |= _ended(connection, key, self.ending, pushed=bool(run and run.pushed))
        _update(connection, key, values)
        return Progress(self.next_sequence, self.ends, len(self.lines) - known)

    def _check(self, run: "KnownRun | None") -> None:
        """Raises Foreign unless the run is within the scopes, now and with what the part says of its job."""
        check_scopes(run, self.scopes)
        job = self.job or (Job() if run is None else None)
        if job is not None and not covered(
            self.scopes, job.organization, job.repository, job.workflow, job.job
        ):
            raise Foreign(f"the run {self.run_uid} is of a job that its sender may not store")

    def _body(self, known: int) -> bytes:
        if not known and self.compressed is not None:
            return self.compressed
        return packed(self.lines[known:])

    def _begin(self, connection: Connection, now: int) -> Key:
        values = _named(self.job or Job(), self.start_time) | {
            "run_uid": self.run_uid, "state": "running", "received_at": now, "heard_at": now, "pushed": False,
        }  # fmt: skip
        made: Key = connection.execute(
            insert(runs).values(values).returning(backend_of(connection).run_key)
        ).scalar_one()
        return made


class Heard(NamedTuple):
    """Who sends a run asks how far it has come, so it goes on. One that was lost stays so until a record comes."""

    run_uid: str
    scopes: Scopes = None
    size: int = 0

    def apply(self, connection: Connection, now: int) -> Progress:
        """Note when it was heard of. Raises Foreign."""
        run = lock_run(connection, self.run_uid)
        check_scopes(run, self.scopes)
        if run is None:
            return Progress(0, False)
        if run.state == "running":
            _update(connection, run.key, {"heard_at": now})
        return Progress(run.next_sequence, run.state == "finished")


class Finish(NamedTuple):
    """A run that fell silent is over, as ``ending`` says."""

    run_uid: str
    heard_before: int
    ending: Ending

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return len(self.ending.summary or b"") + len(self.ending.course or b"")

    def apply(self, connection: Connection, now: int) -> bool:
        """Finish it, unless something was heard of it in the meantime."""
        run = lock_run(connection, self.run_uid)
        if (
            run is None
            or run.state != "running"
            or run.heard_at >= self.heard_before
            or run.next_sequence != self.ending.next_sequence
        ):
            return False
        _update(connection, run.key, _ended(connection, run.key, self.ending, pushed=run.pushed))
        # It is told with the time when it was last heard of, however long ago that is.
        look_again(connection, run.heard_at)
        return True


class Claim(NamedTuple):
    """Takes up runs that fell silent, so that no other receiver of the database folds them too.

    Whoever has claimed a run and does not finish it, as one that was killed, leaves it to others after a minute.
    """

    heard_before: int
    limit: int = 100
    size: int = 0

    def apply(self, connection: Connection, now: int) -> list[str]:
        """Keys of runs that are running, were last heard of before then, and are nobody's; longest silent first."""
        key = backend_of(connection).run_key
        is_free = or_(
            runs.c.claimed_at.is_(None),
            runs.c.claimed_at <= runs.c.heard_at,
            runs.c.claimed_at < now - _CLAIMED_MILLISECONDS,
        )
        query = (
            select(key, runs.c.run_uid)
            .where(runs.c.state == "running", runs.c.heard_at < self.heard_before, is_free)
            .order_by(runs.c.heard_at)
            .limit(self.limit)
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(query).all()
        if found:
            keys = [one[0] for one in found]
            connection.execute(update(runs).where(key.in_(keys)).values(claimed_at=now))
        return [run_uid for _, run_uid in found]


class KnownRun(NamedTuple):
    """What is looked at before a run is changed."""

    key: Key
    state: State
    next_sequence: int
    heard_at: int
    pushed: bool
    organization: str | None
    repository: str | None
    workflow: str | None
    job: str | None


def check_scopes(run: KnownRun | None, scopes: Scopes) -> None:
    """Raises Foreign for a run that is there and not within the scopes."""
    if run is not None and not covered(scopes, run.organization, run.repository, run.workflow, run.job):
        raise Foreign("the run is of a job that its sender may not store")


def lock_run(connection: Connection, run_uid: str) -> KnownRun | None:
    """The run of this key, which nobody else changes until the end of the transaction."""
    key = backend_of(connection).run_key
    query = select(key, *(runs.c[name] for name in KnownRun._fields[1:]))
    row = connection.execute(query.where(runs.c.run_uid == run_uid).with_for_update()).first()
    return None if row is None else KnownRun._make(row)


def _update(connection: Connection, key: Key, values: dict[str, Any]) -> None:
    connection.execute(update(runs).where(backend_of(connection).run_key == key).values(values))


def _named(job: Job, start_time: int | None) -> dict[str, Any]:
    names = ("forge", "organization", "repository", "workflow", "job", "run_id", "ref")
    return {name: getattr(job, name) for name in names} | {
        "start_time": start_time, "job_json": msgspec.json.encode(job),
    }  # fmt: skip


def _ended(connection: Connection, key: Key, ending: Ending, *, pushed: bool) -> dict[str, Any]:
    """A summary that was sent stays: its sender says it of the run. A folded one stays where there is no other."""
    if ending.course is not None:
        keep_course(connection, key, ending.course)
    if pushed:
        return {"state": "finished"}
    if ending.summary is None:
        return {"state": ending.state}
    return {"state": ending.state, "summary": _better(key, ending.summary)}


def _better(key: Key, folded: bytes) -> ColumnElement[bytes]:
    """The summary that is there, where retention has removed the first records, of which this one knows nothing."""
    begins = exists().where(parts.c.run == key, parts.c.first_sequence == 0)
    knows_more = and_(runs.c.summary.is_not(None), ~begins)
    return case((knows_more, runs.c.summary), else_=literal(folded, runs.c.summary.type))
