"""A poller between a forge and work that do as they are told, in simulated time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from jobmeter.gateway.figures.events import Fetched, Waiting
from jobmeter.gateway.forges.port import Empty, Outcome, Task, Tasks
from jobmeter.gateway.polling.backoff import Backoff, Pace
from jobmeter.gateway.polling.book import SlotBook
from jobmeter.gateway.polling.loop import Poller, Standing
from jobmeter.gateway.polling.port import Availability, Fetcher, Idle, TaskRunner
from jobmeter.gateway.polling.slots import Ended, Slots
from tests.gateway.polling.simulated import now

NEVER = 1e9
STEADY = Pace(2.0, 2.0)


def task(task_id: object) -> Task:
    """A task with no content."""
    return Task(id=str(task_id), body=b"", encoding="proto")


def tasks(*task_ids: object, version: int = 0) -> Tasks:
    """An answer with these tasks."""
    return Tasks(tasks=tuple(map(task, task_ids)), tasks_version=version)


class Messages:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.warned: list[dict[str, object]] = []

    def warn(self, message: str, **fields: object) -> None:
        self.warned.append({"message": message, **fields})

    @property
    def texts(self) -> list[object]:
        return [one["message"] for one in self.warned]


class Request(NamedTuple):
    """One request for tasks, as the forge saw it."""

    at: float
    slots: int | None
    tasks_version: int


class Forge:
    """Gives these answers, one each time, and then that there is nothing; an exception is raised."""

    def __init__(self, answers: Iterable[Outcome | BaseException] = (), takes: float = 0.0) -> None:
        self.answers = deque(answers)
        self.takes = takes
        self.requests: list[Request] = []
        self.under_way = self.most_under_way = self.broken_off = 0

    @property
    def times(self) -> list[float]:
        """When it was asked, to the millisecond."""
        return [round(request.at, 3) for request in self.requests]

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        self.requests.append(Request(now(), slots, tasks_version))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        finally:
            self.under_way -= 1
        answer = self.answers.popleft() if self.answers else Empty()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Work:
    """Does each task for some time; reports a cancellation for ``reports`` seconds; or takes no notice of it."""

    def __init__(self, takes: float = NEVER, reports: float = 0.0, *, deaf: bool = False) -> None:
        self.takes = takes
        self.reports = reports
        self.deaf = deaf
        self.begun: list[str] = []
        self.done: list[str] = []
        self.cancelled: list[str] = []
        self.concurrent = self.most_concurrent = 0

    async def run(self, task: Task) -> None:
        self.begun.append(task.id)
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            await self._work(now() + self.takes)
            self.done.append(task.id)
        except asyncio.CancelledError:
            await asyncio.sleep(self.reports)
            self.cancelled.append(task.id)
            raise
        finally:
            self.concurrent -= 1

    async def _work(self, until: float) -> None:
        while now() < until:
            try:
                await asyncio.sleep(until - now())
            except asyncio.CancelledError:
                if not self.deaf:
                    raise


class Rig:
    """One poller and all around it; without jitter, and unless told otherwise without back-off and losses."""

    def __init__(
        self,
        forge: Fetcher,
        work: TaskRunner,
        capacity: int | None = 1,
        *,
        pace: Pace = STEADY,
        availability: Availability | None = None,
        idle: Idle | None = None,
        tell: Callable[[Fetched | Waiting], None] | None = None,
        once: bool = False,
        lost_after: float = NEVER,
    ) -> None:
        self.told: list[Fetched | Waiting] = []
        self.ended: list[Ended] = []
        self.log = Messages()
        self.book = SlotBook(Slots(capacity, lost_after), self.ended.append, now)
        self.poller = Poller(
            forge,
            work,
            self.book,
            Backoff(pace, lambda span: span // 2),
            tell=tell or self._keep,
            log=self.log,
            availability=availability,
            idle=idle,
            once=once,
            clock=now,
        )

    def start(self) -> None:
        self.poller.start()

    def standing(self) -> Standing:
        """A function, as it changes between two lines of a test."""
        return self.poller.standing

    @property
    def why(self) -> list[tuple[str, str]]:
        """Which slots have ended, and why."""
        return [(one.holder.task_id, one.why) for one in self.ended]

    def _keep(self, event: Fetched | Waiting) -> None:
        if isinstance(event, Fetched) and event.seconds is not None:
            event = Fetched(event.outcome, round(event.seconds, 3))
        self.told.append(event)
