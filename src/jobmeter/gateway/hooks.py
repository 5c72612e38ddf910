"""Tasks as others hear of them: scripts that listen at the gateway's hook socket, and daemons that it announces to."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from jobmeter.gateway.figures.events import Event, Identity, TaskBegan, TaskEnded
from jobmeter.identity.containers import bounded_job
from jobmeter.model.errors import JobmeterError
from jobmeter.model.job import Job
from jobmeter.ops.hooks.client import Announcer
from jobmeter.ops.hooks.events import TaskEvent, completed, moment
from jobmeter.ops.hooks.server import HookServer
from jobmeter.ops.log import FullLog

END_SECONDS = 3.0
"""So long the end of a task waits for its last sample, and no longer."""
MAX_TASKS = 10_000


class TaskHooks(Protocol):
    """Is told of tasks by whoever runs them."""

    def task_started(self, task: TaskEvent) -> None:
        """A task runs; returns at once."""
        ...

    async def task_ending(self, task: TaskEvent) -> bool:
        """Before a task is ended: return when its last sample is taken, or after a short time; whether it was taken."""
        ...


class Hooks:
    """TaskHooks of a gateway. It tells during its ``life``, in which it is used; ``announce`` are paths of sockets."""

    def __init__(
        self, announce: Sequence[str], log: FullLog, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._server = HookServer(self, log)
        self._announcers = [Announcer(path, log) for path in announce]
        self._running: dict[tuple[str, str], TaskEvent] = {}
        self._ended: dict[tuple[str, str], datetime | None] = {}
        """When those had started whose end was passed on: two gateways may announce to each other."""

    @asynccontextmanager
    async def life(self, listening: socket.socket | None) -> AsyncIterator[None]:
        """Tell who listens at that socket, if there is one, and those to whom is announced."""
        async with AsyncExitStack() as stack:
            if listening is not None:
                await stack.enter_async_context(self._server.life(listening))
            for announcer in self._announcers:
                await stack.enter_async_context(_at_work(announcer))
            yield

    def task_started(self, task: TaskEvent) -> None:
        """A task runs; told again it may be better known."""
        task = replace(task, job=bounded_job(task.job), time=task.time or moment(self._clock()))
        if self._running.get(task.key) == task:
            return
        self._running[task.key] = task
        self._ended.pop(task.key, None)
        if len(self._running) > MAX_TASKS:
            del self._running[next(iter(self._running))]
        self._server.tell(task)
        for announcer in self._announcers:
            announcer.started(task)

    async def task_ending(self, task: TaskEvent) -> bool:
        """Whether all who are announced to have acted upon it, within END_SECONDS."""
        task = self._ending(task)
        acting = [announcer.ended(task, END_SECONDS) for announcer in self._announcers]
        acted = all(await asyncio.gather(*acting))
        if not acted:
            self._ended.pop(task.key, None)  # It may be announced once more.
        return acted

    def task_passed(self, task: TaskEvent) -> None:
        """It has ended where nobody can wait: its last report has passed."""
        task = self._ending(task)
        for announcer in self._announcers:
            announcer.ending(task)

    def _ending(self, task: TaskEvent) -> TaskEvent:
        task = replace(task, event="on_task_destroy", job=bounded_job(task.job), time=moment(self._clock()))
        known = self._running.pop(task.key, None)
        if known is not None:
            task = completed(task, known)
        self._ended[task.key] = known.time if known is not None else None
        if len(self._ended) > MAX_TASKS:
            del self._ended[next(iter(self._ended))]
        self._server.tell(task)
        return task

    # --- what clients of the socket ask for and announce

    def present(self) -> Iterable[TaskEvent]:
        """Tasks that run."""
        return list(self._running.values())

    async def started(self, task: TaskEvent) -> None:
        """Somebody else runs a task: it is passed on, unless it comes back to us after its end."""
        if task.time is None or self._ended.get(task.key) != task.time:
            self.task_started(task)

    async def ending(self, task: TaskEvent) -> None:
        """It ends. Raises JobmeterError where not all have acted upon it; nothing if its end was passed on."""
        if task.key in self._ended:
            return
        if not await self.task_ending(task):
            raise JobmeterError(
                "not all to whom it is announced have acted upon it; the gateway's log says why"
            )


class RelayedTasks:
    """Tells ``hooks`` of the tasks of one forge, whose reports pass: of its ``kind``, at ``server_url``."""

    def __init__(self, hooks: Hooks, kind: str, server_url: str) -> None:
        self._hooks = hooks
        self._unnamed = Job(forge=kind, server_url=server_url)
        self._running: dict[str, TaskEvent] = {}

    def tell(self, identity: Identity, event: Event) -> None:
        """Something happened to a runner."""
        if isinstance(event, TaskBegan):
            self._began(identity, event)
        elif isinstance(event, TaskEnded):
            task = self._running.pop(event.task_id, None)
            if task is not None:
                self._hooks.task_passed(task)

    def _began(self, identity: Identity, event: TaskBegan) -> None:
        job = event.job or replace(self._unnamed, runner=identity.name)
        time = moment(event.at) if event.at is not None else None
        task = TaskEvent(event="on_task_started", task_id=event.task_id, time=time, job=job)
        self._running[event.task_id] = task
        if len(self._running) > MAX_TASKS:
            del self._running[next(iter(self._running))]
        self._hooks.task_started(task)


@asynccontextmanager
async def _at_work(announcer: Announcer) -> AsyncIterator[None]:
    running = asyncio.create_task(announcer.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait((running,))
