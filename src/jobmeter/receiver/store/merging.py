"""Merges the parts of a run that is over: compressed together they take less room, as ``packing`` says.

Block by block, so that a run of any length takes the memory of one, and may be left half merged at any time.
"""

import sqlite3
import threading
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, text

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


def last_streamed(connection: Connection) -> int:
    """The highest number of a run that has parts; 0 when none has."""
    return connection.execute(select(func.max(parts.c.run))).scalar_one() or 0


def unmerged_runs(connection: Connection, numbers: range, stopping: threading.Event) -> list[str]:
    """Keys of runs with these numbers that are over and end with parts that are no blocks; fewer if it is to stop.

    Bodies are most of a database, so the key of the parts alone says which runs have several, and of those only the
    first bytes of two are read.
    """
    several = (
        select(parts.c.run)
        .where(parts.c.run >= numbers.start, parts.c.run < numbers.stop)
        .group_by(parts.c.run)
        .having(func.count() > 1)
    )
    query = select(runs.c.id, runs.c.run_uid).where(runs.c.id.in_(several), runs.c.state != "running")
    return [
        run_uid
        for number, run_uid in connection.execute(query)
        if not stopping.is_set() and _ends_with_parts(connection, number)
    ]


def _ends_with_parts(connection: Connection, number: int) -> bool:
    """Whether the last two are no blocks; blocks are made from the first part on."""
    newest_first = parts.c.first_sequence.desc()
    query = select(text("rowid")).where(parts.c.run == number).order_by(newest_first).limit(2)
    rows = connection.execute(query).scalars().all()
    return not any(is_block(_begin_of_body(connection, row)) for row in rows)


def _begin_of_body(connection: Connection, row: int) -> bytes:
    """A function of SQL would be given the whole body."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    with driver.blobopen(parts.name, parts.c.body.name, row, readonly=True) as body:
        return body.read(len(BLOCK_BEGINS))


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
