"""Exit records: the kernel's account of every task that ends, however short it lived.

Generic netlink family TASKSTATS (Documentation/accounting/taskstats.rst, linux/taskstats.h). It needs
CAP_NET_ADMIN and the initial pid namespace, and Linux 5.17 (version 12 of the struct) for the id of
the thread group.
"""

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator

from jobmeter.model.errors import KernelFormatError, SourceUnavailable
from jobmeter.model.readings import ExitRecord

_NETLINK_GENERIC = 16
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY = 16, 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_TASKSTATS_CMD_GET, _CMD_ATTR_REGISTER_CPUMASK = 1, 3
_TYPE_STATS, _TYPE_AGGR_PID = 3, 4
_NLMSG_ERROR = 2
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_HEADERS_BYTES = 20  # nlmsghdr and genlmsghdr
_MIN_VERSION = 12
_AGROUP = 0x20
# Offsets in struct taskstats, the same since the version that added each field.
_COMM = slice(80, 112)
_FLAG_OFFSET = 8
_RUN_OFFSET = 72
_PIDS = struct.Struct("=II")
_PIDS_OFFSET = 128
_TIMES = struct.Struct("=QQ")
_TIMES_OFFSET = 152
_HIGH_WATER_OFFSET = 200
_IO_OFFSET = 248
_TGID_OFFSET = 368
_MIN_BYTES = 384
_RECEIVE_BYTES = 65536
_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; it advances with the scheduler's tick
TICK_SECONDS = time.clock_getres(_CLOCK_MONOTONIC_COARSE)
# Some 20,000 records may wait for a tick; memory is used only for those that do.
_BUFFER_BYTES = 32 * 1024 * 1024
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; needs CAP_NET_ADMIN, as the records do


def parse_exit_records(message: bytes, tick_seconds: float = TICK_SECONDS) -> Iterator[ExitRecord]:
    """The records of one netlink datagram; raises KernelFormatError for a struct that is too old or cut."""
    for kind, payload in _attributes(message[_HEADERS_BYTES:]):
        if kind != _TYPE_AGGR_PID:
            continue
        for inner, stats in _attributes(payload):
            if inner == _TYPE_STATS:
                yield _record(stats, tick_seconds)


def _record(stats: bytes, tick_seconds: float) -> ExitRecord:
    version = int.from_bytes(stats[:2], sys.byteorder)
    if len(stats) < _MIN_BYTES or version < _MIN_VERSION:
        raise KernelFormatError(
            f"exit records need Linux 5.17: version {version} of {len(stats)} bytes is too old"
        )
    pid, parent_pid = _PIDS.unpack_from(stats, _PIDS_OFFSET)
    user, system = _times(stats, tick_seconds)
    read_bytes, write_bytes = _TIMES.unpack_from(stats, _IO_OFFSET)
    return ExitRecord(
        pid=pid,
        tgid=struct.unpack_from("=I", stats, _TGID_OFFSET)[0],
        parent_pid=parent_pid,
        name=stats[_COMM].split(b"\0", 1)[0].decode("utf-8", "replace"),
        user_seconds=user,
        system_seconds=system,
        certain_seconds=struct.unpack_from("=Q", stats, _RUN_OFFSET)[0] / 1e9,
        high_water_bytes=struct.unpack_from("=Q", stats, _HIGH_WATER_OFFSET)[0] * 1024,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        lifetime_seconds=struct.unpack_from("=Q", stats, _TGID_OFFSET + 8)[0] / 1e6,
        last_of_group=bool(stats[_FLAG_OFFSET] & _AGROUP),
    )


