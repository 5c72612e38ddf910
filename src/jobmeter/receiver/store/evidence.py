"""What a referee has attached to a run: one document of evidence a run, as it was sent."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from jobmeter.model.errors import StoreError
from jobmeter.model.evidence.document import Weight
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.schema import evidence, runs
from jobmeter.receiver.store.scopes import Scopes, within
from jobmeter.receiver.store.streams import check_scopes, lock_run


class UnknownRun(StoreError):
    """There is no run to which it could be attached."""


class KeptEvidence(NamedTuple):
    """A document as it lies in the database: compressed by zlib or gzip, asked for at milliseconds since 1970."""

    asked_at: int
    answered: int
    points: int
    tail_open: bool
    body: bytes

    @classmethod
    def of(cls, weight: Weight, body: bytes) -> "KeptEvidence":
        """A compressed document of this weight."""
        return cls(round(weight.asked_at * 1000), weight.answered, weight.points, weight.tail_open, body)

    @property
    def weight(self) -> Weight:
        """What decides whether it may take the place of another one."""
        return Weight(self.asked_at / 1000, self.answered, self.points, self.tail_open)


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
        """Store it, unless what is there knows more; whether it is stored. Raises Foreign and UnknownRun."""
        run = lock_run(connection, self.run_uid)
        check_scopes(run, self.scopes)
        if run is None:
            raise UnknownRun(f"there is no run {self.run_uid}")
        # By a time that is still to come no later document could ever take its place.
        kept = self.kept._replace(asked_at=min(self.kept.asked_at, now))
        if not keep_evidence(connection, run.key, kept):
            return False
        # Of a run that goes on this is no sign of life.
        if run.state != "running":
            of_run = backend_of(connection).run_key == run.key
            connection.execute(update(runs).where(of_run).values(heard_at=max(now, run.heard_at)))
        return True


def keep_evidence(connection: Connection, key: Key, new: KeptEvidence) -> bool:
    """Have it instead of what there is of this run, which is locked, unless that knows more; whether it is there."""
    query = select(*(evidence.c[name] for name in KeptEvidence._fields[:-1])).where(evidence.c.run == key)
    row = connection.execute(query).first()
    if row is not None:
        if not new.weight.replaces(KeptEvidence._make((*row, b"")).weight):
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
