"""Which container a process belongs to, and which processes are nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.containers.naming import ContainerNamer
from jobmeter.linux.cgroup_finder import CgroupFinder
from jobmeter.metering.container_groups import ContainerGroups
from jobmeter.model.readings import ProcessReading
from tests.support.fake_host import FakeHost

OWN = 40
ONE, OTHER = "a" * 64, "b" * 64


class Rig:
    """Processes with cgroups in a /proc of the test's own."""

    def __init__(self, root: Path, *, sidecar: bool = True) -> None:
        self._host = FakeHost(root)
        self._root = root
        self.warnings: list[str] = []
        self.groups = ContainerGroups(
            root=str(root), finder=CgroupFinder(str(root)), namer=ContainerNamer({}), limits={}, own_pid=OWN,
            sidecar=sidecar, started_after=5.0, warn=self.warnings.append,
        )  # fmt: skip

    def admit(self, pid: int, path: str, *, parent: int = 1, name: str = "work") -> str | None:
        """The key of the container that a process seen for the first time belongs to; None for nobody's."""
        reading = self.reading(pid, path, parent=parent, name=name)
        return self.groups.group(reading) if self.groups.admit(reading) else None

    def reading(self, pid: int, path: str, *, parent: int = 1, name: str = "work") -> ProcessReading:
        self._host.put(pid, parent=parent, name=name, cgroup=f"0::{path}\n")
        return ProcessReading(pid, name, "S", parent, 0, 0.0, 0.0, 0.0, 0.0, 1, 10.0, 0)


@pytest.mark.parametrize(
    "path, sidecar, key",
    [
        pytest.param(f"/docker/{ONE}", True, ONE[:12], id="a container"),
        pytest.param(f"/docker/{ONE}/init.scope", True, ONE[:12], id="a cgroup within it"),
        pytest.param("/some/where", True, "/some/where", id="beside us all is the job's"),
        pytest.param("/some/where", False, None, id="on a host only containers are"),
    ],
)
def test_a_process_belongs_to_the_container_of_its_cgroup(
    tmp_path: Path, path: str, sidecar: bool, key: str | None
) -> None:
    """By its path, whatever lies below; without one that is known it depends on where we run."""
    assert Rig(tmp_path, sidecar=sidecar).admit(60, path) == key


@pytest.mark.parametrize("name", ["runc", "runc:[1:CHILD]", "runc:[2:INIT]", "crun", "conmon"])
def test_a_runtime_is_no_container_before_it_enters_one(tmp_path: Path, name: str) -> None:
    """Until then it lies in the engine's own cgroup, which is not the job's; inside it is the container's."""
    rig = Rig(tmp_path)

    assert rig.admit(60, "/engine", name=name) is None
    assert rig.admit(60, f"/docker/{ONE}", name=name) == ONE[:12]


def test_we_and_what_we_start_are_left_out(tmp_path: Path) -> None:
    """Also a grandchild; a stranger in our cgroup is metered."""
    rig = Rig(tmp_path)

    assert rig.admit(OWN, "/ours") is None
    assert rig.admit(41, "/ours", parent=OWN) is None
    assert rig.admit(42, "/ours", parent=41) is None
    assert rig.admit(50, "/ours") == "/ours"


def test_a_nested_container_lies_in_its_parent(tmp_path: Path) -> None:
    """Its group counts in both; the enclosing one is known although no process of its own was seen."""
    rig = Rig(tmp_path)

    assert rig.admit(60, f"/docker/{ONE}/docker/{OTHER}") == OTHER[:12]
    assert list(rig.groups.ancestry(OTHER[:12])) == [OTHER[:12], ONE[:12]]


@pytest.mark.parametrize(
    "parent, child, key",
    [
        pytest.param("containerd-shim", "date", ONE[:12], id="a step"),
        pytest.param("conmon", "date", ONE[:12], id="a step of Podman"),
        pytest.param("containerd-shim", "runc", None, id="the runtime that starts one"),
        pytest.param("launcher", "date", None, id="who only started a container"),
    ],
)
def test_a_step_too_short_to_be_seen_is_known_by_its_shim(
    tmp_path: Path, parent: str, child: str, key: str | None
) -> None:
    """Whoever else is the parent of a container's process may have children that are nobody's."""
    rig = Rig(tmp_path, sidecar=False)
    rig.admit(30, "/engine", name=parent)
    rig.admit(60, f"/docker/{ONE}", parent=30)

    assert rig.groups.adopt(30, child) == key


def test_the_shim_of_two_containers_tells_nothing_of_a_step(tmp_path: Path) -> None:
    """As the one of a pod's containers."""
    rig = Rig(tmp_path, sidecar=False)
    rig.admit(30, "/engine", name="containerd-shim")
    rig.admit(60, f"/docker/{ONE}", parent=30)
    rig.admit(61, f"/docker/{OTHER}", parent=30)

    assert rig.groups.adopt(30, "date") is None


def test_exec_may_bring_a_process_to_another_container(tmp_path: Path) -> None:
    """The first process of a container enters its cgroup just before it becomes the container's program."""
    rig = Rig(tmp_path)
    rig.admit(60, f"/docker/{ONE}")

    assert rig.groups.regroup(rig.reading(60, f"/docker/{OTHER}", name="sh")) == OTHER[:12]
    rig.groups.forget(60)
    assert [info.key for info in rig.groups.refresh(1.0)] == [ONE[:12], OTHER[:12]]
    rig.groups.close()
