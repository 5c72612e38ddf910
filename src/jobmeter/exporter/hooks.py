"""The exporter's side of its hook socket: takes the last sample of a task, and tells of containers as they are read."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain

from msgspec.structs import replace

from jobmeter.exporter import evidence
from jobmeter.exporter.announced import Announcements
from jobmeter.exporter.container import Row
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.hooks.events import ContainerEvent, ContainerWord, Event, TaskEvent, Used, moment
from jobmeter.ops.hooks.server import HookServer
from jobmeter.ops.log import Log, Sparing

_LOOK_SECONDS = 0.1
_UNNAMED_SECONDS = 1.0
"""So long a container is not told of that may soon be known by its job."""
_EXPIRE_SECONDS = 10.0


class _Told:
    """A container as it was seen last: since when it has been, and which of its events were told."""

    def __init__(self, row: Row, since: float) -> None:
        self.row = row
        self.since = since
        self.started = False
        self.ended = False


class Comings:
    """Compares the containers that are shown with those that were: which have come, and which have ended."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._shown: Sequence[Row] = ()
        self._untold = False

    def look(self, rows: Sequence[Row], now: float) -> Iterator[ContainerEvent]:
        """What has happened since the last look; ``now`` is by a clock that nobody sets."""
        if rows is self._shown and not self._untold:
            return
        self._untold = False
        yield from self._gone(rows)
        for row in rows:
            told = self._told.get(row.path)
            if told is None or (told.row.ended is not None and row.ended is None):
                told = self._told[row.path] = _Told(row, now)
            elif told.row is row and told.started:
                continue
            told.row = row
            yield from self._news(told, now)
        self._shown = rows

    def present(self) -> Iterator[ContainerEvent]:
        """Those that have come and have not ended, as they are known now."""
        there = [told.row for told in self._told.values() if told.started and not told.ended]
        return (_event("container_started", row, self._clock()) for row in there)

    def _news(self, told: _Told, now: float) -> Iterator[ContainerEvent]:
        row = told.row
        if not told.started:
            if not row.identity.resolved and now - told.since < _UNNAMED_SECONDS:
                self._untold = True
                return
            yield _event("container_started", row, self._clock())
            told.started = True
        if row.ended is not None and not told.ended:
            yield _event("container_ended", row, self._clock())
            told.ended = True

    def _gone(self, rows: Sequence[Row]) -> Iterator[ContainerEvent]:
        """Another has the path, nobody tells of it any more, or there is no room to show what has ended."""
        there = {row.path: row.number for row in rows}
        for path, told in list(self._told.items()):
            if there.get(path) != told.row.number:
                del self._told[path]
                yield from self._end(told)

    def _end(self, told: _Told) -> Iterator[ContainerEvent]:
        if told.ended:
            return
        if not told.started:
            yield _event("container_started", told.row, self._clock())
        yield _event("container_ended", told.row, self._clock())


class ExporterHooks:
    """Serves the socket over the ``rows`` that are shown and the tasks that are ``announced``.

    ``sample`` reads everything once more, and says whether it could; ``root`` is /proc.
    """

    def __init__(
        self,
        rows: Callable[[], Sequence[Row]],
        sample: Callable[[], Awaitable[bool]],
        announced: Announcements,
        log: Log,
        *,
        root: str = "/proc",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = rows
        self._sample = sample
        self._announced = announced
        self._root = root
        self._clock = clock
        self._comings = Comings(clock)
        self._log = Sparing(log)
        self._server = HookServer(self, log)

    @asynccontextmanager
    async def life(self, listening: socket.socket) -> AsyncIterator[None]:
        """Answer and tell while this lasts."""
        async with self._server.life(listening):
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.wait((watching,))

    def present(self) -> Iterator[Event]:
        """Tasks that run, then containers."""
        self._look()
        return chain(self._announced.running(), self._comings.present())

    async def started(self, task: TaskEvent) -> None:
        """From now on it names its containers."""
        around = evidence.container_of(self._root, task.pid) if task.pid is not None else None
        self._server.tell(self._announced.start(task, around))

    async def ending(self, task: TaskEvent) -> None:
        """Take the last sample of its containers."""
        self._server.tell(_now(self._announced.known(task), self._clock()))
        sampled = await self._sample()
        self._announced.end(task)
        if not sampled:
            raise JobmeterError("the last sample could not be taken in time; the exporter's /readyz says why")

    async def _watch(self) -> None:
        expire_at = 0.0
        while True:
            self._look()
            if time.monotonic() >= expire_at:
                self._announced.expire()
                expire_at = time.monotonic() + _EXPIRE_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        try:
            for event in self._comings.look(self._rows(), time.monotonic()):
                self._server.tell(event)
        except Exception as error:  # A fault of ours must not end the telling for good.
            self._log.warn("what has happened to containers could not be told", error=repr(error))


def _now(task: TaskEvent, now: float) -> TaskEvent:
    return task if task.time is not None else replace(task, time=moment(now))


def _event(word: ContainerWord, row: Row, now: float) -> ContainerEvent:
    """A container at this time; of one that nobody has seen ending, that is its end."""
    ended = row.ended if row.ended is not None or word == "container_started" else now
    account, identity = row.account, row.identity
    return ContainerEvent(
        event=word,
        time=moment(now),
        id=row.id,
        name=row.name,
        engine=row.engine,
        image=identity.image,
        parent=row.parent,
        machine=row.machine,
        runtime=row.runtime,
        cgroup=None if row.machine else row.path,
        started=moment(row.started) if row.started is not None else None,
        ended=moment(ended) if ended is not None else None,
        task_id=identity.task_id,
        attribution=identity.attribution,
        job=identity.job,
        used=Used(**{name: getattr(account, name) for name in Used.__struct_fields__}),
    )
