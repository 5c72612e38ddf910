"""The starter: a process with everything imported that forks a keeper for each message, and holds no secret.

It has one thread, since a fork of several is unsafe, and ends when the gateway's end of the socket is closed. A
message is a Spec as msgpack, an answer an Answer; the socket keeps them apart (SOCK_SEQPACKET).
"""

import gc
import os
import signal
import socket
from collections.abc import Callable

import msgspec
from msgspec import Struct

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper.end import Kept
from jobmeter.supervise.keeper.spec import Spec

MAX_MESSAGE_BYTES = 128 * 1024
"""The kernel takes a message of such a socket whole or not at all, and of this size always."""

Tell = Callable[["Answer"], None]


class Answer(Struct, frozen=True, kw_only=True):
    """What became of a start: either ``kept``, or why it did not come to one."""

    name: str
    kept: Kept | None = None
    refusal: str | None = None


def serve(connection: socket.socket, keep: Callable[[Spec, Tell], None]) -> None:
    """Fork a keeper for each message, until there are no more; ``keep`` is its life, and tells once."""
    connection.set_inheritable(False)  # It was handed to us over an exec; no runner gets it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for keepers.
    gc.collect()
    gc.freeze()  # What all keepers share is not looked through, and so not copied.
    while message := _received(connection):
        try:
            pid = os.fork()
        except OSError as error:
            name = msgspec.msgpack.decode(message, type=Spec).name
            _tell(connection, Answer(name=name, refusal=f"no process can be started: {error.strerror}"))
            continue
        if pid == 0:
            _live(connection, message, keep)


def _received(connection: socket.socket) -> bytes:
    """The next message; nothing where the gateway is gone."""
    try:
        return connection.recv(MAX_MESSAGE_BYTES)
    except ConnectionResetError:  # It was killed, and has not read all answers.
        return b""


def _live(connection: socket.socket, message: bytes, keep: Callable[[Spec, Tell], None]) -> None:
    """Be a keeper, and end with it."""
    code = 1
    told = False

    def tell(answer: Answer) -> None:
        nonlocal told
        told = True
        _tell(connection, answer)
        connection.close()

    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        spec = msgspec.msgpack.decode(message, type=Spec)
        try:
            keep(spec, tell)
            code = 0
        except LaunchError as error:
            tell(Answer(name=spec.name, refusal=str(error)))
        except Exception as error:
            if not told:
                tell(Answer(name=spec.name, refusal=f"a fault of ours: {error!r}"))
    finally:
        os._exit(code)


def _tell(connection: socket.socket, answer: Answer) -> None:
    try:
        connection.send(msgspec.msgpack.encode(answer))
    except OSError:
        return  # The gateway is gone; the next one reads what is in the folder.
