"""Folders that nobody but root and the gateway can change: what is made in them stays where it is, under its name."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobmeter.supervise.keeper.account import pwd_name

_OPEN = 0o755
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def opened(folder: Path, *, make: bool = False) -> Iterator[int]:
    """The folder's descriptor, good for names in it alone; with ``make`` those that are missing are made.

    Each folder from the root on is looked at, and the next one found in what was looked at. Raises OSError: where one
    is missing, and with a sentence where others could change one, or where one is a link.
    """
    fd = os.open("/", _STEP)
    try:
        names = folder.parts[1:]
        _refuse_changeable(fd, Path("/"), last=not names)
        for count, name in enumerate(names, 1):
            path = Path("/", *names[:count])
            below = _below(fd, name, path, make=make)
            os.close(fd)
            fd = below
            _refuse_changeable(fd, path, last=count == len(names))
        yield fd
    finally:
        os.close(fd)


def refuse_unguarded(folder: Path) -> None:
    """Raises OSError with a sentence if a folder above, or it, is not guarded; what is missing is made so later."""
    with suppress(FileNotFoundError), opened(folder):
        pass


def _below(fd: int, name: str, path: Path, *, make: bool) -> int:
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, _OPEN, dir_fd=fd)
                os.chmod(name, _OPEN, dir_fd=fd)  # whatever the umask: other accounts pass
        return os.open(name, _STEP, dir_fd=fd)
    except NotADirectoryError as error:
        sentence = f"{path} is a link, or no directory; accepted is a directory by its real name"
        raise OSError(error.errno, sentence) from None
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from None


def _refuse_changeable(fd: int, path: Path, *, last: bool) -> None:
    """Where all may write and the sticky bit is set, as in /tmp, a folder of ours stays; what a job owns does not."""
    told = os.fstat(fd)
    mode = stat.S_IMODE(told.st_mode)
    # With an access list the bits of the group are the most that it gives to anybody.
    shared = mode & _OTHERS_WRITE and (last or not mode & stat.S_ISVTX)
    if shared or told.st_uid not in (0, os.geteuid()):
        raise OSError(
            0,
            f"others can write to {path} (owner {pwd_name(told.st_uid)!r}, mode {mode:04o}), and so could swap the "
            "directory of a task; accepted is a directory that, as all above it, only root or the gateway's account "
            "can write to",
        )
