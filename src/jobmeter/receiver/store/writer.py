"""The one writer: a thread that commits many submissions at once.

A submission is acknowledged when the commit it is in has reached the disk. While one commit waits for the disk
the next ones gather, so that their number per commit grows with the load.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from jobmeter.model.errors import StoreError
from jobmeter.receiver.store.backend import Judgement, backend_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.errors import Locked
from jobmeter.receiver.store.summaries import NewSummary

MAX_QUEUED = 4096
MAX_QUEUED_BYTES = 32 * 1024 * 1024
_MAX_BATCH = 256
_LONG_SECONDS = 10.0


class QueueFull(StoreError):
    """More is waiting to be stored than memory is given to."""


class Change(Protocol):
    """Something to store in the writer's transaction."""

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        ...

    def apply(self, connection: Connection, now: int) -> Any:
        """Store it and give the result; ``now`` is in milliseconds since 1970.

        A StoreError that it raises is its result; what it stored before that would stay, so it looks first.
        """
        ...


class Observer(Protocol):
    """Is told of every commit."""

    def __call__(self, changes: int, seconds: float) -> None:
        """So many changes took so long, the disk included."""
        ...


class _Trial:
    """Whether anything can be changed."""

    size = 0

    def apply(self, connection: Connection, now: int) -> None:
        connection.exec_driver_sql(backend_of(connection).trial)


class _Waiting(NamedTuple):
    since: float
    change: NewSummary | Change
    future: "asyncio.Future[Any]"


