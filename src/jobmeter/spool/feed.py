"""The records of one run as parts of a stream: read back from the journal, held in memory where there is none."""

import os
from _thread import allocate_lock
from collections import deque
from typing import BinaryIO

import msgspec
from msgspec import Struct

from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.spool.journal import Journal

# Of JSON; what is on the wire is a tenth of it. One record may be larger, up to wire.MAX_RECORD_BYTES.
MAX_PART_BYTES = 1024 * 1024
MAX_HELD_BYTES = 8 * 1024 * 1024


class Part(Struct, frozen=True):
    """Contiguous records, a line each: ``first`` to before ``next_sequence``; ``ends`` with the end of the run."""

    first: int
    next_sequence: int
    data: bytes
    ends: bool


class _Key(Struct):
    run_uid: str
    sequence: int
    kind: str


class Feed:
    """Hands out the records of a run from any sequence on, as often as they are asked for.

    One thread puts records, another takes parts. What the journal has is read back from it. What it could not take
    is held here, up to 8 MiB; beyond that the newest are dropped, which shows as a gap.
    """

    def __init__(self, run_uid: str, journal: Journal | None = None, first_offset: int = 0) -> None:
        """``journal`` holds nothing of the run before ``first_offset``."""
        self._run_uid = run_uid
        self._journal = journal
        fd = journal.reader() if journal is not None else None
        self._file: BinaryIO | None = None if fd is None else os.fdopen(fd, "rb")
        self._first_offset = self._offset = self._read_offset = first_offset
        self._position = 0  # What the run has before the offset is below this number.
        self._held: deque[tuple[_Key, bytes]] = deque()
        self._held_bytes = 0
        self._lock = allocate_lock()
        self._decoder = msgspec.json.Decoder(_Key)

    @classmethod
    def of_file(cls, run_uid: str, path: str) -> "Feed":
        """The run in a journal that somebody else writes, or nobody any more. Raises JournalError."""
        feed = cls(run_uid)
        try:
            feed._file = open(path, "rb")  # noqa: SIM115 - it stays open
        except OSError as error:
            raise JournalError(f"{path} cannot be read: {error.strerror}") from None
        return feed

    @property
    def waiting_bytes(self) -> int:
        """About how many bytes no part has been made of yet."""
        written = self._journal.size if self._journal is not None and self._file is not None else 0
        return max(0, written - self._read_offset) + self._held_bytes

    def put(self, record: wire.AnyRecord) -> None:
        """Take a record after the journal has had its chance to."""
        if self._file is not None and self._journal is not None and self._journal.writable:
            return
        line = wire.encode(record) + b"\n"
        kind = str(record.__struct_config__.tag)
        with self._lock:
            if self._held_bytes + len(line) <= MAX_HELD_BYTES or isinstance(record, wire.Start | wire.End):
                self._held.append((_Key(self._run_uid, record.sequence, kind), line))
                self._held_bytes += len(line)

    def part(self, sequence: int, max_bytes: int = MAX_PART_BYTES) -> Part | None:
        """The records from ``sequence`` on, or from the first later one that is there; None when there is none.

        What was before ``sequence`` is not needed any more where it is held in memory.
        """
        held = self._held_from(sequence)  # First: what precedes it is in the journal by now.
        made = _PartMaker(max_bytes)
        if self._read_journal(sequence, made):
            for key, line in held:
                if not made.take(key, line):
                    break
        return made.part()

    def close(self) -> None:
        """Close the journal's descriptor."""
        if self._file is not None:
            self._file.close()

    def _read_journal(self, sequence: int, made: "_PartMaker") -> bool:
        """True when the part can take more than the journal has."""
        if self._file is None:
            return True
        if sequence < self._position:
            self._offset = self._first_offset
        offset = self._offset
        self._file.seek(offset)
        while line := self._file.readline(wire.MAX_RECORD_BYTES + 1):
            key = self._key(line)
            if key is None and not line.endswith(b"\n") and len(line) <= wire.MAX_RECORD_BYTES:
                return False  # It is being written.
            if key is not None and key.sequence >= sequence and not made.take(key, line.rstrip() + b"\n"):
                return False
            offset += len(line)
            if made.empty:
                self._offset, self._position = offset, sequence
            self._read_offset = max(self._read_offset, offset)
        return True

    def _key(self, line: bytes) -> _Key | None:
        """None for another run's record, and for a line that is none."""
        try:
            key = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return key if key.run_uid == self._run_uid else None

    def _held_from(self, sequence: int) -> list[tuple[_Key, bytes]]:
        with self._lock:
            while self._held and self._held[0][0].sequence < sequence:
                self._held_bytes -= len(self._held.popleft()[1])
            return list(self._held)


class _PartMaker:
    """Collects lines while they are contiguous and there is room."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._lines: list[bytes] = []
        self._first = self._next = -1
        self._ends = False

    def take(self, key: _Key, line: bytes) -> bool:
        """False when the line belongs to the next part. A first line always fits."""
        if self._lines and (key.sequence != self._next or len(line) > self._room or self._ends):
            return False
        if not self._lines:
            self._first = key.sequence
        self._room -= len(line)
        self._lines.append(line)
        self._next = key.sequence + 1
        self._ends = key.kind == "end"
        return True

    @property
    def empty(self) -> bool:
        """True as long as nothing was taken."""
        return not self._lines

    def part(self) -> Part | None:
        """What was collected."""
        if self.empty:
            return None
        return Part(self._first, self._next, b"".join(self._lines), self._ends)
