"""Marks: a job says where a section begins; who meters it takes a sample at that moment and answers.

Datagrams on a Unix socket, named in the abstract namespace (unix(7)) as ``@name``, or by a path.
"""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from typing import NamedTuple

SOCKET_VARIABLE = "JOBMETER_MARK_SOCKET"
MAX_NAME_CHARACTERS = 100
# Each mark takes a sample: more of them than this are not heard.
MAX_MARKS = 1000
_MAX_AT_ONCE = 20
_MAX_DATAGRAM = 4 * MAX_NAME_CHARACTERS
_ANSWER_SECONDS = 0.5
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7)


def clean_name(name: str) -> str:
    """A mark's name as it is kept: one line, no control characters, bounded."""
    printable = "".join(one if one.isprintable() else " " for one in name)
    return " ".join(printable.split())[:MAX_NAME_CHARACTERS]


class Sender(NamedTuple):
    """Who has sent a mark, by the kernel's word; it may have ended since. ``pid`` is 0 for one that we cannot see."""

    pid: int
    uid: int


class MarkListener:
    """Hears marks. ``address`` is ``@name`` or the path of a socket that is made here.

    With ``admit`` only those of whom it says so; all others are as if they had sent nothing.
    """

    def __init__(self, address: str, admit: Callable[[Sender], bool] | None = None) -> None:
        """Raises OSError when the address cannot be taken."""
        self.address = address
        self._admit = admit
        self._taken = 0
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            if not address.startswith("@"):
                _remove_socket(address)
            if admit is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind(_kernel_address(address))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Readable when a mark has arrived."""
        return self._socket.fileno()

    def read(self) -> list[tuple[str, str | bytes | None]]:
        """The marks that have arrived: cleaned name and whom to answer."""
        marks: list[tuple[str, str | bytes | None]] = []
        for _ in range(_MAX_AT_ONCE):
            try:
                data, told, _, sender = self._socket.recvmsg(
                    _MAX_DATAGRAM, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except OSError:
                return marks
            if self._admit is not None and not self._admit(_sender_of(told)):
                continue
            name = clean_name(data.decode("utf-8", "replace"))
            self._taken += 1
            if name and self._taken <= MAX_MARKS:
                marks.append((name, sender))
        return marks

    def answer(self, sender: str | bytes | None) -> None:
        """Tell the sender that its mark was taken."""
        if sender:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"ok", sender)

    def close(self) -> None:
        """Close and take the path away."""
        self._socket.close()
        if not self.address.startswith("@"):
            _remove_socket(self.address)


def _sender_of(told: list[tuple[int, int, bytes]]) -> Sender:
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack_from(data)
            return Sender(pid, uid)
    raise AssertionError("the kernel tells of every sender")


def _remove_socket(path: str) -> None:
    """Only a socket is ours to remove."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)


def send_mark(address: str, name: str) -> bool:
    """Set a mark and wait a moment for the answer; False when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.bind("")  # The kernel picks an abstract address, to which the answer goes.
            sender.settimeout(_ANSWER_SECONDS)
            sender.sendto(name.encode()[:_MAX_DATAGRAM], _kernel_address(address))
            sender.recv(16)
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def _kernel_address(address: str) -> str | bytes:
    return b"\0" + address[1:].encode() if address.startswith("@") else address
