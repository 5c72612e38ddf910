"""One start, by a socket between the gateway and the keeper: nothing of it comes true that the gateway does not know.

The keeper says that it is there, then that all is ready, and starts the runner when it is told to go on; who has given
up a start, or is gone, never says so. What the keeper forks has its end too until that has become the runner, in the
task's cgroup: once the gateway reads the end of the socket, all that may still run of the start is in that cgroup.
"""

import contextlib
import os
import socket

import msgspec
from msgspec import Struct

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper.end import Kept

MAX_MESSAGE_BYTES = 128 * 1024
"""The kernel takes a message of such a socket whole or not at all, and of this size always."""

GO = b"go"


class Answer(Struct, frozen=True, kw_only=True):
    """What a keeper tells: that it is there; with ``kept``, that all is ready; that it ``started``; or a refusal.

    ``pid`` and ``start_ticks`` are the keeper's. After a refusal nothing is left.
    """

    pid: int = 0
    start_ticks: int = 0
    kept: Kept | None = None
    started: bool = False
    refusal: str | None = None


class Start:
    """The keeper's side."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def here(self) -> None:
        """Nothing is made before. Raises LaunchError where nobody wants it any more."""
        pid = os.getpid()
        self._tell(Answer(pid=pid, start_ticks=own_start_ticks(pid) or 0))

    def ready(self, kept: Kept) -> None:
        """Wait until the runner may be started. Raises LaunchError where the start was given up."""
        self._tell(Answer(kept=kept))
        try:
            word = self._connection.recv(len(GO))
        except OSError:
            word = b""
        if word != GO:
            raise LaunchError("the start was given up")

    def started(self) -> None:
        """The keeper goes on alone."""
        with contextlib.suppress(LaunchError):  # The next gateway reads what is in the folder.
            self._tell(Answer(started=True))
        self.close()

    def refuse(self, sentence: str) -> None:
        """There will be no runner; nothing is said once there is one."""
        with contextlib.suppress(LaunchError):
            self._tell(Answer(refusal=sentence))
        self.close()

    def close(self) -> None:
        """Say no more."""
        self._connection.close()

    def _tell(self, answer: Answer) -> None:
        try:
            self._connection.send(msgspec.msgpack.encode(answer))
        except OSError:
            raise LaunchError("the start was given up") from None
