"""Announcing tasks to a daemon with a hook socket. It never fails, and delays nobody for longer than it was told."""

import asyncio
import os
import random
import time
from collections import deque
from contextlib import suppress

from msgspec.structs import replace

from jobmeter.model.errors import UsageError
from jobmeter.ops.hooks.events import TaskEvent, read_answer, write_line
from jobmeter.ops.log import FullLog, Sparing

ANSWER_SECONDS = 5.0
"""A daemon that has not answered for so long is taken to be stuck: it is asked anew over another connection."""
MAX_RUNNING = 10_000
MAX_WAITING = 20_000
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 15.0


class _Said:
    """One announcement; ``done`` is true once it was acted upon, ``at`` is when it was sent."""

    def __init__(self, event: TaskEvent) -> None:
        self.event = event
        self.at = 0.0
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def is_end(self) -> bool:
        """Of a task."""
        return self.event.event == "on_task_destroy"

    def settle(self, ok: bool) -> None:
        """Nobody needs to wait for it any more."""
        if not self.done.done():
            self.done.set_result(ok)


class Announcer:
    """Tells the daemon at ``path`` of tasks while ``run`` lasts; for the event loop's thread.

    A daemon that comes, or comes again, is told of all tasks that run. An end that nobody could be told of is told
    when someone is there, as it may know of the task.
    """

    def __init__(self, path: str, log: FullLog, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.path = path
        self._log = log
        self._sparing = Sparing(log)
        self._answer_seconds = answer_seconds
        self._running: dict[tuple[str, str], TaskEvent] = {}
        self._waiting: deque[_Said] = deque()
        self._asked: deque[_Said] = deque()
        self._news = asyncio.Event()
        self._away: str | None = None

    def started(self, task: TaskEvent) -> None:
        """Tell of it as soon as that can be done; returns at once."""
        if task.key not in self._running and len(self._running) >= MAX_RUNNING:
            del self._running[next(iter(self._running))]
        self._running[task.key] = task
        self._say(task)

    def ending(self, task: TaskEvent) -> None:
        """Tell that it is about to end; returns at once."""
        self._end(task)

    async def ended(self, task: TaskEvent, seconds: float) -> bool:
        """Tell that it is about to end, and wait until that was acted upon, but not longer: whether it was."""
        said = self._end(task)
        if self._away is None:
            await asyncio.wait((said.done,), timeout=seconds)
        return said.done.done() and said.done.result()

    async def run(self) -> None:
        """Keep the connection up until this is cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            why = "it has closed the connection"
            try:
                if await self._connected():
                    pause = _FIRST_PAUSE_SECONDS
            except (OSError, UsageError, ValueError) as error:
                why = _reason(error)
            self._lost(why)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _end(self, task: TaskEvent) -> _Said:
        self._running.pop(task.key, None)
        return self._say(task if task.event == "on_task_destroy" else replace(task, event="on_task_destroy"))

    def _say(self, event: TaskEvent) -> _Said:
        said = _Said(event)
        if self._away is not None and not said.is_end:
            return said  # Who comes is told of all that run.
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft().settle(False)
        self._waiting.append(said)
        self._news.set()
        return said

    # --- one connection

    async def _connected(self) -> bool:
        """Say what there is to say until the connection ends; whether any of it was acted upon."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        self._greet()
        hearing = asyncio.create_task(self._hear(reader))
        try:
            while not hearing.done():
                self._write(writer)
                await self._wait(hearing)
            return await hearing
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError, OSError, UsageError, ValueError):
                await hearing
            writer.transport.abort()

    def _greet(self) -> None:
        """One that was away is told of all that runs, after the ends that wait."""
        if self._away is not None:
            self._log.info("who is told of tasks is there again", socket=self.path)
            self._waiting.extend(map(_Said, self._running.values()))
            self._away = None

    def _write(self, writer: asyncio.StreamWriter) -> None:
        self._news.clear()
        while self._waiting:
            said = self._waiting.popleft()
            said.at = time.monotonic()
            writer.write(write_line(said.event))
            self._asked.append(said)

    async def _wait(self, hearing: "asyncio.Task[bool]") -> None:
        """For something to say, or the end of the connection. Raises TimeoutError when no answer comes."""
        left = None
        if self._asked:
            left = self._asked[0].at + self._answer_seconds - time.monotonic()
            if left <= 0:
                raise TimeoutError
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait((news, hearing), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _hear(self, reader: asyncio.StreamReader) -> bool:
        heard = False
        while line := await reader.readline():
            answer = read_answer(line)
            if not self._asked:
                raise UsageError(answer.error or "it answers what was not asked")
            said = self._asked.popleft()
            heard = heard or answer.ok
            said.settle(answer.ok)
            if not answer.ok:
                self._refused(said, answer.error)
        return heard

    def _refused(self, said: _Said, why: str | None) -> None:
        self._sparing.warn(
            "what was announced of a task was not done",
            task=said.event.task_id,
            announced=said.event.event,
            socket=self.path,
            error=why,
        )

    def _lost(self, why: str) -> None:
        """Ends that were not answered are said again; nobody waits for that."""
        ends = [said for said in (*self._asked, *self._waiting) if said.is_end]
        for said in ends:
            said.settle(False)
        self._asked.clear()
        self._waiting = deque(ends)
        if self._away is None:
            self._log.warn(
                "nobody can be told of tasks; those that run are told once it is there",
                socket=self.path,
                error=why,
            )
        self._away = why


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "it does not answer"
        case FileNotFoundError():
            return "there is no socket"
        case PermissionError():
            return "Permission denied; it is for the account that serves it, and for root"
        case OSError() if error.errno is not None:
            return os.strerror(error.errno)
    return str(error)
