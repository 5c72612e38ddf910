"""A daemon of the test with a hook socket, and clients that say anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.hooks.connection import Limits
from jobmeter.ops.hooks.door import hook_socket
from jobmeter.ops.hooks.events import Event, TaskEvent
from jobmeter.ops.hooks.server import HookServer

LISTEN = b'{"listen": []}\n'
STARTED = b'{"event": "on_task_started", "task_id": 12}\n'


class Notes:
    """A log that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str, **fields: object) -> None:
        self.said.append(message)

    def info(self, message: str, **fields: object) -> None:
        self.said.append(message)


class Desk:
    """Keeps what is announced; an end takes until ``sampled``, and is refused if there is a ``fault``."""

    def __init__(self) -> None:
        self.running: dict[tuple[str, str], TaskEvent] = {}
        self.heard: list[TaskEvent] = []
        self.sampled = asyncio.Event()
        self.sampled.set()
        self.fault: Exception | None = None

    def present(self) -> Iterable[Event]:
        return tuple(self.running.values())

    async def started(self, task: TaskEvent) -> None:
        self.heard.append(task)
        if self.fault is not None:
            raise self.fault
        self.running[task.key] = task

    async def ending(self, task: TaskEvent) -> None:
        self.heard.append(task)
        await self.sampled.wait()
        if self.fault is not None:
            raise self.fault
        if self.running.pop(task.key, None) is None:
            raise JobmeterError("nobody knows it")

    @property
    def words(self) -> list[tuple[str, str]]:
        """What was heard, in its order."""
        return [(task.event, task.task_id) for task in self.heard]


class Daemon:
    """One that serves."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.desk = Desk()
        self.notes = Notes()
        self.server = HookServer(self.desk, self.notes, limits)


@asynccontextmanager
async def serving(path: Path, limits: Limits = Limits()) -> AsyncIterator[Daemon]:  # noqa: B008 it is a tuple
    daemon = Daemon(path, limits)
    with hook_socket(str(path), "--hooks") as listening:
        async with daemon.server.life(listening):
            yield daemon


class Client:
    """Says lines, and reads those that come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, line: bytes) -> None:
        self.writer.write(line)

    async def hear(self) -> dict[str, Any]:
        """The next line; empty at the end, also where what we said was left unread."""
        try:
            async with asyncio.timeout(10):
                line = await self.reader.readline()
        except ConnectionResetError:
            line = b""
        return dict(json.loads(line)) if line else {}

    async def ask(self, line: bytes) -> dict[str, Any]:
        self.say(line)
        return await self.hear()


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def until(condition: Any) -> None:
    """It comes true, or the test fails."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