class Writer:
    """Stores what it is given, in the order it was given; one per database and process."""

    def __init__(self, database: Database, observer: Observer | None = None) -> None:
        self._backend = database.backend
        self._observer = observer
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued_since: deque[float] = deque()
        self._queued_bytes = 0
        self._failure: str | None = None
        self._locked: Locked | None = None
        self._locked_since = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._closing = False
        self._connection: Connection | None = None

    @property
    def queued(self) -> int:
        """How many changes wait, those of the commit under way included."""
        return len(self._queued_since)

    def trouble(self) -> str | None:
        """Why nothing can be stored now, as far as is known; for the event loop, as ``submit`` is.

        After a failure this asks the thread to try again: nobody may send to a receiver that is in trouble.
        """
        if not self._thread.is_alive():
            return "the writer does not run"
        try:
            self._backend.check_in_place()
        except StoreError as error:
            return str(error)
        if self._queued_since and time.monotonic() - self._queued_since[0] > _LONG_SECONDS:
            return f"a change has waited for more than {_LONG_SECONDS:.0f} s to be stored"
        if self._failure is not None and not self._queued_since and not self._closing:
            self.submit(_Trial()).add_done_callback(asyncio.Future.exception)
        return self._failure

    def start(self) -> None:
        """Begin to work for the running event loop, which is the only one that may submit."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, change: NewSummary | Change) -> "asyncio.Future[Any]":
        """The result, once it is on disk. Raises QueueFull; the future raises StoreError and what ``apply`` raised."""
        assert self._loop is not None
        if self._closing or self.queued >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES:
            raise QueueFull("more is waiting to be stored than there is room for")
        now = time.monotonic()
        self._queued_since.append(now)
        self._queued_bytes += change.size
        future = self._loop.create_future()
        self._queue.put(_Waiting(now, change, future))
        return future

    async def close(self) -> None:
        """Take nothing more, commit what waits, end the thread; twice is safe."""
        self._closing = True
        if self._thread.ident is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        assert self._loop is not None
        going = True
        while going:
            batch, going = self._gather()
            if not batch:
                continue
            results = self._results(batch)
            self._loop.call_soon_threadsafe(self._answer, batch, results)
        if self._connection is not None:
            self._connection.close()

    def _gather(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        try:
            waiting = self._queue.get()
            while waiting is not None:
                batch.append(waiting)
                if len(batch) == _MAX_BATCH:
                    return batch, True
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _results(self, batch: Sequence[_Waiting]) -> list[Any]:
        """The result of each; who has waited all the time that another's lock was waited for is told of it at once."""
        told = sum(waiting.since < self._locked_since for waiting in batch)
        results: list[Any] = [self._locked] * told
        if told < len(batch):
            begun = time.monotonic()
            results += self._commit([waiting.change for waiting in batch[told:]])
            self._observe(len(batch) - told, time.monotonic() - begun)
            if isinstance(results[-1], Locked):
                self._locked, self._locked_since = results[-1], begun
        return results

    def _observe(self, changes: int, seconds: float) -> None:
        if self._observer is not None:
            with contextlib.suppress(Exception):  # Nothing would be stored any more without this thread.
                self._observer(changes, seconds)

    def _commit(self, changes: Sequence[NewSummary | Change]) -> list[Any]:
        """The result of each; an error is one."""
        try:
            self._backend.check_in_place()
            return self._stored(changes)
        except StoreError as error:
            self._failure = str(error)
            return [error for _ in changes]
        except Exception as error:
            judgement = self._backend.judge(error)
            if len(changes) == 1 or (judgement and judgement.concerns_all):
                return [self._failed(error, judgement) for _ in changes]
        return self._commit_each(changes)

    def _commit_each(self, changes: Sequence[NewSummary | Change]) -> list[Any]:
        """One of them has spoilt it for all: each in a commit of its own."""
        results: list[Any] = []
        for change in changes:
            try:
                results += self._stored([change])
            except Exception as error:
                judgement = self._backend.judge(error)
                if judgement and judgement.concerns_all:
                    return results + [self._failed(error, judgement) for _ in changes[len(results) :]]
                results.append(self._failed(error, judgement))
        return results

    def _stored(self, changes: Sequence[NewSummary | Change]) -> list[Any]:
        """The results, once all of them are on disk in one commit; what came between is tried again.

        Whatever is stored twice is stored once, so that this may follow a commit whose answer did not come.
        """
        try:
            return self._stored_once(changes)
        except Exception as error:
            judgement = self._backend.judge(error)
            if judgement is None or not (
                judgement.clash or (judgement.stale and self._connection is not None)
            ):
                raise
            if judgement.stale:
                self._let_go()
        return self._stored_once(changes)

    def _stored_once(self, changes: Sequence[NewSummary | Change]) -> list[Any]:
        # Kept from commit to commit: to take one from the pool takes as long as to store a summary.
        if self._connection is None or self._connection.invalidated:
            self._connection = self._backend.writer.connect()
        ids = self._inserted_alone(self._connection, changes)
        if ids is not None:
            results: list[Any] = list(ids)
        else:
            with self._connection.begin():
                results = self._apply_all(self._connection, changes)
        self._failure = None
        return results

    def _let_go(self) -> None:
        """Of the connection, which is of no more use."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _inserted_alone(
        self, connection: Connection, changes: Sequence[NewSummary | Change]
    ) -> Sequence[int] | None:
        summaries = [change for change in changes if isinstance(change, NewSummary)]
        if len(summaries) < len(changes):
            return None
        return self._backend.insert_alone(connection, summaries, _now())

    def _apply_all(self, connection: Connection, changes: Sequence[NewSummary | Change]) -> list[Any]:
        now = _now()
        summaries = [change for change in changes if isinstance(change, NewSummary)]
        ids = iter(self._backend.store_summaries(connection, summaries, now) if summaries else ())
        return [
            next(ids) if isinstance(change, NewSummary) else _apply(change.apply, connection, now)
            for change in changes
        ]

    def _failed(self, error: Exception, judgement: Judgement | None) -> Exception:
        """An error of the database as one of ours."""
        if judgement is None:
            return error
        self._failure = str(judgement.error)
        return judgement.error

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[Any]) -> None:
        for waiting, result in zip(batch, results, strict=True):
            self._queued_since.popleft()
            self._queued_bytes -= waiting.change.size
            if waiting.future.done():
                continue  # Who asked has gone.
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)


def _now() -> int:
    return int(time.time() * 1000)


def _apply(apply: Callable[[Connection, int], Any], connection: Connection, now: int) -> Any:
    try:
        return apply(connection, now)
    except StoreError as error:
        return error
