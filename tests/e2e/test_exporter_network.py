"""Bytes that a container within a container sends, in real network namespaces: out through a pair, a bridge, a pair."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from jobmeter.exporter.network import NO_TRAFFIC, Networks
from jobmeter.linux import procfs
from jobmeter.linux.descriptors import Descriptors
from jobmeter.linux.files import read_whole
from tests.e2e.support.components import require_command, require_root
from tests.support.fake_host import open_descriptors

DATAGRAMS = 2_000
DATAGRAM_BYTES = 1_400
HEADER_BYTES = 14 + 20 + 8  # Ethernet, IP, UDP.
SENT_BYTES = DATAGRAMS * (DATAGRAM_BYTES + HEADER_BYTES)
RECEIVED_BYTES = DATAGRAMS * (1 + HEADER_BYTES)
NEIGHBOURS_BYTES = 10_000
"""What the kernels find each other with may take as much besides."""
RECEIVE = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.bind(("10.9.0.1", 9000))
    print("ready", flush=True)
    for _ in range({DATAGRAMS}):
        here.sendto(b".", here.recvfrom(65536)[1])
"""
SEND = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.connect(("10.9.0.1", 9000))
    for _ in range({DATAGRAMS}):
        here.send(bytes({DATAGRAM_BYTES}))
        here.recv(1)
"""
"""One after the other, so that none is lost and sent again."""


class Host(NamedTuple):
    """A process in each of three network namespaces: someone outside, the container, one within it."""

    outside: int
    container: int
    within: int

    def run(self, pid: int, *command: str) -> None:
        """In the namespace of one of them."""
        subprocess.run([*enter(pid), *command], check=True)


def enter(pid: int) -> list[str]:
    return ["nsenter", f"--target={pid}", "--net", "--"]


@contextmanager
def namespace() -> Iterator[int]:
    """The pid of a process in a network namespace of its own."""
    command = ["unshare", "--net", "sh", "-c", "echo; exec sleep 600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def host() -> Iterator[Host]:
    """Wired as Docker-in-Docker is."""
    require_root("making network namespaces")
    ip = require_command("ip")
    with ExitStack() as stack:
        host = Host(*(stack.enter_context(namespace()) for _ in range(3)))
        outside, container, within = host
        for pid, words in (
            (outside, f"link add h0 type veth peer name eth0 netns {container}"),
            (container, "link add docker0 type bridge"),
            (container, f"link add veth1 type veth peer name eth0 netns {within}"),
            (container, "link set veth1 master docker0"),
            (outside, "addr add 10.9.0.1/24 dev h0"),
            (outside, "link set h0 up"),
            (outside, "route add 10.9.1.0/24 via 10.9.0.2"),
            (container, "addr add 10.9.0.2/24 dev eth0"),
            (container, "addr add 10.9.1.1/24 dev docker0"),
            *((container, f"link set {name} up") for name in ("lo", "eth0", "docker0", "veth1")),
            (within, "addr add 10.9.1.2/24 dev eth0"),
            (within, "link set eth0 up"),
            (within, "route add default via 10.9.1.1"),
        ):
            host.run(pid, ip, *words.split(" "))
        host.run(container, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        yield host


def send(host: Host) -> None:
    """From within to outside."""
    command = [*enter(host.outside), sys.executable, "-c", RECEIVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        host.run(host.within, sys.executable, "-c", SEND)
        assert receiver.wait(30) == 0


def test_a_byte_is_counted_once(host: Host) -> None:
    """With its headers; each interface is told where it is wanted, and together they have three times that."""
    before = open_descriptors()
    networks = Networks(Descriptors(10), each_interface=True)
    networks.enter("job", host.container)
    networks.enter("within", host.within)
    networks.enter("in the same", host.container)
    send(host)
    traffic = networks.read("job")
    assert traffic.sent_bytes is not None
    assert traffic.received_bytes is not None
    assert SENT_BYTES <= traffic.sent_bytes < SENT_BYTES + NEIGHBOURS_BYTES
    assert RECEIVED_BYTES <= traffic.received_bytes < RECEIVED_BYTES + NEIGHBOURS_BYTES
    assert traffic.interfaces is not None
    every = sum(one.sent_bytes + one.received_bytes for one in traffic.interfaces)
    assert every > 2.9 * SENT_BYTES
    of_within = networks.read("within")
    assert of_within.sent_bytes is not None
    assert SENT_BYTES <= of_within.sent_bytes < SENT_BYTES + NEIGHBOURS_BYTES
    assert networks.read("in the same") == NO_TRAFFIC
    networks.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("interfaces", [1, 20, 30, 31, 32, 33, 40, 200])
def test_every_interface_is_read(interfaces: int) -> None:
    """The kernel gives a page at once, which ends in the middle of none."""
    require_root("making network namespaces")
    ip = require_command("ip")
    with namespace() as pid:
        commands = "".join(f"link add made{number:011} type bridge\n" for number in range(interfaces))
        subprocess.run([*enter(pid), ip, "-batch", "-"], input=commands, text=True, check=True)
        with open(f"/proc/{pid}/net/dev", "rb", buffering=0) as file:
            found = procfs.parse_interfaces(read_whole(file.fileno()))
        assert sum(one.name.startswith("made") for one in found) == interfaces
