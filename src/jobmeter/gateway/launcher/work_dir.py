"""A task's own directory: made for its runner's account, removed whatever the job has put there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jobmeter.gateway.launcher.templates import Prepared
from jobmeter.supervise.keeper.account import Account, find_account

_OPEN, _OWN = 0o755, 0o700


def make(path: Path, user: str | None, prepared: Prepared) -> None:
    """Make it with its folders and files, in place of what is there. Raises OSError, LaunchError."""
    account = find_account(user) if user is not None else None
    _make_open(path.parent)
    remove(path)
    path.mkdir(_OWN)
    # Nobody else can enter it before it is given away at the end.
    for name in prepared.folders:
        (path / name).mkdir(_OWN)
        _give(path / name, account)
    for file in prepared.files:
        fd = os.open(path / file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, file.mode)
        with os.fdopen(fd, "wb") as opened:
            opened.write(file.content)
        _give(path / file.name, account)
    _give(path, account)


def remove(path: Path) -> None:
    """Take it away, if it is there. Raises OSError."""
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(path)
        except PermissionError:
            # A job may have left directories in which nothing can be removed.
            for folder in _folders(path):
                os.chmod(folder, _OWN)
            shutil.rmtree(path)


def keep(path: Path, kept: Path) -> None:
    """Give it another name, under which it stays. Raises OSError."""
    remove(kept)
    with suppress(FileNotFoundError):
        path.rename(kept)


def _make_open(folder: Path) -> None:
    """Those that are missing, so that other accounts can pass."""
    if not folder.is_dir():
        _make_open(folder.parent)
        folder.mkdir()
        folder.chmod(_OPEN)


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _folders(path: Path) -> Iterator[str]:
    """It and all below it, each before what is in it; of links none is followed."""
    yield str(path)
    for folder, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                yield os.path.join(folder, name)
