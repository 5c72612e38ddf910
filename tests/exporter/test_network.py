"""The traffic of a network namespace is counted once, whoever comes and goes in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.exporter.network import NO_TRAFFIC, Networks
from jobmeter.linux.descriptors import Descriptors
from tests.exporter.proc import Processes
from tests.support.fake_host import open_descriptors

HEAD = "Inter-|   Receive\n face |bytes\n"
MANY = 200


class Wires:
    """A /proc of processes in network namespaces."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes = Processes(root)
        self.processes.put(1, "/", parent=0)
        (root / "1/ns").mkdir()
        (root / "1/ns/net").touch()

    def put(self, pid: int, container: str, namespace: str, *, parent: int = 1) -> None:
        """A container's process."""
        home = self.root / namespace
        home.mkdir(exist_ok=True)
        (home / "inode").touch()
        self.processes.put(pid, container, parent=parent)
        (self.root / str(pid) / "ns").mkdir()
        os.link(home / "inode", self.root / str(pid) / "ns/net")
        (self.root / str(pid) / "net").symlink_to(home)

    def carry(self, namespace: str, **received: int) -> None:
        """So many bytes have come in by each of the interfaces that are there; twice as many went out."""
        lines = (f"{name}: {n} 1 0 0 0 0 0 0 {2 * n} 1 0 0 0 0 0 0\n" for name, n in received.items())
        (self.root / namespace / "dev").write_text(HEAD + "".join(lines))


@pytest.fixture
def wires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wires:
    monkeypatch.setattr("jobmeter.exporter.network.is_initial_network", lambda *of: False)
    made = Wires(tmp_path)
    made.put(10, "/docker/a", "shared")
    made.put(11, "/docker/b", "shared")
    made.carry("shared", eth0=100)
    return made


@pytest.fixture(params=[100, 0], ids=["held", "opened"])
def networks(request: pytest.FixtureRequest, wires: Wires) -> Networks:
    """With room for descriptors, and without any."""
    return Networks(Descriptors(request.param), str(wires.root), each_interface=True)


def received(networks: Networks, container: str) -> int | None:
    return networks.read(container).received_bytes


def test_who_takes_over_begins_at_0(wires: Wires, networks: Networks) -> None:
    """What was counted for the owner that ended is not counted again, and nothing that follows is lost."""
    networks.enter("/docker/a", 10)
    networks.enter("/docker/b", 11)
    assert (received(networks, "/docker/a"), networks.read("/docker/b")) == (100, NO_TRAFFIC)
    wires.carry("shared", eth0=130)
    networks.leave("/docker/a")
    wires.processes.host.remove(10)
    assert (networks.read("/docker/a"), received(networks, "/docker/b")) == (NO_TRAFFIC, 30)
    wires.carry("shared", eth0=150)
    networks.enter("/docker/b", 11)
    assert networks.read("/docker/b")[:2] == (50, 100)


@pytest.mark.parametrize(
    "carried, counted", [({"eth0": 130}, 30), ({"eth0": 40}, 40), ({"eth0": 130, "eth1": 5}, 35)],
    ids=["the same", "another with its number", "with one more interface"],
)  # fmt: skip
def test_a_namespace_that_is_kept_for_the_next(
    wires: Wires, networks: Networks, carried: dict[str, int], counted: int
) -> None:
    """As a pod's is from its first container to the next one: what passed is counted once."""
    networks.enter("/docker/a", 10)
    networks.read("/docker/a")
    networks.leave("/docker/a")
    wires.carry("shared", **carried)
    networks.enter("/docker/b", 11)
    assert received(networks, "/docker/b") == counted


def test_who_has_left_does_not_take_over(wires: Wires, networks: Networks) -> None:
    """When all have left nothing is held."""
    networks.enter("/docker/a", 10)
    networks.enter("/docker/b", 11)
    networks.leave("/docker/b")
    networks.leave("/docker/a")
    assert networks.read("/docker/b") == NO_TRAFFIC
    assert (networks._files, networks._owner_of, networks._others) == ({}, {}, {})


