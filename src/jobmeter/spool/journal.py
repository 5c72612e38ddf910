"""The journal: an append-only file of records, one line of JSON each, which survives a kill at any moment."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator

from jobmeter.model import wire
from jobmeter.model.errors import JournalError

# Somebody else's link is not followed, and a pipe that nobody reads must not stop the meter.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Of every journal: its first record is the start of a run.
_BEGINNING = b'{"kind":"start","v":'
# A run that ticks every 50 ms for half a day; a disk must not fill up.
MAX_JOURNAL_BYTES = 1024**3


class Journal:
    """Appends records to a file, each in one write. One writer at a time: a second one writes beside it.

    So does one whose file turns out to be something else than a journal: nobody's file is added to.

    It never raises once it is open: when the disk is full or the file cannot be written it says so
    once through ``warn`` and stops; the line that was cut is taken back.
    """

    def __init__(self, path: str, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._fd: int | None = None
        self._size = 0
        # False once something of the run could not be written.
        self.complete = True
        try:
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            self._fd = os.open(path, _FLAGS, 0o600)
            if (reason := _not_ours(self._fd)) is not None:
                os.close(self._fd)
                self._fd = None
                self.path = f"{path}.{os.urandom(4).hex()}"
                self._fd = os.open(self.path, _FLAGS | os.O_EXCL, 0o600)
                warn(f"{path} {reason}; this run goes to {self.path}.")
            self._end_torn_line(self._fd)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            self._stop(error)

    @classmethod
    def without(cls, path: str) -> "Journal":
        """A journal that keeps nothing."""
        journal = cls.__new__(cls)
        journal.path, journal._warn, journal._fd = path, lambda text: None, None
        journal._size, journal.complete = 0, False
        return journal

    def on_warning(self, warn: Callable[[str], None]) -> None:
        """Tell ``warn`` from now on."""
        self._warn = warn

    @property
    def writable(self) -> bool:
        """False once writing failed."""
        return self._fd is not None

    @property
    def size(self) -> int:
        """Bytes in the file, as far as this writer knows."""
        return self._size

    def reader(self) -> int | None:
        """A descriptor of our own for what is written, also when it has been unlinked; None where there is no file."""
        if self._fd is None or not stat.S_ISREG(os.fstat(self._fd).st_mode):
            return None
        return os.dup(self._fd)

    def write(self, record: wire.Record) -> None:
        """Append one record; it is on its way to the disk when this returns, and safe from a kill of the process."""
        if self._fd is None:
            return
        line = wire.encode(record) + b"\n"
        self._size += len(line)
        if self._size > MAX_JOURNAL_BYTES:
            self._stop(OSError(errno.EFBIG, f"it has reached {MAX_JOURNAL_BYTES} bytes"))
            return
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                # Only a file system that is full writes a part; the rest says why.
                written += os.write(self._fd, line[written:])
        except OSError as error:
            self._take_back(self._fd)
            self._stop(error)

    def close(self) -> None:
        """Flush to the disk and close."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                if error.errno != errno.EINVAL:  # A pipe or a device has no disk below it.
                    self._stop(error)
                    return
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def _end_torn_line(fd: int) -> None:
        """A writer that was killed may have left a part of a line: the next record begins on its own."""
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")

    @staticmethod
    def _take_back(fd: int) -> None:
        try:
            size = os.fstat(fd).st_size
            start = max(0, size - wire.MAX_RECORD_BYTES)
            tail = os.pread(fd, size - start, start)
            os.ftruncate(fd, start + tail.rfind(b"\n") + 1)
        except OSError:
            return  # The reader leaves a torn last line out.

    def _stop(self, error: OSError) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self.complete = None, False
        self._warn(
            f"The journal {self.path} cannot be written ({error.strerror}); metering goes on without it."
        )


def _not_ours(fd: int) -> str | None:
    """Why a file that could be opened must not be added to; None where it may."""
    if os.fstat(fd).st_size:
        # The first writer may have been killed within its first line.
        head = os.pread(fd, len(_BEGINNING), 0).partition(b"\n")[0]
        if not _BEGINNING.startswith(head):
            return "is no journal"
    return None if _lock(fd) else "is written by another jobmeter"


def _lock(fd: int) -> bool:
    """False when another process has locked the file; where there are no locks it counts as ours."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class JournalReader:
    """Reads the records of a journal in their order; ``damaged`` counts lines that are no record."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.damaged = 0

    def __iter__(self) -> Iterator[wire.AnyRecord]:
        """Each record; raises JournalError when the file cannot be read or is of a newer version."""
        try:
            with open(self._path, "rb") as file:
                while line := file.readline(wire.MAX_RECORD_BYTES + 1):
                    record = self._decode(line)
                    if record is not None:
                        yield record
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read: {error.strerror}") from None

    def _decode(self, line: bytes) -> wire.AnyRecord | None:
        text = line.strip()
        if not text:
            return None
        try:
            return wire.decode(text)
        except wire.NewerVersion as error:
            raise JournalError(f"{self._path}: {error}") from None
        except JournalError:
            self.damaged += 1
            return None


def prune(directory: str, keep: int) -> None:
    """Remove the oldest journals of our own directory beyond ``keep``; what is written or sent now stays.

    So does what cannot be removed.

    A link, or a directory of another user, as one may lie in a shared $TMPDIR, is left alone.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            _prune(fd, keep)
    except OSError:
        return
    finally:
        os.close(fd)


def _prune(fd: int, keep: int) -> None:
    with os.scandir(fd) as entries:
        journals = [
            entry
            for entry in entries
            if entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False)
        ]
    journals.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    for entry in journals[keep:]:
        file = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
        try:
            if _lock(file):  # Who writes it, or sends it still, has it locked.
                os.unlink(entry.name, dir_fd=fd)
        finally:
            os.close(file)
