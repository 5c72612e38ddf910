"""One loop per runner: a free slot, a use in asking, one request, a task handed over; or a wait."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Literal

from jobmeter.gateway.faults import is_cancelled
from jobmeter.gateway.figures.events import Fetched, Waiting
from jobmeter.gateway.forges.port import Empty, Failed, Outcome, Task, Tasks, TimedOut, Unauthenticated
from jobmeter.gateway.polling.backoff import Backoff
from jobmeter.gateway.polling.book import SlotBook
from jobmeter.gateway.polling.port import Availability, Fetcher, Idle, TaskRunner
from jobmeter.gateway.polling.slots import Holder
from jobmeter.ops.log import Log

Standing = Literal["full", "ready", "fetching", "resting", "ended"]
"""What the loop waits for: a slot, a use in asking, the forge's answer, the end of the back-off; nothing any more."""

Tell = Callable[[Fetched | Waiting], None]


class Poller:
    """Asks for tasks of one runner, never twice at a time, and has them run.

    ``book`` is shared with whoever hears of the tasks' reports. ``tell`` is told of each request and of new waits.
    ``once``: end after the first answer with a task.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        runner: TaskRunner,
        book: SlotBook,
        backoff: Backoff,
        *,
        tell: Tell,
        log: Log,
        availability: Availability | None = None,
        idle: Idle | None = None,
        once: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._runner = runner
        self._book = book
        self._backoff = backoff
        self._tell = tell
        self._log = log
        self._availability = availability
        self._idle = idle
        self._once = once
        self._clock = clock
        self._tasks_version = 0
        self._does: Literal["ready", "fetching", "resting"] = "ready"
        self._stopping = self._cancelling = self._silent = False
        self._loop: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Holder] = {}
        self.unregistered: str | None = None
        """The forge's sentence when it does not know the runner (any more); the loop has ended then."""
        self.trouble: str | None = None
        """Why the last answer was none, until the forge is heard of; its silence changes nothing here."""

    @property
    def standing(self) -> Standing:
        """What the loop does now."""
        if self._stopping or (self._loop is not None and self._loop.done()):
            return "ended"
        return "full" if self._does == "ready" and self._book.slots.full else self._does

    @property
    def left(self) -> list[str]:
        """The ids of the tasks that are being run."""
        return [holder.task_id for holder in self._running.values()]

    @property
    def held(self) -> list[str]:
        """The ids of the tasks that hold a slot, also of those that nobody here runs."""
        return list(self._book.slots.held)

    @property
    def over(self) -> bool:
        """Whether nothing is asked and nothing run (any more)."""
        return not self._running and (self._loop is None or self._loop.done())

    def start(self) -> None:
        """Begin to ask."""
        self._loop = asyncio.create_task(self._poll(), name="poller")

    def stop_asking(self) -> None:
        """Send no new request. One under way is let finish, and a task in its answer is run."""
        self._stopping = True
        if self._loop is not None and self._does != "fetching":
            self._loop.cancel()

    def answered(self) -> None:
        """The forge is heard of again, by whatever it was asked."""
        self.trouble = None

    def cancel(self) -> None:
        """Break off all, a request under way too; a task that comes even so begins, and is cancelled at once."""
        if self._cancelling:  # A second time would break off the report of a task that it is cancelled.
            return
        self._stopping = self._cancelling = True
        for task in (self._loop, *self._running):
            if task is not None:
                _cancel(task)

    async def finished(self) -> None:
        """Wait until it is over."""
        if self._loop is not None:
            await asyncio.wait({self._loop})
        while self._running:
            await asyncio.wait(self._running)

    async def quiet(self) -> None:
        """Wait until it is over and no slot held: a task that was adopted is run by nobody here."""
        await self.finished()
        await self._book.empty()

    async def _poll(self) -> None:
        while not self._stopping:
            try:
                begun = await self._turn()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    return
                # A fault of ours must not leave the runner without tasks.
                self._log.warn("asking for a job failed by a fault of ours", fault=_fault(error))
                self._backoff.failed()
                begun = False
            if not (begun or self._stopping):
                await self._rest()

    async def _turn(self) -> bool:
        """One request, as soon as there is a slot and a use in it; True if there need be no wait after it."""
        self._does = "ready"
        await self._book.free()
        if self._availability is not None:
            await self._availability.available()
            if self._book.slots.full:  # By a task of which nobody knew.
                return True
        self._does = "fetching"
        begun = self._clock()
        outcome = await self._fetch()
        self._tasks_version = _version_after(self._tasks_version, outcome)
        return self._consider(outcome, self._clock() - begun)

    async def _fetch(self) -> Outcome:
        try:
            slots = 1 if self._once else self._book.slots.free
            return await self._fetcher.fetch(slots, self._tasks_version)
        except asyncio.CancelledError:
            # If it is not we who are cancelled, something within the request was.
            self._stopping = self._stopping or is_cancelled()
            return Failed(sentence="the request was broken off", code="canceled")
        except Exception as error:
            self._log.warn("a request for a job failed by a fault of ours", fault=_fault(error))
            return Failed(sentence="the request failed by a fault of the gateway", code="internal")

    def _consider(self, outcome: Outcome, seconds: float) -> bool:
        """Count a request and begin its tasks; True if there is one."""
        if not isinstance(outcome, TimedOut):
            self._silent = False
        match outcome:
            case Tasks() if self._begin_all(outcome.tasks):
                self._backoff.task()
                self._told("task", seconds)
                return True
            case Tasks() | Empty():
                # Tasks that run already are no new ones: asking on at once could go on for ever.
                self._backoff.empty()
                self._told("empty", seconds)
            case TimedOut():
                self._backoff.timed_out()
                self._unheard()
            case Failed():
                self._backoff.failed()
                self._failed(outcome.sentence, seconds)
            case Unauthenticated():
                self.unregistered = outcome.sentence
                self._stopping = True
                self._tell(Fetched("unauthenticated", seconds))
        return False

    def _told(self, result: Literal["task", "empty"], seconds: float) -> None:
        self.trouble = None
        self._tell(Fetched(result, seconds))

    def _unheard(self) -> None:
        if not self._silent:
            self._log.warn("the forge did not answer a request for a job in time")
        self._silent = True
        self._tell(Fetched("empty", None))

    def _failed(self, sentence: str, seconds: float) -> None:
        if sentence != self.trouble and not self._stopping:
            self._log.warn("the forge cannot be asked for jobs", error=sentence)
        self.trouble = sentence
        self._tell(Fetched("error", seconds))

    def _begin_all(self, tasks: Iterable[Task]) -> bool:
        """Run them; True if any of them was not running already."""
        begun = [self._begin(task) for task in tasks]
        self._stopping = self._stopping or (self._once and any(begun))
        return any(begun)

    def _begin(self, task: Task) -> bool:
        holder = self._book.take(task.id)
        if holder is None:
            self._log.warn("the forge handed out a job that is running already", task=task.id)
            return False
        running = asyncio.create_task(self._runner.run(task), name=f"task {task.id}")
        self._running[running] = holder
        running.add_done_callback(self._returned)
        if self._cancelling:
            _cancel(running)
        return True

    def _returned(self, running: asyncio.Task[None]) -> None:
        holder = self._running.pop(running)
        self._book.give_back(holder)
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._log.warn("a job is left alone by a fault of ours", task=holder.task_id, fault=_fault(error))

    async def _rest(self) -> None:
        """Wait as long as the back-off says."""
        self._does = "resting"
        wait = self._backoff.wait()
        try:
            if self._idle is not None:
                await self._idle.idle()
            if wait.changed:
                self._tell(Waiting(wait.base_seconds))
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            # Without the wait below the forge would be asked without a pause.
            self._log.warn("what is done between requests failed by a fault of ours", fault=_fault(error))
        await asyncio.sleep(wait.seconds)


def _version_after(known: int, outcome: Outcome) -> int:
    """The version to send next: the newest one known; 0 after a task, so that the forge looks for another one."""
    if not isinstance(outcome, Empty | Tasks):
        return known
    newest = max(known, outcome.tasks_version)
    return 0 if isinstance(outcome, Tasks) and newest == outcome.tasks_version else newest


def _cancel(task: asyncio.Task[None]) -> None:
    """After its first step: a task that is cancelled before never begins, and could not report that it is cancelled."""
    asyncio.get_running_loop().call_soon(task.cancel)


def _fault(error: BaseException) -> str:
    """What and where, without the error's text, which may quote what a forge sent in confidence."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + (f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else "")
