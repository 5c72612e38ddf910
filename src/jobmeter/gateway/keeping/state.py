"""The tasks, names and drains of one forge's runners in a file, written whenever one of them changes."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.port import Identity
from jobmeter.gateway.keeping.files import make_folder, write_whole
from jobmeter.gateway.relay.tasks import Known
from jobmeter.ops.log import Log

FILE = "state.json"


class State(Struct, kw_only=True):
    """What is known at one moment; of drained runners proof and key."""

    schema: Literal["jobmeter.gateway/1"] = "jobmeter.gateway/1"
    tasks: list[Known] = []
    names: list[Identity] = []
    drained: dict[str, str] = {}


class StateFile:
    """One forge's, in ``folder``."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._log = log

    def read(self) -> State:
        """What a former process has left; nothing of a file that is damaged, which is put aside. Raises OSError."""
        make_folder(self._folder)
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            aside = self._path.with_suffix(".damaged")
            os.replace(self._path, aside)
            self._log.warn("the state of a former process cannot be read and is put aside", file=str(aside))
            return State()

    def write(self, state: State) -> None:
        """Raises OSError."""
        write_whole(self._path, msgspec.json.encode(state))


class Keeper:
    """Has ``write`` put what ``snapshot`` gives on disk, one after the other, after each change; to be ``run``."""

    def __init__(self, snapshot: Callable[[], State], write: Callable[[State], None], log: Log) -> None:
        self._snapshot = snapshot
        self._write = write
        self._log = log
        self._change = asyncio.Event()
        self._next: list[asyncio.Future[None]] = []
        self._current: list[asyncio.Future[None]] | None = None

    def changed(self) -> None:
        """There is something new."""
        self._change.set()

    async def kept(self) -> None:
        """Return when all that has changed until now is on disk, or could not be written."""
        waiting = self._next if self._change.is_set() else self._current
        if waiting is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(done)
        await done

    async def run(self) -> None:
        """Until this is cancelled."""
        while True:
            await self._change.wait()
            await self._write_once()

    async def close(self) -> None:
        """Write what is new a last time."""
        if self._change.is_set():
            await self._write_once()

    async def _write_once(self) -> None:
        self._change.clear()
        waiting, self._next = self._next, []
        self._current = waiting
        try:
            # Bodies and names are never changed in place, tasks are: they are copied here, before another turn.
            state = msgspec.structs.replace(self._snapshot())
            state.tasks = [msgspec.structs.replace(known) for known in state.tasks]
            await asyncio.to_thread(self._write, state)
        except Exception as error:
            # Whatever it is: those who wait must go on.
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            self._log.warn("what a restart needs cannot be written", error=reason)
        finally:
            self._current = None
            for done in waiting:
                with contextlib.suppress(asyncio.InvalidStateError):
                    done.set_result(None)
