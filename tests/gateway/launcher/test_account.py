"""What an account can read, by owners and modes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.gateway.launcher.account import account_of, may_enter, may_execute, may_read, read_by_jobs
from jobmeter.model.errors import UsageError
from jobmeter.supervise.keeper.account import Account

OTHER = 54_321
"""No account of this machine has this number."""


def account(uid: int = OTHER, *groups: int) -> Account:
    return Account("ci", uid, OTHER, (OTHER, *groups), "/")


@pytest.mark.parametrize(
    "mode, who, readable",
    [
        (0o600, "stranger", False),
        (0o640, "stranger", False),
        (0o604, "stranger", True),
        (0o640, "member", True),
        (0o604, "member", False),
        (0o600, "member", False),
        (0o600, "owner", True),
        (0o066, "owner", False),
        (0o000, "root", True),
    ],
)
def test_owner_group_and_others(tmp_path: Path, mode: int, who: str, readable: bool) -> None:
    """The first of the three that fits decides, as the kernel has it; root reads everything."""
    _let_in(tmp_path)
    file = tmp_path / "registration"
    file.touch()
    file.chmod(mode)
    told = file.stat()
    accounts = {
        "stranger": account(),
        "member": account(OTHER, told.st_gid),
        "owner": account(told.st_uid or OTHER, told.st_gid),
        "root": account(0),
    }
    if who == "owner" and not told.st_uid:
        os.chown(file, OTHER, told.st_gid)
    assert may_read(accounts[who], file) == readable


def test_a_folder_above_keeps_it_out(tmp_path: Path) -> None:
    """A link leads to where its file is."""
    _let_in(tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    file = closed / "file"
    file.touch()
    file.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert not may_read(account(), link)
    assert not may_enter(account(), closed)
    closed.chmod(0o711)
    assert may_read(account(), link)
    assert may_enter(account(), closed)


@pytest.mark.parametrize("mode, executable", [(0o700, False), (0o755, True), (0o644, False)])
def test_programs(tmp_path: Path, mode: int, executable: bool) -> None:
    """A program that others may not execute is none for them."""
    _let_in(tmp_path)
    program = tmp_path / "program"
    program.touch()
    program.chmod(mode)
    assert may_execute(account(), program) == executable


def test_who_is_there() -> None:
    """By name, with all groups."""
    assert account_of("root").uid == 0
    with pytest.raises(UsageError, match="there is no account 'nobody-of-this-name' on this machine"):
        account_of("nobody-of-this-name")


def _let_in(folder: Path) -> None:
    """The folders that tests have are of their account alone."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.getuid() and not one.stat().st_mode & 0o001:
            one.chmod(one.stat().st_mode | 0o011)


def test_a_secret_that_jobs_can_read(tmp_path: Path) -> None:
    """One sentence that says what to do; none where it is safe."""
    file = tmp_path / "token"
    file.touch(0o600)
    assert read_by_jobs(account(0), file) == (
        f"{file} can be read by the account 'ci', and so by every job: let it be another account's, with mode 0600"
    )
    assert read_by_jobs(account(), file) is None
