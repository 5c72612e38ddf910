"""Merges the parts of a run that is over: compressed together they take less room, as ``packing`` says.

Block by block, so that a run of any length takes the memory of one, and may be left half merged at any time.
"""

import threading
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from jobmeter.receiver.store.packing import BLOCK_BEGINS, block_packer, is_block, unpacked
from jobmeter.receiver.store.queries import find_run
from jobmeter.receiver.store.schema import parts, runs

_BLOCK_BYTES = 16 * 1024 * 1024


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
        run = find_run(connection, self.run_uid)
        if run is None or run.state == "running" or run.next_sequence != self.run_next_sequence:
            return False
        replaced = (
            parts.c.run == run.id,
            parts.c.first_sequence >= self.first_sequence,
            parts.c.first_sequence < self.next_sequence,
        )
        if connection.execute(select(func.count()).where(*replaced)).scalar_one() != self.part_count:
            return False
        connection.execute(delete(parts).where(*replaced))
        connection.execute(
            insert(parts).values(
                run=run.id,
                first_sequence=self.first_sequence,
                next_sequence=self.next_sequence,
                body=self.body,
            )
        )
        return True


def unmerged_runs(connection: Connection, after: int, limit: int) -> list[tuple[int, str]]:
    """Numbers and keys of runs that are over and have several parts that are no blocks, above this number."""
    is_part = func.substr(parts.c.body, 1, len(BLOCK_BEGINS)) != BLOCK_BEGINS
    count = select(func.count()).where(parts.c.run == runs.c.id, is_part).scalar_subquery()
    query = (
        select(runs.c.id, runs.c.run_uid)
        .where(runs.c.id > after, runs.c.state != "running", count > 1)
        .order_by(runs.c.id)
        .limit(limit)
    )
    return [(number, run_uid) for number, run_uid in connection.execute(query)]


def next_merge(
    connection: Connection, run_uid: str, sequence: int, stopping: threading.Event
) -> Merge | None:
    """The first parts from this record on that become one; None when there are none, or as soon as it is to stop."""
    run = find_run(connection, run_uid)
    if run is None:
        return None
    query = (
        select(parts.c.first_sequence, parts.c.next_sequence, parts.c.body)
        .where(parts.c.run == run.id, parts.c.first_sequence >= sequence)
        .order_by(parts.c.first_sequence)
    )
    packing = _Packing(sequence)
    for first, following, body in connection.execution_options(yield_per=1).execute(query):
        if first != packing.next_sequence or packing.size >= _BLOCK_BYTES or is_block(body):
            if packing.part_count > 1:
                break
            packing = _Packing(following if is_block(body) else first)
        if is_block(body):
            continue
        for piece in unpacked(body):
            if stopping.is_set():
                return None
            packing.add(piece)
        packing.end_part(following)
    return packing.merge(run_uid, run.next_sequence) if packing.part_count > 1 else None


class _Packing:
    """A block in the making: records without a gap."""

    def __init__(self, first_sequence: int) -> None:
        self.size = 0
        self.part_count = 0
        self.next_sequence = first_sequence
        self._first_sequence = first_sequence
        self._packer = block_packer()
        self._packed = bytearray()

    def add(self, piece: bytes) -> None:
        """Some of the records of a part."""
        self._packed += self._packer.compress(piece)
        self.size += len(piece)

    def end_part(self, next_sequence: int) -> None:
        """All records of a part are in it."""
        self.part_count += 1
        self.next_sequence = next_sequence

    def merge(self, run_uid: str, run_next_sequence: int) -> Merge:
        """What becomes of the parts."""
        body = bytes(self._packed + self._packer.flush())
        return Merge(
            run_uid, run_next_sequence, self.part_count, self._first_sequence, self.next_sequence, body
        )
