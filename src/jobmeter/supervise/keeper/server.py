"""The starter: a process with everything imported that forks a keeper for each message, and holds no secret.

It has one thread, since a fork of several is unsafe, and ends when the gateway's end of the socket is closed. A
message is a Spec as msgpack, and with it comes the keeper's end of a socket of this start alone, by which it answers;
the socket keeps messages apart (SOCK_SEQPACKET).
"""

import gc
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.start import MAX_MESSAGE_BYTES, Start


def serve(connection: socket.socket, keep: Callable[[Spec, Start], None]) -> None:
    """Fork a keeper for each message, until there are no more; ``keep`` is its life."""
    connection.set_inheritable(False)  # It was handed to us over an exec; no runner gets it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for keepers.
    gc.collect()
    gc.freeze()  # What all keepers share is not looked through, and so not copied.
    while received := _received(connection):
        message, ends = received
        for end in ends:
            _fork(connection, Start(socket.socket(fileno=end)), message, keep)


def _received(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """The next message; None where the gateway is gone."""
    try:
        message, ends, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, 1)
    except ConnectionResetError:
        return None
    for end in ends:
        os.set_inheritable(end, False)  # recv_fds() takes flags, and does not use them.
    return (message, ends) if message else None


def _fork(
    connection: socket.socket, start: Start, message: bytes, keep: Callable[[Spec, Start], None]
) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        start.refuse(f"no process can be started: {error.strerror}")
        return
    if pid == 0:
        connection.close()
        _live(start, message, keep)
    start.close()  # Its end tells of the keeper's death.


def _live(start: Start, message: bytes, keep: Callable[[Spec, Start], None]) -> None:
    """Be a keeper, and end with it."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        try:
            start.here()
            keep(msgspec.msgpack.decode(message, type=Spec), start)
            code = 0
        except LaunchError as error:
            start.refuse(str(error))
        except Exception as error:
            start.refuse(f"a fault of ours: {error!r}")
    finally:
        os._exit(code)
