"""The gateway's side of one start: until its runner is there, or nothing is."""

import asyncio
import contextlib
import os
import signal
import socket

import msgspec

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.keeper import records
from jobmeter.supervise.keeper.end import Kept
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.start import GO, MAX_MESSAGE_BYTES, Answer
from jobmeter.supervise.keeper.task_cgroup import clear

_WITHDRAWAL_SECONDS = 2.0


class StartLost(Exception):
    """The keeper ended before it had started the runner, and without a word."""


class Starting:
    """The start that the other end of ``connection`` was sent for. ``begun``: there is, or was, a keeper."""

    def __init__(self, spec: Spec, connection: socket.socket) -> None:
        self._spec = spec
        self._connection = connection
        self._keeper: Answer | None = None
        self._kept: Kept | None = None

    @property
    def begun(self) -> bool:
        """Not before it is, anything is made for the task."""
        return self._keeper is not None

    async def kept(self) -> Kept:
        """Let the runner be started. Raises LaunchError where that is refused, StartLost."""
        loop = asyncio.get_running_loop()
        while (answer := await self._answer()) is not None:
            if answer.refusal is not None:
                raise LaunchError(answer.refusal)
            if answer.pid:
                self._keeper = answer
            if answer.kept is not None:
                self._kept = answer.kept
                with contextlib.suppress(OSError):  # Its death is read next.
                    await loop.sock_sendall(self._connection, GO)
            if answer.started and self._kept is not None:
                return self._kept
        raise StartLost

    async def end(self) -> None:
        """Have nothing of it live on, and leave nothing. Raises LaunchError where something resists."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        if self._keeper is not None:
            records.send_signal(self._keeper.pid, self._keeper.start_ticks, signal.SIGKILL)
        if not await self._is_over():
            await self._sweep()  # What has not become the runner is in the cgroup perhaps.
            await self._is_over()
        await self._sweep()

    async def _answer(self) -> Answer | None:
        """The next one; None at the end."""
        try:
            message = await asyncio.get_running_loop().sock_recv(self._connection, MAX_MESSAGE_BYTES)
        except OSError:
            return None
        return msgspec.msgpack.decode(message, type=Answer) if message else None

    async def _is_over(self) -> bool:
        """Wait a while for the end of all that was forked, whatever it still says."""
        try:
            async with asyncio.timeout(_WITHDRAWAL_SECONDS):
                while await self._answer() is not None:
                    pass
        except TimeoutError:
            return False
        return True

    async def _sweep(self) -> None:
        spec = self._spec
        other = records.read_kept(spec.folder)
        if other is not None and records.is_alive(other) and other.pid != getattr(self._keeper, "pid", None):
            return  # The task was started by somebody else, and runs.
        await asyncio.to_thread(clear, spec.name, self._kept.cgroups if self._kept is not None else {})
        records.discard(spec.folder)
        with contextlib.suppress(OSError):
            os.unlink(spec.journal)
