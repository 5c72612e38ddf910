"""A hook socket is its account's alone, replaces what a dead daemon left, and never one that lives."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.hooks import door
from jobmeter.ops.hooks.door import hook_socket


def left_behind(path: Path) -> None:
    """What a killed daemon leaves."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("umask", [0, 0o22, 0o77])
def test_nobody_else_may_connect(tmp_path: Path, umask: int) -> None:
    """Whatever the umask is; at the end it is gone."""
    path, before = tmp_path / "s", os.umask(umask)
    try:
        with hook_socket(str(path), "--hooks"):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert not path.exists()
    finally:
        os.umask(before)


def test_one_of_the_dead_is_replaced(tmp_path: Path) -> None:
    """A daemon that was killed can be started again."""
    path = tmp_path / "s"
    left_behind(path)
    with hook_socket(str(path), "--hooks"), socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))


def test_one_that_answers_is_left_alone(tmp_path: Path) -> None:
    """Two daemons at one place: the second is told."""
    path = str(tmp_path / "s")
    with hook_socket(path, "--hooks"):
        with pytest.raises(JobmeterError, match=r"--hooks: .* another process answers there"):
            hook_socket(path, "--hooks").__enter__()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(path)


def test_of_many_at_once_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would remove what a dead one left, however late: nobody removes one that lives."""
    path, refused, served = tmp_path / "s", [], []
    unlink = os.unlink

    def unlink_late(path: str) -> None:
        time.sleep(0.01)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_late)
    left_behind(path)
    together, done = threading.Barrier(8), threading.Barrier(8)

    def begin() -> None:
        together.wait()
        try:
            with hook_socket(str(path), "--hooks") as listening:
                served.append(listening)
                done.wait()
        except JobmeterError as error:
            refused.append(str(error))
            done.wait()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(served), len(refused)) == (1, 7)


def test_one_who_locks_the_directory_keeps_nobody_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read it can; the daemon says why it does not start, and starts once it is free."""
    monkeypatch.setattr(door, "_LOCK_SECONDS", 0.1)
    path, fd = str(tmp_path / "s"), os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(JobmeterError, match=r"^--hooks: .* another process has locked "):
            hook_socket(path, "--hooks").__enter__()
    finally:
        os.close(fd)
    with hook_socket(path, "--hooks"):
        pass


def test_another_ones_is_not_removed_at_the_end(tmp_path: Path) -> None:
    """Somebody has removed ours and put another one there."""
    path = tmp_path / "s"
    with hook_socket(str(path), "--hooks"):
        path.unlink()
        left_behind(path)
    assert path.exists()


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("missing/s", "there is no directory"),
        ("file/s", "file is no directory"),
        ("file", "what is there is no socket"),
        ("link", "what is there is no socket"),
        ("x" * 200, "too long"),
        ("open/s", "everybody may put another one"),
        ("a\0b", "null"),
    ],
)
def test_where_it_cannot_be(tmp_path: Path, name: str, sentence: str) -> None:
    """One sentence, and nothing is removed."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(JobmeterError) as raised:
        hook_socket(f"{tmp_path}/{name}", "--hooks").__enter__()
    assert sentence in str(raised.value)
    assert (tmp_path / "file").read_text() == "kept"
