"""The socket's place in the file system: for this account alone, and for one daemon at a time.

Who may connect is told by the socket's mode (unix(7), "Pathname socket ownership and permissions"), which Linux takes
from the descriptor when it is bound: there is no moment in which others could come in.
"""

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobmeter.model.errors import JobmeterError

_MODE = 0o600
_BACKLOG = 128
_PATIENCE_SECONDS = 1.0
_LOCK_SECONDS = 5.0
_LOOK_SECONDS = 0.05


@contextmanager
def hook_socket(path: str, place: str) -> Iterator[socket.socket]:
    """A socket that listens at ``path``, which is removed at the end; ``place`` is where that was said.

    One that a dead process has left there is replaced. Raises JobmeterError if it cannot listen there.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listening:
        try:
            with _alone_in(os.path.dirname(path) or "."):
                _make_room(path)
                os.fchmod(listening.fileno(), _MODE)
                listening.bind(path)
                listening.listen(_BACKLOG)  # Before that it looks like one of the dead.
                own = _inode(path)
            listening.setblocking(False)
        except (OSError, ValueError) as error:
            raise JobmeterError(f"{place}: {path!r} cannot be listened on: {_reason(error, path)}") from None
        try:
            yield listening
        finally:
            with suppress(OSError):
                if _inode(path) == own:  # It may be another daemon's by now.
                    os.unlink(path)


@contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Keep others from looking and replacing at the same time. The lock leaves nothing behind."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        mode = os.fstat(fd).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise ValueError(
                f"everybody may put another one into {directory}; choose a directory of your own"
            )
        _lock(fd, directory)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, directory: str) -> None:
    """Whoever may read the directory can hold its lock, for ever: who looks and replaces has it for a moment only."""
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise ValueError(
                    f"another process has locked {directory}; choose a directory of your own"
                ) from None
        time.sleep(_LOOK_SECONDS)


def _make_room(path: str) -> None:
    """Remove what a dead process left. Raises ValueError for what must not be removed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ValueError("what is there is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_PATIENCE_SECONDS)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT, None):
                raise
    raise ValueError("another process answers there; each daemon has a socket of its own")


def _inode(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _reason(error: Exception, path: str) -> str:
    directory = os.path.dirname(path) or "."
    match error:
        case FileNotFoundError():
            return f"there is no directory {directory}"
        case NotADirectoryError():
            return f"{directory} is no directory"
        case OSError() if error.errno is not None:
            return os.strerror(error.errno)
    return str(error)