def test_one_in_the_namespace_of_who_made_it(wires: Wires, networks: Networks) -> None:
    """Its traffic is never its own, not even when that one has left."""
    wires.put(12, "/docker/a/docker/c", "shared", parent=10)
    networks.enter("/docker/a", 10)
    networks.enter("/docker/a/docker/c", 12)
    networks.leave("/docker/a")
    assert networks.read("/docker/a/docker/c") == NO_TRAFFIC


@pytest.mark.parametrize(
    "readings, shown",
    [
        (({"eth0": 100, "eth1": 50}, {"eth0": 100}), 150),
        (({"eth0": 100, "eth1": 50}, {"eth0": 130}), 180),
        (({"eth0": 100}, {"eth0": 20}), 120),
        (({"eth0": 100}, {"eth0": 100, "eth1": 7}), 107),
        (({"eth0": 100}, {}, {"eth0": 100}), 200),
        (({"eth0": 100}, {"docker0": 9}, {"docker0": 3}), 100),
    ],
    ids=["gone", "gone and grown", "made anew", "new", "come again", "inner"],
)
def test_a_counter_never_falls(wires: Wires, networks: Networks, readings, shown: int) -> None:
    """An interface that goes takes nothing with it; one that is made anew counts from 0."""
    networks.enter("/docker/a", 10)
    for reading in readings:
        wires.carry("shared", **reading)
        traffic = networks.read("/docker/a")
    assert traffic[:2] == (shown, 2 * shown)
    assert traffic.interfaces is not None
    assert sum(one.received_bytes for one in traffic.interfaces) >= shown


def test_interfaces_that_are_gone_are_together(wires: Wires, networks: Networks) -> None:
    """Last, without a name, so that they do not become more and more."""
    networks.enter("/docker/a", 10)
    for number in range(5):
        wires.carry("shared", eth0=100, **{f"veth{number}": 10})
        interfaces = networks.read("/docker/a").interfaces
    assert interfaces is not None
    assert [(one.name, one.received_bytes) for one in interfaces] == [("eth0", 100), ("veth4", 10), ("", 40)]


def test_many_interfaces(wires: Wires, networks: Networks) -> None:
    """However many calls it takes to read them all."""
    networks.enter("/docker/a", 10)
    wires.carry("shared", **{f"interface{number:05}": 10**9 for number in range(MANY)})
    assert (wires.root / "shared/dev").stat().st_size > 8192
    assert received(networks, "/docker/a") == MANY * 10**9


def test_what_cannot_be_read_was_still_counted(wires: Wires) -> None:
    """Without a descriptor and without the process, until another one of the container is known."""
    networks = Networks(Descriptors(0), str(wires.root))
    networks.enter("/docker/a", 10)
    assert received(networks, "/docker/a") == 100
    wires.processes.host.remove(10)
    wires.carry("shared", eth0=300)
    assert received(networks, "/docker/a") == 100
    networks.enter("/docker/a", 11)
    assert received(networks, "/docker/a") == 300


def test_a_pid_that_is_in_another_namespace_now(wires: Wires) -> None:
    """Its counters are not those of the container."""
    networks = Networks(Descriptors(0), str(wires.root))
    networks.enter("/docker/a", 10)
    (wires.root / "10/ns/net").unlink()
    (wires.root / "10/ns/net").touch()
    assert networks.read("/docker/a") == NO_TRAFFIC


def test_nobody_takes_over_at_the_end(wires: Wires) -> None:
    """All descriptors are given back."""
    before = open_descriptors()
    networks = Networks(Descriptors(10), str(wires.root))
    networks.enter("/docker/a", 10)
    networks.enter("/docker/b", 11)
    assert open_descriptors() == before + 1
    networks.close()
    assert open_descriptors() == before
