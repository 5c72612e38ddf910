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
from jobmeter.supervise.keeper.server import MAX_MESSAGE_BYTES, Answer
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.task_cgroup import TaskCgroup, names_of

START_SECONDS = 30.0
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
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._sending = asyncio.Lock()

    async def start(self, spec: Spec) -> Kept:
        """As Keepers has it."""
        message = msgspec.msgpack.encode(spec)
        if len(message) > MAX_MESSAGE_BYTES:
            raise LaunchError(
                f"command and environment of the runner are longer than {MAX_MESSAGE_BYTES} bytes"
            )
        if spec.name in self._waiting:
            raise LaunchError(f"the task {spec.task_id} is being started already")
        for _ in range(2):
            with contextlib.suppress(_StarterGone):
                answer = await self._ask(spec.name, message)
                if answer.kept is None:
                    raise LaunchError(answer.refusal or "it was not started")
                return answer.kept
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
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)

    def kept(self, folder: str) -> Kept | None:
        """As Keepers has it."""
        return records.read_kept(folder)

    def alive(self, kept: Kept) -> bool:
        """As Keepers has it."""
        return records.is_alive(kept)

    def end(self, folder: str) -> Ended | None:
        """As Keepers has it."""
        return records.read_end(folder)

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
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(kept.pid)
            try:
                if records.is_alive(kept):
                    signal.pidfd_send_signal(process, signal.SIGTERM)
            finally:
                os.close(process)

    async def clear(self, name: str, kept: Kept | None = None) -> tuple[Survivor, ...]:
        """As Keepers has it."""
        return await asyncio.to_thread(_clear, name, kept)

    def left(self, prefix: str) -> list[str]:
        """As Keepers has it."""
        return names_of(find_grounds(), prefix)

    async def close(self) -> None:
        """As Keepers has it."""
        starter, self._starter = self._starter, None
        self._hang_up()
        if starter is not None:
            await asyncio.to_thread(starter.wait)

    async def _ask(self, name: str, message: bytes) -> Answer:
        self.open()
        assert self._connection is not None
        loop = asyncio.get_running_loop()
        waiting = self._waiting[name] = loop.create_future()
        try:
            async with self._sending:
                await loop.sock_sendall(self._connection, message)
            return await asyncio.wait_for(waiting, START_SECONDS)
        except TimeoutError:
            raise LaunchError(f"the runner was not started within {START_SECONDS:.0f} s") from None
        except OSError:
            waiting.cancel()
            self._hang_up()  # Before it was read that nobody is there any more.
            raise _StarterGone from None
        finally:
            del self._waiting[name]

    def _read(self) -> None:
        """Take an answer, or that the starter is gone: no keeper that has not answered holds the socket then."""
        assert self._connection is not None
        try:
            message = self._connection.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._hang_up()
            return
        answer = msgspec.msgpack.decode(message, type=Answer)
        waiting = self._waiting.get(answer.name)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            asyncio.get_running_loop().remove_reader(connection.fileno())
            connection.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_StarterGone())


def _clear(name: str, kept: Kept | None) -> tuple[Survivor, ...]:
    grounds = find_grounds()
    found = TaskCgroup.find(grounds, name)
    before = {one: path for one, path in (kept.cgroups if kept else {}).items() if os.path.isdir(path)}
    cgroup = TaskCgroup({**before, **found.directories}, grounds.tops)
    survivors = cgroup.survivors()
    if not cgroup.end():
        left = ", ".join(f"{one.name} ({one.pid})" for one in cgroup.survivors())
        raise LaunchError(f"processes of {name} do not end: {left}")
    if still := cgroup.remove():
        raise LaunchError(f"the cgroup {still[0]} cannot be removed")
    return survivors


async def _readable(fd: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
