"""The tree tells who comes and who goes, once each, however it learns of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from inotify_simple import Event, flags

from jobmeter.linux.cgroup_tree import CgroupTree
from tests.support.fake_host import open_descriptors


@pytest.fixture(params=["told", "walking"])
def tree(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CgroupTree]:
    """One that the kernel tells, and one that has no watches."""
    (tmp_path / "system.slice").mkdir()

    def refused() -> None:
        raise OSError(24, "no inotify instances are left")

    if request.param == "walking":
        monkeypatch.setattr("jobmeter.linux.cgroup_tree.INotify", lambda nonblocking: refused())
    made = CgroupTree(str(tmp_path))
    assert (made.fileno() is None) is (request.param == "walking")
    yield made
    made.close()


def test_who_is_there_already_is_told_first(tree: CgroupTree) -> None:
    """Once."""
    assert tree.walk() == (["/system.slice"], [])
    assert tree.walk() == ([], [])
    assert tree.changes() == ([], [])


def test_who_comes_and_goes_is_told_once(tree: CgroupTree, tmp_path: Path) -> None:
    """Also below one that has just come."""
    tree.walk()
    (tmp_path / "docker/a/b").mkdir(parents=True)
    came, gone = tree.changes()
    assert (sorted(came), gone) == (["/docker", "/docker/a", "/docker/a/b"], [])
    (tmp_path / "docker/a/c").mkdir()
    assert tree.changes() == (["/docker/a/c"], [])
    shutil.rmtree(tmp_path / "docker/a")
    came, gone = tree.changes()
    assert (came, sorted(gone)) == ([], ["/docker/a", "/docker/a/b", "/docker/a/c"])
    assert tree.walk() == ([], [])


def test_one_of_the_same_name_comes_again(tree: CgroupTree, tmp_path: Path) -> None:
    """After it was gone."""
    tree.walk()
    for _ in range(3):
        (tmp_path / "a").mkdir()
        assert tree.changes() == (["/a"], [])
        (tmp_path / "a").rmdir()
        assert tree.changes() == ([], ["/a"])


def test_files_are_no_directories(tree: CgroupTree, tmp_path: Path) -> None:
    """Nor are links to them."""
    tree.walk()
    (tmp_path / "file").touch()
    os.symlink(tmp_path / "system.slice", tmp_path / "link")
    assert tree.changes() == ([], [])


def test_a_thousand_that_come_and_go_leave_nothing(tree: CgroupTree, tmp_path: Path) -> None:
    """No watch, no descriptor."""
    tree.walk()
    before = open_descriptors()
    for number in range(1000):
        (tmp_path / f"c{number}").mkdir()
    came, _ = tree.changes()
    assert len(came) == 1000
    for number in range(1000):
        (tmp_path / f"c{number}").rmdir()
    _, gone = tree.changes()
    assert sorted(gone) == sorted(came)
    assert tree.walk() == ([], [])
    assert open_descriptors() == before
    assert len(tree._path_of) <= 2


def test_what_the_kernel_did_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too much happened at once: what came is gone by the time of the walk, and what it finds is told."""
    tree = CgroupTree(str(tmp_path))
    tree.walk()
    for name in ("stays", "goes"):
        (tmp_path / name).mkdir()
    tree_is_walked = tree.walk

    def walk_later() -> tuple[list[str], list[str]]:
        (tmp_path / "goes").rmdir()
        (tmp_path / "untold").mkdir()
        return tree_is_walked()

    assert tree._inotify is not None
    told = [*tree._inotify.read(timeout=0), Event(wd=-1, mask=flags.Q_OVERFLOW, cookie=0, name="")]
    monkeypatch.setattr(tree._inotify, "read", lambda timeout: told)
    monkeypatch.setattr(tree, "walk", walk_later)
    assert tree.changes() == (["/stays", "/untold"], ["/goes"])
    tree.close()


def test_who_makes_deep_cgroups_switches_nothing_off(tmp_path: Path) -> None:
    """A path may be too long to be watched; the next walk finds what lies there, and watches all again."""
    tree = CgroupTree(str(tmp_path))
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        place, above = os.open("d" * 250, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    tree.walk()
    assert tree.unwatched > 0
    (tmp_path / "a").mkdir()
    assert tree.changes() == (["/a"], [])
    shutil.rmtree(tmp_path / ("d" * 250))
    tree.walk()
    assert tree.unwatched == 0
    tree.close()


def test_no_watch_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes is found by the walks, until there are some again."""
    tree = CgroupTree(str(tmp_path))
    tree.walk()
    assert tree._inotify is not None
    watch = tree._inotify.add_watch

    def refused(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tree._inotify, "add_watch", refused)
    (tmp_path / "docker/a").mkdir(parents=True)
    assert tree.changes()[0] == ["/docker", "/docker/a"]
    (tmp_path / "docker/b").mkdir()
    assert tree.changes() == ([], [])
    assert tree.unwatched == 2
    assert tree.walk() == (["/docker/b"], [])
    monkeypatch.setattr(tree._inotify, "add_watch", watch)
    tree.walk()
    assert tree.unwatched == 0
    (tmp_path / "docker/c").mkdir()
    assert tree.changes() == (["/docker/c"], [])
    tree.close()


def test_another_one_with_the_path_of_one_that_is_gone(tree: CgroupTree, tmp_path: Path) -> None:
    """A walk tells of both, though the kernel told of neither."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "later").mkdir()
    tree.walk()
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "later").rename(tmp_path / "a")
    assert tree.walk() == (["/a"], ["/a", "/a/b", "/later"])
    assert tree.walk() == ([], [])


def test_a_tree_that_cannot_be_read_has_nothing(tmp_path: Path) -> None:
    """It may come later."""
    tree = CgroupTree(str(tmp_path / "missing"))
    assert tree.walk() == ([], [])
    tree.close()
