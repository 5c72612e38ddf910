"""A task's own directory: made for its runner's account, removed whatever the job has put there.

A job can change what is in it at any time, but not where it is: all is done by names in folders that are open, and
those above it are such as only root and we can change.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from jobmeter.gateway.launcher.guarded import opened
from jobmeter.gateway.launcher.removal import remove_folder, seize
from jobmeter.gateway.launcher.templates import Prepared
from jobmeter.supervise.keeper.account import Account, find_account

_OWN = 0o700
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make(path: Path, user: str | None, prepared: Prepared) -> None:
    """Make it with its folders and files, in place of what is there. Raises OSError, LaunchError."""
    account = find_account(user) if user is not None else None
    with opened(path.parent, make=True) as parent:
        remove_folder(path, parent)
        os.mkdir(path.name, _OWN, dir_fd=parent)
        made = seize(path.name, parent)
    try:
        # Nobody else can enter it before it is given away at the end.
        _fill(made, prepared, account)
        _give(made, account)
    finally:
        os.close(made)


def remove(path: Path) -> None:
    """Take it away, if it is there. Raises OSError, with a sentence on what is left."""
    with suppress(FileNotFoundError), opened(path.parent) as parent:
        remove_folder(path, parent)


def keep(path: Path, kept: Path) -> None:
    """Give it another name beside it, under which it stays, for nobody but us. Raises OSError: it can be done again."""
    with suppress(FileNotFoundError), opened(path.parent) as parent:
        if path.exists():
            remove_folder(kept, parent)
            # Before it is ours: where something is mounted there it keeps its name, and its owner.
            os.rename(path.name, kept.name, src_dir_fd=parent, dst_dir_fd=parent)
        os.close(seize(kept.name, parent))


def keep_output(output: Path, kept: Path) -> None:
    """Put what its runner wrote beside what is kept of it, for nobody but us, if there is something. Raises OSError."""
    name = f"{kept.name}.log"
    with suppress(FileNotFoundError), output.open("rb") as wrote, opened(kept.parent) as parent:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=parent), "wb") as file:
            shutil.copyfileobj(wrote, file)


def _fill(folder: int, prepared: Prepared, account: Account | None) -> None:
    for name in prepared.folders:
        os.mkdir(name, _OWN, dir_fd=folder)
        fd = seize(name, folder)
        try:
            _give(fd, account)
        finally:
            os.close(fd)
    for file in prepared.files:
        with os.fdopen(os.open(file.name, _NEW, file.mode, dir_fd=folder), "wb") as opened_file:
            opened_file.write(file.content)
            _give(opened_file.fileno(), account)


def _give(fd: int, account: Account | None) -> None:
    if account is not None:
        os.fchown(fd, account.uid, account.gid)
