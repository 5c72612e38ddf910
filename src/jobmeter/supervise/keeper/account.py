"""The account that a runner is started as."""

import grp
import os
import pwd
from typing import NamedTuple

from jobmeter.model.errors import LaunchError


class Account(NamedTuple):
    """Its numbers, all groups that it is in, and its home."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    def become(self) -> None:
        """Be this account from now on, for good. Raises OSError where we may not.

        The kernel lets nobody but root look into a process that has changed its account, until it has executed a
        program: what of ours is still in its memory stays ours.
        """
        if os.geteuid() == self.uid:
            return
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def find_account(name: str) -> Account:
    """The account of this name. Raises LaunchError where there is none, or where we cannot become it."""
    found = look_up(name)
    if os.geteuid() not in (0, found.uid):
        mine = pwd_name(os.geteuid())
        raise LaunchError(f"only root can start a runner as {name!r}, and the gateway runs as {mine}")
    return found


def look_up(name: str) -> Account:
    """The account of this name, whether we can become it or not. Raises LaunchError where there is none."""
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise LaunchError(f"there is no account {name[:80]!r} on this machine") from None
    groups = {one.gr_gid for one in grp.getgrall() if name in one.gr_mem} | {found.pw_gid}
    return Account(name, found.pw_uid, found.pw_gid, tuple(sorted(groups)), found.pw_dir)


def pwd_name(uid: int) -> str:
    """The name of an account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
