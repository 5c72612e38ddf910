"""What processes show is read within bounds, and what cannot be read shows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.exporter.evidence import (
    MAX_ENVIRON_BYTES,
    MAX_VARIABLES,
    container_of,
    containers_above,
    parent_of,
    reachable,
    read_environ,
)
from tests.exporter.proc import ENGINE_MOUNTS, Processes

A, B = f"/docker/{'a' * 64}", f"/docker/{'b' * 64}"
SOCKET = "/run/docker.sock"


@pytest.fixture
def proc(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def test_environment(proc: Processes) -> None:
    """Only variables that can tell of a job are taken, in any form of text."""
    proc.put(
        7,
        A,
        environ=b"PATH=/bin\0GITHUB_JOB=build\0SECRET=s\0MATRIX={}\0CI=1\0CI_JOB_NAME=\0MY_GITHUB_JOB=x\0"
        b"GITHUB_JOB=other\0GITHUB_REF=caf\xe9\0noequals\0JOBMETER_JOB=a=b\nc",
    )
    assert read_environ(proc.host.root, 7) == {
        "GITHUB_JOB": "build",
        "MATRIX": "{}",
        "CI_JOB_NAME": "",
        "GITHUB_REF": "caf\ufffd",
        "JOBMETER_JOB": "a=b\nc",
    }


def test_environment_that_cannot_be_read(proc: Processes) -> None:
    """Of a process that is gone, or a zombie."""
    proc.put(7, A)
    assert read_environ(proc.host.root, 7) == read_environ(proc.host.root, 8) == {}


def test_environment_without_end(proc: Processes) -> None:
    """What is read, and how many variables, is bounded."""
    proc.put(7, A, environ=b"".join(b"CI_%d=x\0" % number for number in range(1000)))
    proc.put(8, A, environ=b"GITHUB_JOB=" + b"x" * MAX_ENVIRON_BYTES + b"\0GITHUB_REF=r\0")
    assert len(read_environ(proc.host.root, 7)) == MAX_VARIABLES
    assert sum(map(len, read_environ(proc.host.root, 8).values())) < MAX_ENVIRON_BYTES


def test_ancestors(proc: Processes) -> None:
    """The chain of a container that a daemon in a container made: runtime's shim, daemon, then the host's."""
    proc.put(40, B, parent=30)
    proc.put(30, A, parent=20)
    proc.put(20, A, parent=10)
    proc.put(10, "/system.slice/containerd.service", parent=1)
    assert containers_above(proc.host.root, 40) == [A]
    assert containers_above(proc.host.root, 10) == []


def test_ancestors_in_several_hierarchies(proc: Processes) -> None:
    """Where an engine within makes cgroups in some of them only, the innermost is meant."""
    proc.put(40, B, parent=30)
    proc.host.put(30, parent=1, cgroup=f"2:cpuacct:{A}{B}\n1:cpu:/\n0::{A}\n")
    assert containers_above(proc.host.root, 40) == [A + B]


def test_ancestors_that_end(proc: Processes) -> None:
    """A chain that breaks off tells nothing, and is not taken for one that has come to its end."""
    proc.put(40, B, parent=30)
    assert containers_above(proc.host.root, 40) is None
    assert containers_above(proc.host.root, 99) is None
    assert (parent_of(proc.host.root, 40), parent_of(proc.host.root, 99)) == (30, None)


def test_ancestors_without_end(proc: Processes) -> None:
    """As pids that are given again might look like."""
    proc.put(40, B, parent=30)
    proc.put(30, A, parent=40)
    assert containers_above(proc.host.root, 40) == [A, B]


def test_the_container_of_a_process(proc: Processes) -> None:
    """The innermost; none for one of the host, and for one that is gone."""
    proc.put(40, A + B)
    proc.put(10, "/system.slice/cron.service")
    assert [container_of(proc.host.root, pid) for pid in (40, 10, 99)] == [A + B, None, None]


ROOT = "90 80 0:44 / / rw - overlay overlay rw\n"


@pytest.mark.parametrize(
    "mount, seen",
    [
        ("91 90 0:22 /docker.sock /var/run/docker.sock rw - tmpfs tmpfs rw\n", True),
        ("91 90 0:22 / /host/run rw,shared:5 - tmpfs tmpfs rw\n", True),
        ("91 90 0:22 /docker.sock//deleted /run/docker.sock rw - tmpfs tmpfs rw\n", False),
        ("91 90 0:22 /docker /run/docker rw - tmpfs tmpfs rw\n", False),
        ("91 90 0:22 /podman.sock /run/docker.sock rw - tmpfs tmpfs rw\n", False),
        ("91 90 0:55 / /run rw - tmpfs tmpfs rw\n91 90 0:55 /docker.sock /x rw - tmpfs tmpfs rw\n", False),
        ("91 90 8:1 /run /run rw - ext4 /dev/vda rw\n", False),
        ("nonsense\n\n", False),
        ("", False),
    ],
)
def test_sockets(proc: Processes, mount: str, seen: bool) -> None:
    """A socket is told by its device and its place there, wherever it is mounted; one made anew is another."""
    proc.put(7, A, mounts=ROOT + mount)
    assert reachable(proc.host.root, 7, [SOCKET]) == (frozenset({SOCKET}) if seen else frozenset())


def test_socket_on_the_root_file_system(proc: Processes, tmp_path: Path) -> None:
    """The nearest mount of ours holds it, the last one of those in one place; links are followed, blanks are meant."""
    (tmp_path / "self" / "mountinfo").write_text(
        ENGINE_MOUNTS
        + "30 20 0:30 / /srv/a\\040b rw - tmpfs tmpfs rw\n31 30 0:31 /x /srv/a\\040b rw - tmpfs tmpfs rw\n"
    )
    proc.put(7, A, mounts=ROOT + "91 90 8:1 /opt/my\\040sock /s rw - ext4 /dev/vda rw\n")
    proc.put(8, A, mounts=ROOT + "91 90 0:31 /x/sock /s rw - tmpfs tmpfs rw\n")
    sockets = ["/opt/my sock", "/srv/a b/sock"]
    assert reachable(proc.host.root, 7, sockets) == {"/opt/my sock"}
    assert reachable(proc.host.root, 8, sockets) == {"/srv/a b/sock"}


def test_mounts_that_cannot_be_read(proc: Processes) -> None:
    """Nothing is in reach as far as is known."""
    assert reachable(proc.host.root, 99, [SOCKET]) == frozenset()
