"""The gateway's side of keepers: has them started by the starter, and watches their folders."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence

import msgspec

from jobmeter.model.errors import LaunchError
from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper import records
from jobmeter.supervise.keeper.end import Ended, Kept
from jobmeter.supervise.keeper.grounds import find_grounds
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.start import MAX_MESSAGE_BYTES
from jobmeter.supervise.keeper.starting import Starting, StartLost
from jobmeter.supervise.keeper.task_cgroup import clear, names_of
from jobmeter.supervise.keeper.want import want_of

START_SECONDS = 30.0
_ROOM_SECONDS = 0.01
# What a starter is given of our environment: secrets are in the rest.
_PASSED_ON = frozenset(
    {"PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {one for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for one in (name, name.upper())}
)


class _StarterGone(Exception):
    """It ended before it answered."""


class RealKeepers:
    """Those of this machine. ``command`` runs a starter; its last word is the number of its socket's descriptor."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._starter: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._under_way: set[str] = set()
        self._sending = asyncio.Lock()

    async def start(self, spec: Spec) -> Kept:
        """As Keepers has it."""
        message = msgspec.msgpack.encode(spec)
        if len(message) > MAX_MESSAGE_BYTES:
            raise LaunchError(
                f"command and environment of the runner are longer than {MAX_MESSAGE_BYTES} bytes"
            )
        if spec.name in self._under_way:
            raise LaunchError(f"the task {spec.task_id} is being started already")
        self._under_way.add(spec.name)
        try:
            for _ in range(2):
                with contextlib.suppress(_StarterGone):
                    return await self._start(spec, message)
        finally:
            self._under_way.discard(spec.name)
        raise LaunchError("the process that starts runners ends again and again")

    def open(self) -> None:
        """Start the starter, so that the first task does not wait for it."""
        if self._connection is not None:
            return
        if self._starter is not None:  # It is gone, or as good as gone without its socket.
            self._starter.kill()
            self._starter.wait()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            environ = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
            self._starter = subprocess.Popen(
                [*self._command, str(theirs.fileno())], env=environ, stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self._connection = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hang_up)  # It says nothing: it is gone.

    def kept(self, folder: str) -> Kept | None:
        """As Keepers has it."""
        return records.read_kept(folder)

    def alive(self, kept: Kept) -> bool:
        """As Keepers has it."""
        return records.is_alive(kept)

    def end(self, folder: str) -> Ended | None:
        """As Keepers has it."""
        return records.read_end(folder)

    def overdue(self, folder: str) -> bool:
        """As Keepers has it."""
        return records.is_overdue(folder)

    def want(self, kept: Kept) -> str | None:
        """As Keepers has it."""
        return want_of(kept)

    async def ended(self, folder: str) -> Ended | None:
        """As Keepers has it."""
        lifeline = records.open_lifeline(folder)
        if lifeline is not None:
            try:
                # The pipe tells only of a keeper that goes after it was opened.
                kept = records.read_kept(folder)
                if records.read_end(folder) is None and kept is not None and records.is_alive(kept):
                    await _readable(lifeline)
            finally:
                os.close(lifeline)
        ended = records.read_end(folder)
        if ended is None:
            await self.gone(folder)  # Who is killed closes its pipe some moments before.
        return ended

    async def gone(self, folder: str) -> str | None:
        """As Keepers has it."""
        kept = records.read_kept(folder)
        if kept is not None:
            with contextlib.suppress(ProcessLookupError):
                process = os.pidfd_open(kept.pid)
                try:
                    if records.is_alive(kept):
                        await _readable(process)
                finally:
                    os.close(process)
        return records.read_complaint(folder)

    def stop(self, kept: Kept) -> None:
        """As Keepers has it."""
        records.send_signal(kept.pid, kept.start_ticks, signal.SIGTERM)

    async def clear(self, name: str, kept: Kept | None = None) -> tuple[Survivor, ...]:
        """As Keepers has it."""
        return await asyncio.to_thread(clear, name, kept.cgroups if kept is not None else {})

    def left(self, prefix: str) -> list[str]:
        """As Keepers has it."""
        return names_of(find_grounds(), prefix)

    async def close(self) -> None:
        """As Keepers has it."""
        starter, self._starter = self._starter, None
        self._hang_up()
        if starter is not None:
            await asyncio.to_thread(starter.wait)

    async def _start(self, spec: Spec, message: bytes) -> Kept:
        """One try. Whatever fails: no process of it lives, and its place is clean."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.setblocking(False)
            starting = Starting(spec, ours)
            try:
                async with asyncio.timeout(START_SECONDS):
                    with theirs:
                        await self._send(message, theirs)
                    return await starting.kept()
            except TimeoutError:
                if not starting.begun:
                    self._drop_starter()
                await starting.end()
                raise LaunchError(f"the runner was not started within {START_SECONDS:.0f} s") from None
            except StartLost:
                if not starting.begun:
                    raise _StarterGone from None
                await starting.end()
                raise LaunchError("what keeps the runner was killed before it had started it") from None

    async def _send(self, message: bytes, end: socket.socket) -> None:
        """Hand a start to the starter."""
        async with self._sending:
            self.open()
            while True:
                try:
                    assert self._connection is not None
                    socket.send_fds(self._connection, [message], [end.fileno()])
                    return
                except BlockingIOError:
                    await asyncio.sleep(_ROOM_SECONDS)
                    self.open()
                except OSError:
                    self._hang_up()  # Before it was read that nobody is there any more.
                    raise _StarterGone from None

    def _drop_starter(self) -> None:
        """It does not work: what it has not begun never comes true."""
        if self._starter is not None:
            self._starter.kill()
        self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            asyncio.get_running_loop().remove_reader(connection.fileno())
            connection.close()


async def _readable(fd: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
