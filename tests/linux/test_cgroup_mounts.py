"""Where the hierarchies are mounted, and which directory belongs to which path."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.linux.cgroup_mounts import (
    Hierarchy,
    ancestors,
    directories,
    hierarchies_below,
    parse_mountinfo,
)
from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from tests.support.hosts import CONTAINER, HOSTS, job_directories

V1_LINE = "36 25 0:31 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("22 27 0:21 / /proc rw,relatime - proc proc rw", []),
        (V1_LINE, [Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/")]),
        (
            V1_LINE.replace("memory rw", "memory ro").replace(" shared:15", ""),
            [Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/")],
        ),
        (
            V1_LINE.replace("rw,memory", "rw,cpu,cpuacct"),
            [Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/memory", "/")],
        ),
        (
            V1_LINE.replace(" / ", " /docker/1 "),
            [Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/docker/1")],
        ),
        (
            V1_LINE.replace("/sys/fs", r"/my\\040sys\\134x/fs").replace("\\\\", "\\"),
            [Hierarchy(("memory",), "/my sys\\x/fs/cgroup/memory", "/")],
        ),
        (
            V1_LINE.replace("cgroup cgroup rw,memory", "cgroup2 none rw"),
            [Hierarchy(("",), "/sys/fs/cgroup/memory", "/")],
        ),
        (
            V1_LINE + "\n" + V1_LINE.replace("/sys", "/again"),
            [Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/")],
        ),
    ],
)
def test_mounts(text, expected) -> None:
    """The first mount of each hierarchy; other file systems are passed over."""
    assert parse_mountinfo(text) == expected


@pytest.mark.parametrize("text", ["cgroup", "1 2 3", V1_LINE.replace(" - ", " "), V1_LINE + "\nx"])
def test_a_line_that_is_no_mount_is_an_error(text) -> None:
    """The message names the file."""
    with pytest.raises(KernelFormatError, match="/proc/PID/mountinfo"):
        parse_mountinfo(text)


@given(
    st.text(max_size=200) | st.builds(V1_LINE.replace, st.sampled_from(V1_LINE.split()), st.text(max_size=9))
)
def test_any_text_is_mounts_or_a_kernel_format_error(text) -> None:
    """Nothing a kernel could say is a traceback."""
    with contextlib.suppress(KernelFormatError):
        directories(parse_mountinfo(text), {"memory": "/a", "": "/b"})


@pytest.mark.parametrize(
    "host, controllers",
    [
        ("hybrid", {"cpu", "cpuacct", "memory", "pids", "blkio", "name=systemd", ""}),
        ("v1", {"cpu", "cpuacct", "memory", "pids", "blkio", "name=systemd"}),
        ("v2", {""}),
        ("no_psi", {""}),
    ],
)
def test_the_jobs_directories_on_each_host(host, controllers) -> None:
    """Each controller's directory is there and holds the job's process."""
    found = job_directories(host)
    visible = {one: path for one, path in found.items() if one not in ("cpuset", "devices", "freezer")}
    assert set(visible) == controllers
    for path in visible.values():
        assert CONTAINER in path
        with open(f"{path}/cgroup.procs") as file:
            assert file.read().split() == ["4242", "4243"]


def test_a_peer_in_another_cgroup_namespace_has_no_directory_here() -> None:
    """Its path is shown as /../<id>, which lies outside of our mount; our own is the mount point."""
    assert job_directories("private_cgroupns") == {}
    own = job_directories("private_cgroupns", "self")
    assert list(own) == [""]
    with open(f"{own['']}/cgroup.procs") as file:
        assert file.read() == "77\n"


@pytest.mark.parametrize(
    "root, path, directory",
    [
        ("/", "/", "/m"),
        ("/", "/a/b", "/m/a/b"),
        ("/docker/1", "/docker/1", "/m"),
        ("/docker/1", "/docker/1/inner", "/m/inner"),
        ("/docker/1", "/docker/12", None),
        ("/docker/1", "/", None),
        ("/", "/../2", None),
        ("/docker/1", "/..", None),
    ],
)
def test_paths_below_the_root_of_a_mount(root, path, directory) -> None:
    """A container's mount shows a part of the hierarchy: what lies outside of it has no directory."""
    found = directories([Hierarchy(("memory",), "/m", root)], {"memory": path, "cpu": "/x"})
    assert found == ({} if directory is None else {"memory": directory})


@pytest.mark.parametrize("host", ["hybrid", "v1", "v2", "private_cgroupns"])
def test_a_foreign_mount_is_told_by_its_files(host) -> None:
    """A host's file system mounted for a collector says what it is without a mount table."""
    root = f"{HOSTS / host}/sys/fs/cgroup"
    found = {one: each.mount_point for each in hierarchies_below(root) for one in each.controllers}
    if host in ("v2", "private_cgroupns"):
        assert found == {"": root}
    else:
        assert found["memory"] == f"{root}/memory"
        assert found["cpuacct"] == f"{root}/{'cpu,cpuacct' if host == 'v1' else 'cpuacct'}"
        assert ("" in found) == (host == "hybrid")


def test_a_hierarchy_linked_under_two_names_counts_once(tmp_path) -> None:
    """Distributions link cpu and cpuacct to cpu,cpuacct."""
    (tmp_path / "cpu,cpuacct").mkdir()
    (tmp_path / "cpu,cpuacct/cgroup.procs").touch()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuacct").symlink_to("cpu,cpuacct")
    found = {one for each in hierarchies_below(str(tmp_path)) for one in each.controllers}
    assert found == {"cpu", "cpuacct"}


@pytest.mark.parametrize("name, reason", [("", "there are no cgroups"), ("nowhere", "No such file")])
def test_a_folder_without_cgroups_says_so(tmp_path, name, reason) -> None:
    """One sentence with the path and why."""
    with pytest.raises(SourceUnavailable, match=reason) as caught:
        hierarchies_below(str(tmp_path / name))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "directory, mount_point, expected",
    [
        ("/m", "/m", ["/m"]),
        ("/m/a/b", "/m", ["/m/a/b", "/m/a", "/m"]),
        ("/x/y", "/m", ["/x/y"]),
        ("/mm/a", "/m", ["/mm/a"]),
        ("/a", "/", ["/a", "/"]),
    ],
)
def test_ancestors(directory, mount_point, expected) -> None:
    """From a directory up to its mount point and never beyond."""
    assert ancestors(directory, mount_point) == expected
