"""The last reports of tasks that a runner has given up, until the forge has taken them or wants them no more."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from jobmeter.gateway.faults import fault_of
from jobmeter.gateway.forges.port import Call
from jobmeter.gateway.keeping.files import make_folder, remove, write_whole
from jobmeter.ops.log import FullLog, Log

QUIET_SECONDS = 30.0
"""A runner that tries again itself pauses no longer."""
KEPT_SECONDS = 24 * 3600.0
MAX_TASKS = 1000
MAX_BYTES = 256 * 1024 * 1024
"""So much all logs that are kept may have together; without its log a task's result is kept still."""
_NAME = re.compile(r"\d{1,20}")

_KINDS: tuple[Literal["log"], Literal["state"]] = ("log", "state")
Verdict = Literal["taken", "closed", "later", "away"]
"""The forge has it; wants it no more; did not take it this time; cannot be asked now, for no task."""


class Final(Struct, kw_only=True):
    """The last reports of one task, in the order in which they are told.

    ``since`` is when the first one was kept, ``at`` when one was tried last, both in seconds since the epoch.
    """

    task_id: str
    since: float
    at: float
    log: Call | None = None
    state: Call | None = None

    @property
    def calls(self) -> list[Call]:
        """Those that are left."""
        return [call for call in (self.log, self.state) if call is not None]


