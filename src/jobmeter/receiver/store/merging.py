"""Merges the parts of a run that is over: together, as columns, they take less room.

Block by block, so that a run of any length takes the memory of one, and may be left half merged at any time.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, case, delete, func, insert, select

from jobmeter.receiver.store.backend import Key, backend_of
from jobmeter.receiver.store.block import coding
from jobmeter.receiver.store.packing import BEGIN_BYTES, is_block, unpacked
from jobmeter.receiver.store.queries import Run, find_run
from jobmeter.receiver.store.schema import parts, runs
from jobmeter.receiver.store.streams import lock_run

_BLOCK_BYTES = 16 * 1024 * 1024
# Without the course of the run that is kept beside them.
_PARTS = func.count(case((parts.c.first_sequence >= 0, 1)))


class Encoder(Protocol):
    """As `block.coding.Encoder`, wherever it works."""

    def add(self, piece: bytes) -> None: ...  # noqa: D102

    def block(self) -> bytes: ...  # noqa: D102


class Merge(NamedTuple):
    """Parts of a run that follow one another without a gap, as one; ``run_next_sequence`` is how far the run was."""

    run_uid: str
    run_next_sequence: int
    part_count: int
    first_sequence: int
    next_sequence: int
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return len(self.body)

    def apply(self, connection: Connection, now: int) -> bool:
        """Put it in place of the parts it was made of, unless something has changed in the meantime."""
        run = lock_run(connection, self.run_uid)
        if run is None or run.state == "running" or run.next_sequence != self.run_next_sequence:
            return False
        replaced = (
            parts.c.run == run.key,
            parts.c.first_sequence >= self.first_sequence,
            parts.c.first_sequence < self.next_sequence,
        )
        if connection.execute(select(func.count()).where(*replaced)).scalar_one() != self.part_count:
            return False
        connection.execute(delete(parts).where(*replaced))
        connection.execute(
            insert(parts).values(
                run=run.key,
                first_sequence=self.first_sequence,
                next_sequence=self.next_sequence,
                body=self.body,
            )
        )
        return True


class Unmerged(NamedTuple):
    """Runs whose parts are to be merged, of those that were looked at; ``last`` is None when that were all."""

    run_uids: list[str]
    last: Key | None


def unmerged_runs(
    connection: Connection, after: Key | None, limit: int, stopping: threading.Event
) -> Unmerged:
    """Look at the next ``limit`` streamed runs for those that are over and end with parts that are no blocks.

    Bodies are most of a database, so the key of the parts alone says which runs have several, and of those only the
    first bytes of two are read. Fewer are found if it is to stop.
    """
    query = select(parts.c.run, _PARTS).group_by(parts.c.run).order_by(parts.c.run).limit(limit)
    counts = connection.execute(query if after is None else query.where(parts.c.run > after)).all()
    several = [run for run, count in counts if count > 1]
    key = backend_of(connection).run_key
    over = select(key, runs.c.run_uid).where(key.in_(several), runs.c.state != "running")
    found = [
        run_uid
        for run, run_uid in (connection.execute(over).all() if several else ())
        if not stopping.is_set() and _ends_with_parts(connection, run)
    ]
    return Unmerged(found, counts[-1][0] if len(counts) == limit else None)


def _ends_with_parts(connection: Connection, run: Key) -> bool:
    """Whether the last two are no blocks; blocks are made from the first part on."""
    begins = backend_of(connection).last_begins(connection, run, 2, BEGIN_BYTES)
    return not any(map(is_block, begins))


def next_merge(
    connection: Connection,
    run_uid: str,
    sequence: int,
    stopping: threading.Event,
    encoder: Callable[[], Encoder] = coding.Encoder,
) -> Merge | None:
    """The first parts from this record on that become one; None when there are none, or as soon as it is to stop.

    ``encoder`` makes what takes the text of a block; where that was killed, all is read and given to another one, once.
    """
    run = find_run(connection, run_uid)
    if run is None:
        return None
    try:
        return _merge_of(connection, run, sequence, stopping, encoder)
    except BrokenPipeError:
        if stopping.is_set():
            raise
        return _merge_of(connection, run, sequence, stopping, encoder)


def _merge_of(
    connection: Connection,
    run: Run,
    sequence: int,
    stopping: threading.Event,
    encoder: Callable[[], Encoder],
) -> Merge | None:
    query = (
        select(parts.c.first_sequence, parts.c.next_sequence, parts.c.body)
        .where(parts.c.run == run.key, parts.c.first_sequence >= sequence)
        .order_by(parts.c.first_sequence)
    )
    with connection.execute(query.execution_options(yield_per=1)) as found:
        packing = _packed(found, _Packing(sequence, encoder), stopping)
    return packing.merge(run.run_uid, run.next_sequence) if packing and packing.part_count > 1 else None


def _packed(found: Iterable[Any], packing: "_Packing", stopping: threading.Event) -> "_Packing | None":
    """The first parts that follow one another, as far as a block takes them; None as soon as it is to stop."""
    for first, following, body in found:
        if first != packing.next_sequence or packing.size >= _BLOCK_BYTES or is_block(body):
            if packing.part_count > 1:
                break
            packing = packing.beginning(following if is_block(body) else first)
        if is_block(body):
            continue
        for piece in unpacked(body):
            if stopping.is_set():
                return None
            packing.add(piece)
        packing.end_part(following)
    return packing


class _Packing:
    """A block in the making: records without a gap."""

    def __init__(self, first_sequence: int, encoder: Callable[[], Encoder]) -> None:
        self.size = 0
        self.part_count = 0
        self.next_sequence = first_sequence
        self._first_sequence = first_sequence
        self._encoder_of = encoder
        self._encoder = encoder()

    def beginning(self, first_sequence: int) -> "_Packing":
        """Another one instead."""
        return _Packing(first_sequence, self._encoder_of)

    def add(self, piece: bytes) -> None:
        """Some of the records of a part."""
        self._encoder.add(piece)
        self.size += len(piece)

    def end_part(self, next_sequence: int) -> None:
        """All records of a part are in it."""
        self.part_count += 1
        self.next_sequence = next_sequence

    def merge(self, run_uid: str, run_next_sequence: int) -> Merge:
        """What becomes of the parts. Raises block.coding.Damaged where they could not be read again, and OSError."""
        body = self._encoder.block()
        return Merge(
            run_uid, run_next_sequence, self.part_count, self._first_sequence, self.next_sequence, body
        )
