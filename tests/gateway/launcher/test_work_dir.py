"""A task's directory is its account's alone, and goes whatever is in it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.templates import File, Prepared
from jobmeter.model.errors import LaunchError
from tests.e2e.support.components import require_root

PREPARED = Prepared(("runner",), {}, ("tmp", "work"), (File(".runner", b"secret"), File("x.sh", b"", 0o700)))


def test_it_is_made(tmp_path: Path) -> None:
    """With its folders and files; what was there before is gone, and those above it let others pass."""
    path = tmp_path / "work" / "of" / "task-7"
    old = os.umask(0o077)
    try:
        work_dir.make(path, None, PREPARED)
        (path / "left").touch()
        work_dir.make(path, None, PREPARED)
    finally:
        os.umask(old)
    modes = {str(one.relative_to(path)): stat.S_IMODE(one.stat().st_mode) for one in path.rglob("*")}
    assert modes == {"tmp": 0o700, "work": 0o700, ".runner": 0o600, "x.sh": 0o700}
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents[:2])] == [0o700, 0o755, 0o755]
    assert (path / ".runner").read_bytes() == b"secret"


def test_it_belongs_to_its_account(tmp_path: Path) -> None:
    """With all that is in it."""
    require_root("files of another account")
    path = tmp_path / "task-7"
    work_dir.make(path, "nobody", PREPARED)
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {one.stat().st_uid for one in (path, *path.rglob("*"))} == {nobody}


@pytest.mark.parametrize("whose", ["work", "work/of"])
def test_a_folder_above_that_is_the_accounts(tmp_path: Path, whose: str) -> None:
    """Nothing is made, removed or kept there: its jobs could have root do that elsewhere."""
    require_root("files of another account")
    path = tmp_path / "work" / "of" / "task-7"
    path.mkdir(parents=True)
    os.chown(tmp_path / whose, pwd.getpwnam("nobody").pw_uid, -1)
    acts = [
        lambda: work_dir.make(path, "nobody", PREPARED),
        lambda: work_dir.remove(path),
        lambda: work_dir.keep(path, path.with_name("kept")),
    ]
    for act in acts:
        with pytest.raises(OSError, match="others can write to"):
            act()
    assert [one.name for one in path.parent.iterdir()] == ["task-7"]
    assert (path.stat().st_uid, list(path.iterdir())) == (0, [])


def test_an_account_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(LaunchError, match="there is no account 'nobody-has-this-name' on this machine"):
        work_dir.make(tmp_path / "task-7", "nobody-has-this-name", PREPARED)
    assert not list(tmp_path.iterdir())


def test_it_is_removed(tmp_path: Path) -> None:
    """Also what a job has closed; what its links point at stays."""
    (outside := tmp_path / "outside").mkdir()
    (outside / "file").touch()
    path = tmp_path / "task-7"
    (path / "closed" / "below").mkdir(parents=True)
    (path / "link").symlink_to(outside)
    (path / "closed" / "link").symlink_to(outside / "file")
    (path / "closed").chmod(0o500)
    work_dir.remove(path)
    work_dir.remove(path)
    assert [one.name for one in tmp_path.iterdir()] == ["outside"]
    assert (outside / "file").exists()


def test_a_link_in_its_place(tmp_path: Path) -> None:
    """It is not followed."""
    (outside := tmp_path / "outside").mkdir()
    (tmp_path / "task-7").symlink_to(outside)
    with pytest.raises(OSError, match="is left: Not a directory"):
        work_dir.remove(tmp_path / "task-7")
    assert outside.is_dir()


def test_it_is_kept(tmp_path: Path) -> None:
    """Under another name, in place of one that was kept before; one that is gone is no error."""
    for content in ("first", "second"):
        (path := tmp_path / "task-7").mkdir()
        (path / "core").write_text(content)
        work_dir.keep(path, tmp_path / "task-7-failed")
    work_dir.keep(tmp_path / "gone", tmp_path / "gone-failed")
    assert [one.name for one in tmp_path.iterdir()] == ["task-7-failed"]
    assert (tmp_path / "task-7-failed" / "core").read_text() == "second"


def test_what_its_runner_wrote_is_kept(tmp_path: Path) -> None:
    """Beside it, for nobody but us, in place of what was kept before; where nothing was written there is nothing."""
    output, kept = tmp_path / "output.log", tmp_path / "task-7-failed"
    work_dir.keep_output(output, kept)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "task-7-failed.log").symlink_to(tmp_path / "elsewhere")
    for content in ("first", "second"):
        output.write_text(content)
        work_dir.keep_output(output, kept)
    log = tmp_path / "task-7-failed.log"
    assert (log.read_text(), stat.S_IMODE(log.stat().st_mode), log.is_symlink()) == ("second", 0o600, False)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_kept(tmp_path: Path) -> None:
    """It is nobody's but ours, whatever its job has opened: later jobs of the same account cannot read it."""
    require_root("files of another account")
    path, kept = tmp_path / "task-7", tmp_path / "task-7-failed"
    work_dir.make(path, "nobody", PREPARED)
    path.chmod(0o777)
    work_dir.keep(path, kept)
    told = kept.stat()
    assert (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode)) == (0, 0, 0o700)


def test_keeping_it_in_two_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first one has named is there still, and ours."""
    path, kept = tmp_path / "task-7", tmp_path / "task-7-failed"
    work_dir.make(path, None, PREPARED)

    def seize(name: str, parent: int) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(work_dir, "seize", seize)
        with pytest.raises(OSError, match="Too many"):
            work_dir.keep(path, kept)
    kept.chmod(0o755)
    work_dir.keep(path, kept)
    assert (kept / ".runner").exists()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