class Spool:
    """Finals in ``folder``, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, log: Log) -> list[Final]:
        """Those that a former process has left. Raises OSError."""
        make_folder(self._folder)
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Final))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                log.warn("a report that was kept cannot be read and is dropped", file=str(path))
                remove(path)
        return found

    def write(self, final: Final) -> None:
        """Raises OSError."""
        write_whole(self._path(final.task_id), msgspec.json.encode(final))

    def drop(self, task_id: str) -> None:
        """Raises OSError."""
        remove(self._path(task_id))

    def _path(self, task_id: str) -> Path:
        if not _NAME.fullmatch(task_id):
            raise OSError(0, "a task's id is no number")
        return self._folder / f"{task_id}.json"


class Finals:
    """Delivers what runners have given up, one task after the other; to be ``run``.

    ``send`` tells the forge one call of a task. Without a spool they are kept in memory alone.
    """

    def __init__(
        self,
        spool: Spool | None,
        send: Callable[[str, Call], Awaitable[Verdict]],
        log: FullLog,
        *,
        quiet_seconds: float = QUIET_SECONDS,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._spool = spool
        self._send = send
        self._log = log
        self._quiet_seconds = quiet_seconds
        self._wall = wall
        self._kept: dict[str, Final] = {}
        self._unwritten: set[str] = set()
        self._dropped: set[str] = set()
        self._news = asyncio.Event()

    @property
    def waiting(self) -> list[str]:
        """The ids of the tasks whose last reports are kept."""
        return list(self._kept)

    def holds(self, task_id: str, kind: Literal["log", "state"]) -> bool:
        """Whether this report of a task is kept."""
        final = self._kept.get(task_id)
        return final is not None and getattr(final, kind) is not None

    def restore(self) -> None:
        """Take over what a former process has left. Raises OSError."""
        if self._spool is not None:
            self._kept = {final.task_id: final for final in self._spool.read(self._log)}
        if self._kept:
            self._log.info("last reports of a former process are told to the forge", count=len(self._kept))

    def keep(self, task_id: str, *, log: Call | None = None, state: Call | None = None) -> None:
        """The forge has not taken this; the newest of each kind is kept."""
        if task_id not in self._kept and len(self._kept) >= MAX_TASKS:
            self._log.warn("too many last reports are kept; one more is not", task=task_id)
            return
        if log is not None and not self._has_room(task_id, log):
            self._log.warn("too much of last logs is kept; one more is not", task=task_id)
            log = None
        if log is None and state is None:
            return
        final = self._kept.setdefault(task_id, Final(task_id=task_id, since=self._wall(), at=0.0))
        final.at = self._wall()
        for kind, call in zip(_KINDS, (log, state), strict=True):
            if call is not None and getattr(final, kind) is None:
                self._log.info(f"the last {kind} of a job is kept until the forge takes it", task=task_id)
        final.log, final.state = log or final.log, state or final.state
        self._unwritten.add(task_id)
        self._news.set()

    def _has_room(self, task_id: str, log: Call) -> bool:
        others = (final.log for final in self._kept.values() if final.task_id != task_id)
        return len(log.body) + sum(len(other.body) for other in others if other is not None) <= MAX_BYTES

    def taken(self, task_id: str, kind: Literal["log", "state"]) -> None:
        """The runner itself has brought it to the forge."""
        final = self._kept.get(task_id)
        if final is not None and getattr(final, kind) is not None:
            self._log.info(f"the last {kind} of a job was brought by its runner after all", task=task_id)
            self._let_go(final, kind)

    def _let_go(self, final: Final, kind: Literal["log", "state"]) -> None:
        """The forge has it, or does not want it."""
        setattr(final, kind, None)
        if final.calls:
            self._unwritten.add(final.task_id)
            self._news.set()
        else:
            self.drop(final.task_id)

    def drop(self, task_id: str) -> None:
        """Nobody wants it any more."""
        if self._kept.pop(task_id, None) is not None:
            self._unwritten.discard(task_id)
            self._dropped.add(task_id)
            self._news.set()

    async def run(self) -> None:
        """Until this is cancelled."""
        while True:
            await self.write()
            await self._deliver()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._quiet_seconds / 4 if self._kept else None):
                    await self._news.wait()

    async def write(self) -> None:
        """Put on disk what is new."""
        self._news.clear()
        while self._unwritten or self._dropped:
            try:
                if self._unwritten:
                    final = self._kept[self._unwritten.pop()]
                    if self._spool is not None:
                        await asyncio.to_thread(self._spool.write, msgspec.structs.replace(final))
                else:
                    task_id = self._dropped.pop()
                    if self._spool is not None and task_id not in self._kept:
                        await asyncio.to_thread(self._spool.drop, task_id)
            except OSError as error:
                self._log.warn("a last report cannot be kept on disk", error=error.strerror)

    async def _deliver(self) -> None:
        due = self._wall() - self._quiet_seconds
        for final in [final for final in self._kept.values() if final.at <= due]:
            if final.since <= self._wall() - KEPT_SECONDS:
                self._log.warn(
                    "a last report is given up, the forge was away for too long", task=final.task_id
                )
                self.drop(final.task_id)
            elif not await self._deliver_one(final):
                # The forge is away for all of them, or only says so for this one: the next one is the first now.
                if (kept := self._kept.pop(final.task_id, None)) is not None:
                    self._kept[final.task_id] = kept
                return

    async def _sent(self, task_id: str, call: Call) -> Verdict:
        try:
            return await self._send(task_id, call)
        except Exception as error:
            # Whatever it is: those of other tasks are told all the same.
            self._log.warn("a last report was not told by a fault of ours", task=task_id, **fault_of(error))
            return "later"

    async def _deliver_one(self, final: Final) -> bool:
        """Tell the forge of one task, in order; False if it is away."""
        for kind in _KINDS:
            call: Call | None = getattr(final, kind)
            if call is None:
                continue
            verdict = await self._sent(final.task_id, call)
            if verdict == "away":
                return False
            if verdict == "later":
                final.at = self._wall()
                return True
            if verdict == "closed":
                self._log.warn(
                    f"the last {kind} of a job was dropped: the forge does not want it", task=final.task_id
                )
            if verdict == "taken":
                self._log.info(f"the last {kind} of a job was delivered for its runner", task=final.task_id)
            if self._kept.get(final.task_id) is final and getattr(final, kind) is call:
                self._let_go(final, kind)
        return True
