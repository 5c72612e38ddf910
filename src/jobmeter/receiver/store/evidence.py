"""What a referee has attached to a run: one document of evidence a run, as it was sent."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from jobmeter.model.errors import StoreError
from jobmeter.model.evidence.document import Weight
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.runs_of_job import OneJob, runs_of_job, span_of
from jobmeter.receiver.store.schema import evidence, runs
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.streams import check_scopes, lock_run

_APART = 10 * 60 * 1000
"""So far may the clocks of who metered a run and of who asked Prometheus be from each other, in milliseconds."""


class UnknownRun(StoreError):
    """There is no run to which it could be attached."""


class OtherTime(StoreError):
    """The run was at another time."""


class KeptEvidence(NamedTuple):
    """A document as it lies in the database: compressed by zlib or gzip; times in milliseconds since 1970.

    ``begun_at``, ``ended_at`` and ``task`` are the job's, as it says; those of earlier releases are not known.
    """

    asked_at: int
    answered: int
    points: int
    tail_open: bool
    body: bytes
    begun_at: int | None = None
    ended_at: int | None = None
    task: str | None = None

    @classmethod
    def of(cls, weight: Weight, body: bytes) -> "KeptEvidence":
        """A compressed document of this weight."""
        return cls(
            round(weight.asked_at * 1000),
            weight.answered,
            weight.points,
            weight.tail_open,
            body,
            _milliseconds(weight.begin),
            _milliseconds(weight.end),
            weight.task,
        )

    @property
    def weight(self) -> Weight:
        """What decides whether it may take the place of another one."""
        return Weight(
            self.asked_at / 1000,
            self.answered,
            self.points,
            self.tail_open,
            _seconds(self.begun_at),
            _seconds(self.ended_at),
            self.task,
        )


class NewEvidence(NamedTuple):
    """A document for a run; ``scopes`` are the runs that its sender may store."""

    run_uid: str
    kept: KeptEvidence
    scopes: Scopes = None

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return len(self.kept.body)

    def apply(self, connection: Connection, now: int) -> bool:
        """Store it, unless what is there knows more; whether it is stored. Raises Foreign, UnknownRun, OtherTime."""
        run = lock_run(connection, self.run_uid)
        check_scopes(run, self.scopes)
        if run is None:
            raise UnknownRun(f"there is no run {self.run_uid}")
        _check_time(connection, run.key, self.kept)
        # By a time that is still to come no later document could ever take its place.
        kept = self.kept._replace(asked_at=min(self.kept.asked_at, now))
        if not keep_evidence(connection, run.key, kept):
            return False
        # Of a run that goes on this is no sign of life.
        if run.state != "running":
            of_run = backend_of(connection).run_key == run.key
            connection.execute(update(runs).where(of_run).values(heard_at=max(now, run.heard_at)))
        return True


class NewEvidenceOfJob(NamedTuple):
    """A document for the runs of a job, whose names its sender may store: for those who know no key of a run."""

    of: OneJob
    kept: KeptEvidence
    scopes: Scopes = None

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return len(self.kept.body)

    def apply(self, connection: Connection, now: int) -> list[tuple[str, bool]]:
        """Store it with each, unless what is there knows more: the keys of the runs, and whether it is stored.

        Raises NoRunYet, SeveralRuns, and Foreign.
        """
        run_uids = runs_of_job(connection, self.of)
        return [
            (run_uid, NewEvidence(run_uid, self.kept, self.scopes).apply(connection, now))
            for run_uid in sorted(run_uids)
        ]


def _check_time(connection: Connection, run: Key, kept: KeptEvidence) -> None:
    """Raises OtherTime for a document of which no moment is the run's; what is not known contradicts nothing."""
    if kept.begun_at is None or kept.ended_at is None:
        return
    begin, end = span_of(connection, run)
    if begin is not None and kept.ended_at < begin - _APART:
        raise OtherTime(f"it ends at {_told(kept.ended_at)}, and the run began at {_told(begin)}")
    if end is not None and kept.begun_at > end + _APART:
        raise OtherTime(f"it begins at {_told(kept.begun_at)}, and the run ended at {_told(end)}")


def keep_evidence(connection: Connection, key: Key, new: KeptEvidence) -> bool:
    """Have it instead of what there is of this run, which is locked, unless that knows more; whether it is there."""
    names = [name for name in KeptEvidence._fields if name != "body"]
    query = select(*(evidence.c[name] for name in names)).where(evidence.c.run == key)
    row = connection.execute(query).first()
    if row is not None:
        if not new.weight.replaces(KeptEvidence(**row._mapping, body=b"").weight):
            return False
        connection.execute(delete(evidence).where(evidence.c.run == key))
    connection.execute(insert(evidence).values(run=key, **new._asdict()))
    return True


def kept_evidence(connection: Connection, run_uid: str, scopes: Scopes = None) -> bytes | None:
    """The document of a run as it was sent; None when there is none within the scopes. Raises JournalError."""
    body = kept_body(connection, run_uid, scopes)
    return None if body is None else b"".join(unpacked(body))


def kept_body(connection: Connection, run_uid: str, scopes: Scopes = None) -> bytes | None:
    """The same as it lies in the database, compressed."""
    if not can_be(run_uid):
        return None
    key = backend_of(connection).run_key
    query = (
        select(evidence.c.body)
        .join(runs, evidence.c.run == key)
        .where(runs.c.run_uid == run_uid, within(scopes))
    )
    body: bytes | None = connection.execute(query).scalar()
    return body


def _milliseconds(time: float | None) -> int | None:
    return None if time is None else round(time * 1000)


def _seconds(time: int | None) -> float | None:
    return None if time is None else time / 1000


def _told(time: int) -> str:
    return rfc3339_of(time / 1000)
