"""Questions about runs that go on: which there are, how far they have come, and what has come of them lately."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, String, literal, select

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.forms import can_be
from jobmeter.receiver.store.packing import unpacked
from jobmeter.receiver.store.queries import State
from jobmeter.receiver.store.schema import parts, runs
from jobmeter.receiver.store.scopes import Scopes, within

# The run's start and what was there at its start are in its first parts.
_FIRST_PARTS = 4
_SAMPLE_BEGINS = b'{"kind":"sample"'
_STAGES = select(runs.c.run_uid, runs.c.state, runs.c.next_sequence, runs.c.heard_at)


class Going(NamedTuple):
    """A run that goes on, without its summary; times in milliseconds since 1970."""

    run_uid: str
    start_time: int | None
    received_at: int
    heard_at: int
    next_sequence: int
    job_json: bytes
    key: Key


class Stage(NamedTuple):
    """How far a run has come."""

    state: State
    next_sequence: int
    heard_at: int


def going_runs(connection: Connection, scopes: Scopes, limit: int) -> list[Going]:
    """The runs that go on, the newest first."""
    query = (
        select(
            runs.c.run_uid,
            runs.c.start_time,
            runs.c.received_at,
            runs.c.heard_at,
            runs.c.next_sequence,
            runs.c.job_json,
            backend_of(connection).run_key,
        )
        # In the text of the statement, so that the index of running runs is seen to fit.
        .where(runs.c.state == literal("running", String, literal_execute=True), within(scopes))
        .order_by((runs.c.id + 0).desc())
        .limit(limit)
    )
    return [Going._make(row) for row in connection.execute(query)]


def stages_of(connection: Connection, run_uids: Collection[str]) -> dict[str, Stage]:
    """How far these runs have come."""
    query = _STAGES.where(runs.c.run_uid.in_(run_uids))
    return {uid: Stage(*stage) for uid, *stage in connection.execute(query)}


def stage_of(connection: Connection, run_uid: str, scopes: Scopes) -> Stage | None:
    """How far a run has come; None when there is none within the scopes."""
    if not can_be(run_uid):
        return None
    row = connection.execute(_STAGES.where(runs.c.run_uid == run_uid, within(scopes))).first()
    return None if row is None else Stage(*row[1:])


def first_records(connection: Connection, key: Key) -> list[wire.AnyRecord]:
    """The records of the run's first parts."""
    query = (
        select(parts.c.body)
        .where(parts.c.run == key, parts.c.first_sequence >= 0)
        .order_by(parts.c.first_sequence)
        .limit(_FIRST_PARTS)
    )
    return [record for (body,) in connection.execute(query) for record in _decoded(body)]


def records_since(connection: Connection, key: Key, sequence: int) -> list[wire.AnyRecord]:
    """The records of a run from this number on, in their order."""
    query = (
        select(parts.c.body)
        .where(parts.c.run == key, parts.c.next_sequence > sequence)
        .order_by(parts.c.first_sequence)
    )
    found = [record for (body,) in connection.execute(query) for record in _decoded(body)]
    return [record for record in found if record.sequence >= sequence]


def declared(connection: Connection, key: Key) -> list[wire.Declare]:
    """All that was ever said of the containers of a run; its samples are passed over unread."""
    query = (
        select(parts.c.body)
        .where(parts.c.run == key, parts.c.first_sequence >= 0)
        .order_by(parts.c.first_sequence)
    )
    with connection.execute(query.execution_options(yield_per=10)) as found:
        return [
            record
            for (body,) in found
            for record in _decoded(body, but=_SAMPLE_BEGINS)
            if isinstance(record, wire.Declare)
        ]


def _decoded(body: bytes, but: bytes = b"\n") -> Iterator[wire.AnyRecord]:
    """The records of a part that can be read; lines that begin in one way may be left out."""
    try:
        for line in b"".join(unpacked(body)).split(b"\n"):
            record = wire.decode(line) if line and not line.startswith(but) else None
            if record is not None:
                yield record
    except JournalError:
        return
