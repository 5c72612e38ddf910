"""The files of a launch's folder by which a gateway knows of a keeper, also one that was started before it.

`keeper.json` is there before the runner is, `ended.json` once nothing of it runs any more. `overdue` is there before a
runner that takes too long is asked to end: what it says then is known for that without any clock. Room for the end is
put aside before the runner is started, so that it can be told on a disk that has become full. The keeper holds the
pipe `lifeline` open in between: who opens it too is woken when the keeper has written the end, and when it was killed.
Whoever reads them has OSError where this process has no descriptor or no memory left for it: no keeper says that.
"""

import contextlib
import errno
import os
import signal
from typing import BinaryIO, TypeVar

import msgspec
from msgspec.structs import replace

from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper.end import Ended, Kept

_KEPT, _ENDED, _COMPLAINT, _LIFELINE = "keeper.json", "ended.json", "complaint", "lifeline"
_OVERDUE = "overdue"
_NEW = ".{}.new"
_UNFINISHED = (_NEW.format(_ENDED), _NEW.format(_KEPT))
_END_BYTES = 4096
_Record = TypeVar("_Record", Kept, Ended)
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Records:
    """Those of one folder, written by its keeper. Methods raise OSError."""

    def __init__(self, folder: str) -> None:
        """Begin anew: what an earlier keeper has left goes."""
        self._folder = folder
        self._place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in (_ENDED, _KEPT, _OVERDUE, _COMPLAINT, _LIFELINE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._place)
        os.mkfifo(_LIFELINE, 0o600, dir_fd=self._place)
        # For reading as well: else there would have to be somebody who reads.
        self._lifeline: int | None = os.open(
            _LIFELINE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._place
        )

    def begin(self, kept: Kept) -> None:
        """The runner will be started."""
        with self._unfinished(_ENDED) as file:
            file.write(bytes(_END_BYTES))
        self._write(_KEPT, msgspec.json.encode(kept))

    def be_overdue(self) -> None:
        """The runner has taken too long: from now on its last reports do not count. On disk when this returns."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(_OVERDUE, flags, 0o600, dir_fd=self._place))  # Empty: there is room on a full disk.
        os.fsync(self._place)

    def end(self, ended: Ended) -> None:
        """It has ended: wake who waits for that, also where it cannot be told."""
        try:
            self._write(_ENDED, msgspec.json.encode(ended))
        except OSError:
            # On a full disk those may be too many for the room that was put aside.
            self._write(_ENDED, msgspec.json.encode(replace(ended, survivors=())))
        finally:
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None

    def complain(self, sentence: str) -> None:
        """Something is for the gateway's log; the folder may be gone by now."""
        self._write(_COMPLAINT, sentence.encode())

    def abandon(self) -> None:
        """Nothing was started: leave nothing."""
        for name in (_KEPT, *_UNFINISHED, _LIFELINE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._place)

    def _write(self, name: str, content: bytes) -> None:
        """Whole and on disk, or not at all."""
        with self._unfinished(name) as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        os.replace(_NEW.format(name), name, src_dir_fd=self._place, dst_dir_fd=self._place)
        os.fsync(self._place)

    def _unfinished(self, name: str) -> BinaryIO:
        """It keeps the room that it has."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(_NEW.format(name), flags, 0o600, dir_fd=self._place), "wb")


def discard(folder: str) -> None:
    """Take away what a keeper has left that was killed before it had started its runner."""
    for name in (_ENDED, _KEPT, *_UNFINISHED, _OVERDUE, _COMPLAINT, _LIFELINE):
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}/{name}")


def read_kept(folder: str) -> Kept | None:
    """The keeper that was started for this folder; None where none was."""
    return _read(f"{folder}/{_KEPT}", Kept)


def read_end(folder: str) -> Ended | None:
    """How the runner ended; None where it has not, or its keeper was killed."""
    return _read(f"{folder}/{_ENDED}", Ended)


def is_overdue(folder: str) -> bool:
    """Whether the runner has taken too long, and is or will be asked to end for that."""
    return os.path.exists(f"{folder}/{_OVERDUE}")


def read_complaint(folder: str) -> str | None:
    """What the keeper has for our log, a sentence: what the receiver did not get, or a fault of ours."""
    try:
        with open(f"{folder}/{_COMPLAINT}") as file:
            return file.read()
    except OSError:
        return None


def open_lifeline(folder: str) -> int | None:
    """A descriptor that becomes readable when the keeper closes its own; None where there is no such pipe."""
    try:
        return os.open(f"{folder}/{_LIFELINE}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _raise_if_scarce(error)
        return None


def is_alive(kept: Kept) -> bool:
    """Whether the keeper is still there, and no other process that has its pid by now; a zombie is not."""
    return _lives(kept.pid, kept.start_ticks)


def send_signal(pid: int, start_ticks: int, signum: signal.Signals) -> None:
    """Send a keeper a signal; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if _lives(pid, start_ticks):
                signal.pidfd_send_signal(process, signum)
        finally:
            os.close(process)


def _lives(pid: int, start_ticks: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            line = file.read(1024)
    except OSError as error:
        _raise_if_scarce(error)
        return False
    state = line[line.rfind(b")") + 2 :][:1]
    return state not in (b"Z", b"X") and own_start_ticks(pid) == start_ticks


def _read(path: str, kind: type[_Record]) -> _Record | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=kind)
    except OSError as error:
        _raise_if_scarce(error)
        return None
    except msgspec.MsgspecError:
        return None


def _raise_if_scarce(error: OSError) -> None:
    if error.errno in _SCARCE:
        raise error
