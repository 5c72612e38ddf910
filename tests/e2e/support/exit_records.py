"""The kernel's exit records, read by the tests themselves: an account of CPU time that needs no cgroup and no /proc.

The records of one job are told from all others by a user id that nothing else runs under. Needs root and the
initial pid namespace, and the standard library alone, so that it also works in the guest of `support.vm`.
Layout: Documentation/accounting/taskstats-struct.rst.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

GENERIC_NETLINK = 16
CONTROLLER, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
GET, REGISTER_CPUS = 1, 3
STATS, AGGREGATE = 3, 4
REQUEST, ACKNOWLEDGE = 1, 4
HEADERS = 20
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 8 << 20

RUN_NS = (72, "Q")
USER_ID = (120, "I")
PID = (128, "I")
TICKS_USEC = (152, "QQ")
THREAD_GROUP = (368, "I")


@dataclass(frozen=True)
class Record:
    """What the kernel said of one task at its end: by the scheduler's clock, and by sampled ticks."""

    pid: int
    process: int
    user_id: int
    run_seconds: float
    tick_seconds: float


def unused_user_id() -> int:
    """A user id that no account of this machine has."""
    return random.randrange(300_000, 2_000_000)


class ExitRecords:
    """Collects the records of all tasks that end under `user_id` until `stop`."""

    def __init__(self, user_id: int) -> None:
        self._user_id = user_id
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC_NETLINK)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.bind((0, 0))
        self._family = self._find_family()
        cpus = f"0-{(os.cpu_count() or 1) - 1}\0".encode()
        self._ask(self._family, GET, _attribute(REGISTER_CPUS, cpus), REQUEST | ACKNOWLEDGE)
        self.records: list[Record] = []
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    @property
    def run_seconds(self) -> float:
        """CPU time of all tasks by the scheduler's clock."""
        return sum(record.run_seconds for record in self.records)

    @property
    def tick_seconds(self) -> float:
        """CPU time of all tasks by sampled ticks, which the kernel calls utime and stime."""
        return sum(record.tick_seconds for record in self.records)

    @property
    def processes(self) -> int:
        """How many processes ended."""
        return len({record.process for record in self.records})

    def stop(self) -> None:
        """Take what has arrived and stop listening."""
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _collect(self) -> None:
        import select

        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._socket.fileno() in ready:
                self._take(self._socket.recv(65536))
            elif self._ended in ready:
                return

    def _take(self, message: bytes) -> None:
        for kind, payload in _attributes(message[HEADERS:]):
            if kind == AGGREGATE:
                stats = dict(_attributes(payload))[STATS]
                if _field(stats, USER_ID)[0] == self._user_id:
                    self.records.append(_record(stats))

    def _find_family(self) -> int:
        reply = self._ask(CONTROLLER, GET_FAMILY, _attribute(FAMILY_NAME, b"TASKSTATS\0"), REQUEST)
        return int.from_bytes(dict(_attributes(reply[HEADERS:]))[FAMILY_ID][:2], "little")

    def _ask(self, family: int, command: int, attribute: bytes, flags: int) -> bytes:
        body = struct.pack("=BBH", command, 1, 0) + attribute
        self._socket.send(struct.pack("=IHHII", 16 + len(body), family, flags, 1, 0) + body)
        reply = self._socket.recv(65536)
        kind, (code,) = struct.unpack_from("=H", reply, 4)[0], struct.unpack_from("=i", reply, 16)
        if kind == 2 and code:
            raise OSError(-code, os.strerror(-code))
        return reply


def _record(stats: bytes) -> Record:
    user, system = _field(stats, TICKS_USEC)
    return Record(
        pid=_field(stats, PID)[0],
        process=_field(stats, THREAD_GROUP)[0],
        user_id=_field(stats, USER_ID)[0],
        run_seconds=_field(stats, RUN_NS)[0] / 1e9,
        tick_seconds=(user + system) / 1e6,
    )


def _field(stats: bytes, place: tuple[int, str]) -> tuple[int, ...]:
    return struct.unpack_from(f"={place[1]}", stats, place[0])


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
