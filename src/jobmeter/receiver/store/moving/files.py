"""The files of an export: some of bounded size with runs, and `manifest.json`, which says what is whole.

A file of runs is gzip around frames: four bytes of length, the highest first, and a msgpack map. A run's parts and its
evidence follow it in the same file. A file is there under its name when it is whole and on the disk, and counts when
the manifest names it, with its SHA-256; whatever is killed in between is made anew. Later releases may add fields.
Nobody else may read what is written, whoever may look into the directory.
"""

import fcntl
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct, field

from jobmeter.model.errors import StoreError

FORMAT = "jobmeter.export/1"
MANIFEST = "manifest.json"
_LENGTH_BYTES = 4
_MOST_FRAME_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20


class RunRow(Struct, tag_field="kind", tag="run", kw_only=True):
    """A run: columns of the table of the same names, without those that one database alone knows."""

    run_uid: str
    state: str
    received_at: int
    heard_at: int
    next_sequence: int
    pushed: bool
    job_json: bytes
    forge: str | None = None
    organization: str | None = None
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None
    run_id: str | None = None
    ref: str | None = None
    start_time: int | None = None
    summary: bytes | None = None


class PartRow(Struct, tag_field="kind", tag="part", kw_only=True):
    """A part of the run before it, as it was stored."""

    first_sequence: int
    next_sequence: int
    body: bytes


class EvidenceRow(Struct, tag_field="kind", tag="evidence", kw_only=True):
    """What a referee has attached to the run before it: columns of ``evidence``."""

    asked_at: int
    answered: int
    points: int
    tail_open: bool
    body: bytes
    begun_at: int | None = None
    ended_at: int | None = None
    task: str | None = None


class TokenRow(Struct, tag_field="kind", tag="token", kw_only=True):
    """A token that an operator gave out; never itself, but its SHA-256."""

    name: str
    digest: bytes
    allows: str
    created_at: int
    organization: str | None = None
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None


class RemovedRow(Struct, tag_field="kind", tag="removed", kw_only=True):
    """The numbers of a run that was removed, for the sums of its day: columns of ``usages``, and its job's names."""

    organization: str
    repository: str
    workflow: str
    job: str
    run_uid: str
    begun_at: int
    heard_at: int
    lower_bounds: str
    labels: str
    leg: str
    cores_partial: bool
    memory_partial: bool
    whole: bool | None = None
    exit_reason: str | None = None
    duration_seconds: float | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    network_bytes: int | None = None
    memory_total_bytes: int | None = None
    throttled_seconds: float | None = None
    oom_kills: int | None = None
    cores_reserved: float | None = None
    cores_reserved_used: float | None = None
    cores_reserved_unused: float | None = None
    memory_reserved: float | None = None
    memory_reserved_used: float | None = None
    memory_reserved_unused: float | None = None
    observation: bytes | None = None


Row = RunRow | PartRow | EvidenceRow | TokenRow | RemovedRow


class File(Struct, kw_only=True):
    """A file that is whole."""

    name: str
    size: int
    sha256: str
    runs: int
    removed: int = 0


class Manifest(Struct, kw_only=True):
    """What there is. A round takes the runs that were heard of ``since``, all in the first one, in their order.

    Times are milliseconds since 1970; ``begun_at`` is that of the round, which has come to ``after_id`` and goes to
    ``until_id``, and then of the runs that were removed to ``after_removed``.
    """

    format: str = FORMAT
    source: str
    begun_at: int
    since: int | None = None
    after_id: int = 0
    until_id: int = 0
    after_removed: str = ""
    complete: bool = False
    files: list[File] = field(default_factory=list)


class FileWriter:
    """Writes one file; it is there when ``close`` has named it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.rows = 0
        self.runs = 0
        self.removed = 0
        self._directory = directory
        self._name = name
        self._unfinished = directory / f".{name}.part"
        self._file = _private(self._unfinished)
        self._gzip = gzip.GzipFile("", "wb", 1, self._file, 0)
        self._encoder = msgspec.msgpack.Encoder()

    @property
    def size(self) -> int:
        """Bytes written; what is still to be compressed is not in it."""
        return self._file.tell()

    def add(self, row: Row) -> None:
        """One more row. Raises OSError."""
        frame = self._encoder.encode(row)
        self._gzip.write(len(frame).to_bytes(_LENGTH_BYTES) + frame)
        self.rows += 1
        self.runs += isinstance(row, RunRow)
        self.removed += isinstance(row, RemovedRow)

    def close(self) -> File:
        """Have it on the disk under its name. Raises OSError."""
        self._gzip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        digest = sha256(self._unfinished)
        os.replace(self._unfinished, self._directory / self._name)
        _fsync_directory(self._directory)
        return File(name=self._name, size=size, sha256=digest, runs=self.runs, removed=self.removed)

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file. Raises StoreError where it is none, OSError."""
    decoder = msgspec.msgpack.Decoder(Row)
    try:
        with gzip.open(path, "rb") as file:
            while length := file.read(_LENGTH_BYTES):
                size = int.from_bytes(length)
                frame = file.read(size) if size <= _MOST_FRAME_BYTES else b""
                if len(length) < _LENGTH_BYTES or len(frame) < size:
                    raise StoreError(f"{path} ends within a row")
                yield decoder.decode(frame)
    except (msgspec.MsgspecError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StoreError(f"{path} is no file of an export: {error}") from None


def sha256(path: Path) -> str:
    """Of the whole file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_manifest(directory: Path) -> Manifest | None:
    """None where there is none. Raises StoreError for one that is none or of a later release, OSError."""
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise StoreError(f"{path} is no manifest of an export: {error}") from None
    if found.format != FORMAT:
        raise StoreError(f"{path} has the format {found.format[:60]!r}; this release reads {FORMAT}")
    return found


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Have it on the disk, or the one before. Raises OSError."""
    unfinished = directory / f".{MANIFEST}.part"
    with _private(unfinished) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, directory / MANIFEST)
    _fsync_directory(directory)


@contextmanager
def held(directory: Path, *, alone: bool) -> Iterator[None]:
    """Nobody else exports to the directory meanwhile, nor, with ``alone``, imports from it. Raises StoreError."""
    with ExitStack() as stack:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{directory} is in use by another export or import") from None
        yield


def _private(path: Path) -> BinaryIO:
    """An empty file to write to that its owner alone may read, also where one was left behind. Raises OSError."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _fsync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
