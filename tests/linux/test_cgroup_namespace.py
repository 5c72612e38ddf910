"""Cgroup paths as the host has them, for one whose cgroup namespace is not the host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.linux.cgroup_namespace import cgroup_paths

OURS = "kubepods/podA/ours"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A host's tree mounted at `host`, in which this process is three levels down, at the root of its namespace."""
    (tmp_path / "host" / OURS / "inner").mkdir(parents=True)
    (tmp_path / "host/kubepods/podB/job").mkdir(parents=True)
    (tmp_path / "host/kubepods/podB/job/cgroup.procs").write_text("7\n8\n")
    (tmp_path / "host" / OURS / "inner/cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    return tmp_path / "proc"


def put(proc: Path, path: str, root: str = "/../../..") -> str:
    """A process with that path, seen by one that has the tree mounted with that root; the directory of processes."""
    for name in ("self", "7"):
        (proc / name).mkdir(parents=True)
    tree = proc.parent / "host"
    mounts = f"1 2 0:3 / /sys/fs/cgroup ro - cgroup2 c rw\n4 2 0:3 {root} {tree} ro - cgroup2 c rw\n"
    (proc / "self/mountinfo").write_text(mounts)
    (proc / "7/cgroup").write_text(f"0::{path}\n")
    return str(proc)


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/", "/"),
        ("/inner", "/inner"),
        ("/..", "/kubepods/podA"),
        ("/../beside", "/kubepods/podA/beside"),
        ("/../../podB/job", "/kubepods/podB/job"),
        ("/../../..", "/"),
        ("/../../../docker/x", "/docker/x"),
        ("/../../../../x", "/../../../../x"),
        ("/..x", "/..x"),
    ],
)
def test_path_out_of_our_namespace(proc: Path, path: str, expected: str) -> None:
    """It is told from the top of the tree; what is not above is as it was."""
    assert cgroup_paths(put(proc, path), 7) == {expected}


@pytest.mark.parametrize("root", ["/", "/../x", "/x/.."])
def test_without_the_hosts_tree(proc: Path, root: str) -> None:
    """Nothing tells what the directories above are called."""
    assert cgroup_paths(put(proc, "/../../podB/job", root), 7) == {"/../../podB/job"}


def test_tree_in_which_we_are_not(proc: Path) -> None:
    """That of another machine tells nothing."""
    (proc.parent / "host" / OURS / "inner/cgroup.procs").write_text("1\n")

    assert cgroup_paths(put(proc, "/../job"), 7) == {"/../job"}
