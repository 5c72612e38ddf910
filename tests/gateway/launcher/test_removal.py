"""A tree goes, however it was made; what is outside of it stays."""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobmeter.gateway.launcher.removal import remove_folder, seize
from tests.e2e.support.components import require_root

DEPTH = 3_000
_MOUNTED = (
    'mount --bind "$1" "$2/sub/folder" && mount --bind "$1/file" "$2/sub/file" && exec "$3" -c "$4" "$2"'
)
_REMOVAL = """
import os, sys
from pathlib import Path
from jobmeter.gateway.launcher.removal import remove_folder
path = Path(sys.argv[1])
try:
    remove_folder(path, os.open(path.parent, os.O_PATH))
except OSError as error:
    print(error.strerror)
"""


def remove(path: Path) -> None:
    with folder(path.parent) as fd:
        remove_folder(path, fd)


@contextmanager
def folder(path: Path) -> Iterator[int]:
    """Its descriptor."""
    fd = os.open(path, os.O_PATH)
    try:
        yield fd
    finally:
        os.close(fd)


def make_deep(path: Path) -> None:
    """Deeper than a name can be long."""
    path.mkdir()
    fd = os.open(path, os.O_PATH)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT, dir_fd=fd))
    os.close(fd)


def test_a_deep_tree(tmp_path: Path) -> None:
    """Its depth takes neither stack nor descriptors."""
    make_deep(tmp_path / "task-7")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, hard))
    try:
        remove(tmp_path / "task-7")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_a_job_has_closed(tmp_path: Path) -> None:
    """It goes too where the gateway is not root, and the job's account its own."""
    require_root("another account")
    nobody = pwd.getpwnam("nobody").pw_uid
    closed = (tmp_path, tmp_path / "task-7", tmp_path / "task-7" / "sub")
    (tmp_path / "task-7" / "sub" / "below").mkdir(parents=True)
    for one in (*closed, closed[-1] / "below"):
        os.chown(one, nobody, -1)
    with folder(tmp_path) as fd:
        for one in closed[:0:-1]:
            one.chmod(0)
        os.seteuid(nobody)
        try:
            remove_folder(tmp_path / "task-7", fd)
        finally:
            os.seteuid(0)
    assert list(tmp_path.iterdir()) == []


def test_two_removals_at_once(tmp_path: Path) -> None:
    """What has vanished meanwhile is no error."""
    for wide in range(20):
        (path := tmp_path / "task-7" / str(wide) / "below").mkdir(parents=True)
        for number in range(20):
            (path / str(number)).touch()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(remove, 2 * [tmp_path / "task-7"]))
    assert list(tmp_path.iterdir()) == []


def test_mounts(tmp_path: Path) -> None:
    """They are not entered, also of the same file system: they stay, and are told of, and all else goes."""
    require_root("mount")
    (outside := tmp_path / "outside").mkdir()
    (outside / "file").write_text("kept")
    path = tmp_path / "task-7"
    for name in ("sub/folder", "sub/other/below"):
        (path / name).mkdir(parents=True)
    (path / "sub" / "file").touch()
    argv = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        _MOUNTED,
        "sh",
        str(outside),
        str(path),
        sys.executable,
        _REMOVAL,
    ]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    firsts = [
        f"'{path}/sub/{name}' is left: something is mounted there; and 1 more are left\n"
        for name in ("folder", "file")
    ]
    assert told in firsts
    assert sorted(str(one.relative_to(path)) for one in path.rglob("*")) == ["sub", "sub/file", "sub/folder"]
    assert (outside / "file").read_text() == "kept"


def test_what_is_no_folder(tmp_path: Path) -> None:
    """It is left, and so is what a link points at; long names are shortened."""
    (outside := tmp_path / "outside").mkdir()
    long = tmp_path / ("x" * 250)
    long.symlink_to(outside)
    with pytest.raises(OSError, match=r"^\[Errno 20\] '/.{99}…x{100}' is left: Not a directory$"):
        remove(long)
    assert outside.is_dir()


def test_a_folder_that_is_seized(tmp_path: Path) -> None:
    """Also who is in it already, and whom an access list lets in, can make nothing there any more."""
    require_root("another account")
    nobody = pwd.getpwnam("nobody")
    (path := tmp_path / "sub").mkdir()
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    path.chmod(0o777)
    words = "echo; read line; touch made || mkdir made"
    with subprocess.Popen(
        ["sh", "-c", words], cwd=path, user="nobody", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as inside, folder(tmp_path) as fd:  # fmt: skip
        assert inside.stdout is not None
        inside.stdout.readline()
        os.close(seize("sub", fd))
        inside.communicate(b"\n")
    assert inside.returncode != 0
    told = path.stat()
    assert (told.st_uid, told.st_mode & 0o7777, list(path.iterdir())) == (0, 0o700, [])


def test_a_folder_that_is_moved_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above it is now another folder, of which nothing goes."""
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").touch()
    (elsewhere / "sub").mkdir(parents=True)
    unlink = os.unlink

    def moved(path: str, *, dir_fd: int | None = None) -> None:
        os.rename(tree / "sub", elsewhere / "moved")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", moved)
    with pytest.raises(OSError, match="was moved while it was removed"):
        remove(tree)
    assert (elsewhere / "sub").is_dir()
