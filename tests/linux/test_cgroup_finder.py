"""Finding a container's cgroup from wherever the meter runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.linux.cgroup_finder import CgroupFinder
from tests.support.hosts import CONTAINER, HOSTS, JOB_PID, cgroup_paths, proc

DOCKER = f"/docker/{CONTAINER}"
SCOPE = f"/system.slice/docker-{CONTAINER}.scope"


@pytest.mark.parametrize(
    "host, path, controllers",
    [
        ("hybrid", DOCKER, {"cpu", "cpuacct", "memory", "pids", "blkio", "", "systemd"}),
        ("v1", DOCKER, {"cpu", "cpuacct", "memory", "pids", "blkio", "systemd"}),
        ("v2", SCOPE, {""}),
    ],
)
def test_in_a_hosts_file_system_mounted_for_us(host, path, controllers) -> None:
    """The paths of /proc/PID/cgroup lead to the directories that hold the process."""
    mounted = f"{HOSTS / host}/sys/fs/cgroup"
    place = CgroupFinder(proc(host), mounted).find(JOB_PID, cgroup_paths(host), path)
    assert place is not None
    assert place.view == "host"
    assert set(place.directories) == controllers - {"systemd"}
    for one, directory in place.directories.items():
        assert directory.endswith(path)
        assert directory.startswith(place.tops[one])


def test_by_name_where_paths_are_another_namespaces() -> None:
    """A path such as /../<id> says nothing of where the directory is, but its name does."""
    mounted = f"{HOSTS / 'v2'}/sys/fs/cgroup"
    finder = CgroupFinder(proc("private_cgroupns"), mounted)
    place = finder.find(JOB_PID, {"": f"/../docker-{CONTAINER}.scope"}, f"/../docker-{CONTAINER}.scope")
    assert place is not None
    assert place.directories == {"": mounted + SCOPE}


def test_through_the_containers_own_root() -> None:
    """Without a mount of the host the container's own view is taken."""
    finder = CgroupFinder(proc("private_cgroupns"))
    place = finder.find(JOB_PID, cgroup_paths("private_cgroupns"), f"/../{CONTAINER}")
    assert place is not None
    assert place.view == "root"
    assert place.directories == {"": f"{proc('private_cgroupns')}/{JOB_PID}/root/sys/fs/cgroup"}


@pytest.mark.parametrize("pid", [1, 999999])
def test_a_directory_that_does_not_hold_the_process_is_not_its_own(pid) -> None:
    """The same path may be another cgroup in another namespace."""
    mounted = f"{HOSTS / 'v2'}/sys/fs/cgroup"
    assert CgroupFinder(proc("v2"), mounted).find(pid, {"": SCOPE}, SCOPE) is None


def test_a_process_in_a_cgroup_below_the_containers(tmp_path: Path) -> None:
    """The container's directory is taken, not the one deeper down."""
    inner = tmp_path / "docker/abc/inner"
    inner.mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "docker", tmp_path / "docker/abc", inner):
        (directory / "cgroup.procs").write_text("")
    (inner / "cgroup.procs").write_text(f"{os.getpid()}\n")
    finder = CgroupFinder(proc("hidepid"), str(tmp_path))
    place = finder.find(os.getpid(), {"": "/docker/abc/inner"}, "/docker/abc")
    assert place is not None
    assert place.directories == {"": f"{tmp_path}/docker/abc"}


def test_nowhere_is_none() -> None:
    """Where no view shows the cgroup the numbers come from elsewhere."""
    assert CgroupFinder(proc("hidepid")).find(77, {"": "/user.slice"}, "/user.slice") is None
    assert CgroupFinder("/nowhere").find(1, {}, "/") is None
