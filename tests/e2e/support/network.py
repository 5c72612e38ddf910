"""Bytes sent for certain: packets between a container and the machine's side of its link, as iptables counts them.

No interface's counters are looked at, which is what jobmeter reads. iptables counts what IP carries, in packets as
they pass through the kernel (of up to 64 KiB); an interface counts 14 bytes of Ethernet more for each.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from tests.e2e.support.components import require_command, require_root

PORT = 7433
ETHERNET_BYTES = 14
SERVE = """
import socket, sys
address, down = sys.argv[1], bytes(int(sys.argv[2]))
server = socket.create_server((address, int(sys.argv[3])))
print("ready", flush=True)
while True:
    with server.accept()[0] as client:
        client.sendall(down)
        while client.recv(1 << 20):
            pass
"""
"""Sends so many bytes to whoever connects, then takes what comes."""
TRANSFER = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[3]))) as server:
    left = int(sys.argv[2])
    while left:
        left -= len(server.recv(min(left, 1 << 20)))
    server.sendall(bytes(int(sys.argv[4])))
    server.shutdown(socket.SHUT_WR)
    server.recv(1)
"""
"""What a container runs: it takes so many bytes, then sends so many."""


class Traffic(NamedTuple):
    """Bytes that a container received and sent, with their Ethernet headers."""

    received: int
    sent: int


@dataclass(frozen=True)
class Link:
    """The machine's end of a link to containers: an interface in the network namespace at a path."""

    namespace: str
    interface: str

    @property
    def address(self) -> str:
        """Its own, as containers reach it."""
        (found,) = json.loads(
            _run(*self.command("ip", "-json", "-4", "address", "show", "dev", self.interface))
        )
        return str(found["addr_info"][0]["local"])

    def command(self, *words: str) -> list[str]:
        """`words` in that namespace."""
        return ["nsenter", f"--net={self.namespace}", *words]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what passes while it lasts."""
        rules = [("INPUT", "-i", self.interface), ("OUTPUT", "-o", self.interface)]
        for rule in rules:
            self._iptables("-I", *rule)
        try:
            yield
        finally:
            for rule in rules:
                self._iptables("-D", *rule)

    def traffic(self) -> Traffic:
        """What has passed since counting began."""
        table = self._iptables("-S", "-v")
        return Traffic(
            received=_bytes(rf"^-A OUTPUT -o {self.interface} -c (\d+) (\d+)$", table),
            sent=_bytes(rf"^-A INPUT -i {self.interface} -c (\d+) (\d+)$", table),
        )

    @contextmanager
    def server(self, down_bytes: int) -> Iterator[None]:
        """A peer of `TRANSFER`."""
        words = [sys.executable, "-c", SERVE, self.address, str(down_bytes), str(PORT)]
        process = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()
            process.communicate()

    def _iptables(self, *words: str) -> str:
        return _run(*self.command("iptables", "--wait", *words))


def _bytes(pattern: str, table: str) -> int:
    (found,) = re.findall(pattern, table, re.MULTILINE)
    packets, count = map(int, found)
    return count + packets * ETHERNET_BYTES


@contextmanager
def namespace() -> Iterator[str]:
    """The path of a new network namespace."""
    require_root("a network namespace")
    name = f"jobmeter-{uuid4().hex[:8]}"
    _run(require_command("ip"), "netns", "add", name)
    try:
        yield f"/run/netns/{name}"
    finally:
        _run("ip", "netns", "delete", name)


@contextmanager
def linked(inside: str) -> Iterator[Link]:
    """A link from a namespace of its own into the one at a path, as engines make them."""
    require_command("iptables")
    with namespace() as outside:
        far, near = Link(outside, "far"), Link(inside, "eth0")
        _run(
            *far.command("ip", "link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns", inside)
        )
        for end, address in ((far, "10.99.0.1/24"), (near, "10.99.0.2/24")):
            _run(*end.command("ip", "address", "add", address, "dev", end.interface))
            _run(*end.command("ip", "link", "set", end.interface, "up"))
        yield far


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
