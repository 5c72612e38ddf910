"""A link between this network namespace and another one, that a test can slow down and cut."""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from uuid import uuid4

from tests.e2e.support.components import require_command, require_root
from tests.e2e.support.network import namespace

_TUNSETIFF = 0x400454CA
_TUN_NO_HEADER = 0x1001
_MOST_BYTES = 65536
_LOOK_SECONDS = 0.05


class Wire:
    """Carries packets between two ends, each ``delay`` seconds later, or none while ``is_cut``."""

    def __init__(self, ends: tuple[int, int], here: str, there: str, inside: str) -> None:
        self.here, self.there, self.inside = here, there, inside
        """The addresses of both ends, and the namespace of the far one."""
        self.delay = 0.0
        self.is_cut = False
        self._to = dict(zip(ends, reversed(ends), strict=True))
        self._stopping = False
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    @property
    def enter(self) -> list[str]:
        """What comes before a command that shall run at the far end."""
        return ["nsenter", f"--net={self.inside}", "--"]

    def close(self) -> None:
        self._stopping = True
        self._thread.join()

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        numbers = count()
        while not self._stopping:
            left = waiting[0][0] - time.monotonic() if waiting else _LOOK_SECONDS
            ready, _, _ = select.select(list(self._to), [], [], max(0.0, min(left, _LOOK_SECONDS)))
            for end in ready:
                packet = os.read(end, _MOST_BYTES)
                if not self.is_cut:
                    heapq.heappush(
                        waiting, (time.monotonic() + self.delay, next(numbers), self._to[end], packet)
                    )
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                if not self.is_cut:
                    os.write(end, packet)


@contextmanager
def wired() -> Iterator[Wire]:
    """A new namespace at the far end of a wire."""
    require_root("a network device")
    ip, number = require_command("ip"), uuid4().int
    names = [f"jm{number % 10**8}{end}" for end in "ab"]
    addresses = [f"10.{96 + number % 8}.{number // 8 % 256}.{host}" for host in (1, 2)]
    with namespace() as inside:
        ends = tuple(map(_device, names))
        try:
            subprocess.run([ip, "link", "set", names[1], "netns", inside.rpartition("/")[2]], check=True)
            enters: tuple[list[str], list[str]] = ([], ["nsenter", f"--net={inside}", "--"])
            for enter, name, address in zip(enters, names, addresses, strict=True):
                for words in (["address", "add", f"{address}/24", "dev", name], ["link", "set", name, "up"]):
                    subprocess.run([*enter, ip, *words], check=True)
            subprocess.run([*enters[1], ip, "link", "set", "lo", "up"], check=True)
            wire = Wire((ends[0], ends[1]), addresses[0], addresses[1], inside)
            try:
                yield wire
            finally:
                wire.close()
        finally:
            for end in ends:
                os.close(end)


def _device(name: str) -> int:
    """A network device whose packets are read and written by the descriptor."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_NO_HEADER))
    return end