def _times(stats: bytes, tick_seconds: float) -> tuple[float, float]:
    """User and system time, adjusted to what the scheduler says, as the kernel does for /proc.

    Both are sampled at ticks: right on average, by chance for one task. The scheduler's own clock is exact but
    stands at the last tick or switch, so that the truth lies at most one tick above it.
    """
    user, system = (usec / 1e6 for usec in _TIMES.unpack_from(stats, _TIMES_OFFSET))
    ran = struct.unpack_from("=Q", stats, _RUN_OFFSET)[0] / 1e9
    sampled = user + system
    total = min(max(sampled, ran), ran + tick_seconds) if ran else sampled
    return (total, 0.0) if not sampled else (total * user / sampled, total * system / sampled)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size or offset + length > len(data):
            raise KernelFormatError("a netlink attribute is longer than its message")
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3


class ExitRecords:
    """Listens for the exit records of the whole machine. Raises SourceUnavailable where it may not."""

    def __init__(self, possible_cpus: str = "/sys/devices/system/cpu/possible") -> None:
        """``possible_cpus`` is the file that lists the CPUs to listen on."""
        self.lost = 0
        try:
            with open(possible_cpus) as file:
                cpus = file.read().strip()
        except OSError as error:
            raise SourceUnavailable(f"exit records need {possible_cpus}: {error.strerror}") from None
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC
            )
        except OSError as error:
            raise SourceUnavailable(_reason(error)) from None
        try:
            # Beyond net.core.rmem_max, which holds the records of some 300 tasks only.
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            self._socket.bind((0, 0))
            family = self._ask_family()
            register = _attribute(_CMD_ATTR_REGISTER_CPUMASK, cpus.encode() + b"\0")
            self._request(family, _TASKSTATS_CMD_GET, register, _NLM_F_REQUEST | _NLM_F_ACK)
            self._check_version(family)
        except OSError as error:
            self._socket.close()
            raise SourceUnavailable(_reason(error)) from None
        except KernelFormatError as error:
            self._socket.close()
            raise SourceUnavailable(str(error)) from None
        except SourceUnavailable:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The socket's descriptor, for select."""
        return self._socket.fileno()

    def read(self) -> list[ExitRecord]:
        """All records that have arrived; ``lost`` counts the times the kernel had to drop some."""
        records: list[ExitRecord] = []
        while True:
            try:
                records.extend(parse_exit_records(self._socket.recv(_RECEIVE_BYTES)))
            except BlockingIOError:
                return records
            except (OSError, KernelFormatError):
                self.lost += 1
                if self.lost > 1000:
                    return records

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _ask_family(self) -> int:
        name = _attribute(_CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0")
        reply = self._request(_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, name, _NLM_F_REQUEST)
        for kind, value in _attributes(reply[_HEADERS_BYTES:]):
            if kind == _CTRL_ATTR_FAMILY_ID:
                return int.from_bytes(value[:2], sys.byteorder)
        raise SourceUnavailable("exit records: the kernel was built without taskstats")

    def _check_version(self, family: int) -> None:
        ask = _attribute(1, struct.pack("=I", os.getpid()))
        reply = self._request(family, _TASKSTATS_CMD_GET, ask, _NLM_F_REQUEST)
        list(parse_exit_records(reply))

    def _request(self, family: int, command: int, attributes: bytes, flags: int) -> bytes:
        body = struct.pack("=BBH", command, 1, 0) + attributes
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), family, flags, 1, 0) + body)
        while True:
            reply = self._socket.recv(_RECEIVE_BYTES)
            _, kind, _, sequence, _ = _HEADER.unpack_from(reply)
            if sequence != 1:
                continue  # A record of a task that ended meanwhile.
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", reply, _HEADER.size)[0]
                if code:
                    raise OSError(code, errno.errorcode.get(code, "error"))
            return reply


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + b"\0" * (-length % 4)


def _reason(error: OSError) -> str:
    reasons = {
        errno.EPERM: "exit records need CAP_NET_ADMIN",
        errno.EINVAL: "exit records need the initial pid namespace (the host's)",
        errno.ENOENT: "the kernel was built without taskstats",
        errno.EPROTONOSUPPORT: "the kernel was built without generic netlink",
    }
    return reasons.get(error.errno or 0, f"exit records cannot be read: {error.strerror}")
