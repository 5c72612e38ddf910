"""The daemon's side of a hook socket: tells listeners what happens, and takes what is announced.

Nobody who listens delays anybody: each has a bounded queue of its own, and is dropped when that is full.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.hooks.connection import Connection, Limits
from jobmeter.ops.hooks.events import MAX_LINE_BYTES, Answer, Event, Listen, TaskEvent, write_line
from jobmeter.ops.log import Log, Sparing

DEFAULT_LIMITS = Limits()


class Desk(Protocol):
    """Who knows what holds now, and acts upon what is announced."""

    def present(self) -> Iterable[Event]:
        """What runs: told first to who comes late. It may be gone through later, at the listener's pace."""
        ...

    async def started(self, task: TaskEvent) -> None:
        """Take a task; before anything is waited for. Raises JobmeterError with a sentence if it is not taken."""
        ...

    async def ending(self, task: TaskEvent) -> None:
        """Return once it may end. Raises JobmeterError with a sentence on what could not be done."""
        ...


class HookServer:
    """Serves the clients of one socket during its ``life``; for the event loop's thread."""

    def __init__(self, desk: Desk, log: Log, limits: Limits = DEFAULT_LIMITS) -> None:
        self._desk = desk
        self._log = Sparing(log)
        self._limits = limits
        self._clients: dict[asyncio.Task[None], Connection] = {}

    def tell(self, event: Event) -> None:
        """To all who want to hear it."""
        line = b""
        for client in self._clients.values():
            if event.event in client.words:
                line = line or write_line(event)
                if not client.take(line):
                    self._log.warn("a listener of the hooks does not read what it is told, and is dropped")

    @asynccontextmanager
    async def life(self, listening: socket.socket) -> AsyncIterator[None]:
        """Answer while this lasts."""
        server = await asyncio.start_unix_server(self._admit, sock=listening, limit=MAX_LINE_BYTES)
        try:
            yield
        finally:
            server.close()
            for serving in self._clients:
                serving.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            await server.wait_closed()

    def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= self._limits.clients:
            self._log.warn("a client of the hooks is refused: there are too many", most=self._limits.clients)
            writer.write(write_line(Answer(False, f"there are {self._limits.clients} clients already")))
            writer.close()
            return
        client = Connection(reader, writer, self._limits, self._log)
        serving = asyncio.create_task(client.serve(lambda said: self._hear(client, said)))
        self._clients[serving] = client
        serving.add_done_callback(lambda task: self._clients.pop(task, None))

    async def _hear(self, client: Connection, said: Listen | TaskEvent) -> None:
        if isinstance(said, Listen):
            client.listen(said.words, (one for one in self._desk.present() if one.event in said.words))
        else:
            await client.answer(self._act(said))

    async def _act(self, task: TaskEvent) -> Answer:
        try:
            await (self._desk.started(task) if task.event == "on_task_started" else self._desk.ending(task))
        except JobmeterError as error:
            return Answer(False, str(error))
        except Exception as error:
            self._log.warn("what was announced over the hooks failed by a fault of ours", error=repr(error))
            return Answer(False, "it failed by a fault of the daemon, whose log says more")
        return Answer(True)
