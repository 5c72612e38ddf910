"""What of this machine's files the account of launched runners can read."""

import os
import stat
from pathlib import Path

from jobmeter.model.errors import LaunchError, UsageError
from jobmeter.supervise.keeper.account import Account, look_up

_ACCESS_LIST = "system.posix_acl_access"
_READ, _EXECUTE, _SEARCH = 4, 1, 1


def account_of(name: str) -> Account:
    """The account of this name. Raises UsageError if there is none."""
    try:
        return look_up(name)
    except LaunchError as error:
        raise UsageError(str(error)) from None


def may_read(account: Account, path: str | Path) -> bool:
    """Whether it can read this file, by owners and modes of it and of all folders above. Raises OSError.

    Where an access list adds to them, it is taken for somebody whom that list names.
    """
    real = Path(path).resolve(strict=True)
    return may_enter(account, real.parent) and _allows(account, real, _READ)


def read_by_jobs(account: Account, path: str | Path) -> str | None:
    """A sentence if the account can read a file with a secret: its jobs could then take what is others'.

    Raises OSError.
    """
    if not may_read(account, path):
        return None
    return (
        f"{path} can be read by the account {account.name!r}, and so by every job: let it be another account's, "
        "with mode 0600"
    )


def may_execute(account: Account, path: str | Path) -> bool:
    """Whether it can execute this program. Raises OSError."""
    real = Path(path).resolve(strict=True)
    return may_enter(account, real.parent) and _allows(account, real, _EXECUTE)


def may_enter(account: Account, folder: str | Path) -> bool:
    """Whether it can reach what is in this folder, and in all above it. Raises OSError."""
    real = Path(folder).resolve(strict=True)
    return all(_allows(account, one, _SEARCH) for one in (real, *real.parents))


def _allows(account: Account, path: Path, wanted: int) -> bool:
    if account.uid == 0:
        return True
    told = path.stat()
    mode = stat.S_IMODE(told.st_mode)
    if account.uid == told.st_uid:
        return bool(mode >> 6 & wanted)
    if told.st_gid in account.groups:
        return bool(mode >> 3 & wanted)
    # With an access list the bits of the group are the most that it gives to anybody.
    return bool((mode >> 3 | mode if _has_access_list(path) else mode) & wanted)


def _has_access_list(path: Path) -> bool:
    try:
        return _ACCESS_LIST in os.listxattr(path)
    except OSError:
        return False
