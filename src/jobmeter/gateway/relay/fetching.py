"""One runner's requests for work, answered out of one loop that asks the forge."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from jobmeter.gateway.figures.events import Declared, Draining, Event, Fetched, FetchOutcome
from jobmeter.gateway.forges.port import (
    Answer,
    Empty,
    Failed,
    Fetch,
    Identity,
    Outcome,
    Task,
    Tasks,
    TimedOut,
    Unauthenticated,
    Unreadable,
)
from jobmeter.gateway.polling.backoff import Backoff, pace_of
from jobmeter.gateway.polling.loop import Poller
from jobmeter.gateway.polling.slots import Why
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.flights import Flights
from jobmeter.gateway.relay.home import Asker, Home
from jobmeter.gateway.relay.passing import Whole
from jobmeter.gateway.relay.tasks import Known
from jobmeter.gateway.relay.upstream import TooLate, Unreachable
from jobmeter.gateway.relay.workload import Workload

_GITLAB_HOLD_SECONDS = 50.0
"""As long as GitLab itself holds a request."""
_SHARE_OF_A_LIMIT = 0.9
"""Of the time that a runner gives its request: our answer must still reach it."""
_MOMENT_SECONDS = 0.005

_WORDS: dict[type[Outcome], FetchOutcome] = {
    Tasks: "task",
    Empty: "empty",
    TimedOut: "empty",
    Failed: "error",
    Unauthenticated: "unauthenticated",
}


class Lane:
    """One runner's way through the gateway, beside those of others: its one loop, its askers, its workload.

    It is the loop's Fetcher, TaskRunner and Availability.
    """

    def __init__(self, home: Home, proof: str, identity: str | None) -> None:
        self._home = home
        self.proof = proof
        self.key = identity or f"unknown:{proof[:8]}"
        self.accepted = False
        """Whether the forge has taken these credentials."""
        self.draining = self.proof in home.memory.drained
        self._paused = False
        self.used_at = home.clock()
        self._askers: list[Asker] = []
        self._change = asyncio.Event()
        self.executor: str | None = None
        """GitLab's word for how the runner runs jobs."""
        self._version: str | None = None
        self._flights = Flights(home, self._came_late, self._wake)
        self._looks_anew = False
        self._singles: set[asyncio.Task[None]] = set()
        self.workload = Workload(home, proof, self.key, self.tell)
        self._handing, self._book = self.workload.handing, self.workload.book
        pace, _ = pace_of(home.options.fetch_interval, home.options.fetch_interval_max)
        self.poller = Poller(
            self,
            self,
            self._book,
            Backoff(pace),
            tell=self.tell,
            log=home.sparing,
            availability=self,
            clock=home.clock,
        )

    @property
    def identity(self) -> Identity:
        """The runner as far as it is known."""
        return self._home.memory.names.get(self.key) or Identity(key=self.key, version=self._version)

    @property
    def idle(self) -> bool:
        """Whether nothing is held for it, and nobody waits."""
        return not self._askers and self.workload.idle

    def start(self) -> None:
        """Begin."""
        for known in self._home.memory.of(self.proof):
            self.accept()
            self.workload.began(known.id)
        self._handing.start()
        self.poller.start()

    async def close(self) -> None:
        """Leave; what is known stays remembered."""
        self._book.close()
        for asker in self._askers:
            asker.settle(self._home.dialect.nothing(asker.fetch))
        self.poller.cancel()
        await self.poller.finished()
        await asyncio.gather(*self._singles, return_exceptions=True)
        await self._flights.close()
        await self._handing.close()

    def drain(self, on: bool) -> None:
        """Ask for no more tasks, or do so again; what runs is left alone."""
        self.draining = on
        self._home.memory.drain(self.proof, self.key, on and self.accepted)
        self.tell(Draining(on))
        self._wake()

    def pause(self, on: bool) -> None:
        """Ask for no more tasks for a reason that is not the runner's, or do so again."""
        self._paused = on
        self._wake()

    def stop(self) -> None:
        """Ask for no more tasks, ever, and hold no request; that for which the forge is asked now is waited for."""
        self.poller.stop_asking()
        self._answer_all([asker for asker in self._waiting() if not self._flights.is_of(asker)], None)

    def accept(self) -> None:
        """The forge takes these credentials: from now on the runner is shown."""
        if not self.accepted:
            self.accepted = True
            self._home.refusals.taken(self.proof)
            self.declare()

    def declare(self) -> None:
        """Say what the runner is."""
        one = self.identity
        self.tell(Declared(one.name, one.version, one.labels, self._home.options.capacity))
        if self.draining:
            self.tell(Draining(True))

    def tell(self, event: Event) -> None:
        """Of a runner that the forge has never accepted nothing is shown."""
        if self.accepted:
            self._home.tell(self.identity, event)

    # --- the runner's side ---------------------------------------------------------------------------------

    async def serve(self, client: Client, fetch: Fetch, body: bytes, raw: bytes) -> None:
        """Answer a runner's request for work, within its own limit of time."""
        self.used_at = self._home.clock()
        self._version = fetch.version or self._version
        self.executor = fetch.executor or self.executor
        self.workload.ends.asked(client)
        asker = Asker(client, fetch, body, raw)
        leaving = asyncio.create_task(client.gone())
        try:
            self._arrive(asker)
            await self._answered(asker, leaving)
            if not leaving.done():
                asker.settle(self._home.dialect.nothing(fetch))
                await self._home.passing.answer(client, asker.answer.result())
        finally:
            gone = client.left or not client.begun
            leaving.cancel()
            asker.answer.cancel()
            self._leave(asker)
            if gone:
                self._handing.undelivered(asker)

    async def _answered(self, asker: Asker, leaving: asyncio.Task[None]) -> None:
        """Wait for its answer, for its end, or for as long as it may be held."""
        waited: set[asyncio.Future[Any]] = {asker.answer, leaving}
        until = self._home.clock() + self._hold_seconds(asker.client)
        while (left := until - self._home.clock()) > 0 and asker.waits and not leaving.done():
            again = self._handing.due_seconds()
            if again is not None and again <= 0 and self._hand_again(asker):
                break
            # A timer may be early by a moment; then the rest is waited for.
            pause = left if again is None else min(left, max(again, _MOMENT_SECONDS))
            await asyncio.wait(waited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        if self._flights.is_of(asker) and self._home.options.kind == "gitlab":
            # To break off what GitLab holds could lose a job; it is over soon.
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)

    def _arrive(self, asker: Asker) -> None:
        self._book.asked()
        if self._hand_again(asker):
            return
        if asker.fetch.single and not (self._held_back or self._book.slots.full):
            fetching = asyncio.create_task(self._fetch_single(asker))
            self._singles.add(fetching)
            fetching.add_done_callback(self._singles.discard)
        elif self._answers_soon or self._may_wait:
            self._askers.append(asker)
            self._wake()
        else:
            asker.settle(self._home.dialect.nothing(asker.fetch))

    def _hand_again(self, asker: Asker) -> bool:
        """Give it the tasks that never reached the runner; False if there are none."""
        again = self._handing.again(asker.fetch)
        if again:
            asker.settle(self._home.dialect.hand_out(asker.fetch, again), tuple(task.id for task in again))
        return bool(again)

    @property
    def _answers_soon(self) -> bool:
        return not self._held_back and self.poller.standing in ("ready", "fetching")

    @property
    def _may_wait(self) -> bool:
        """GitLab's runners are used to being held; nothing comes any more once the end has begun."""
        return self._home.options.kind == "gitlab" and self.poller.standing != "ended"

    @property
    def _held_back(self) -> bool:
        return self.draining or self._paused

    def _leave(self, asker: Asker) -> None:
        with contextlib.suppress(ValueError):
            self._askers.remove(asker)

    def _hold_seconds(self, client: Client) -> float:
        if self._home.options.kind == "gitlab":
            return _GITLAB_HOLD_SECONDS
        own, ours = client.milliseconds, self._home.options.fetch_seconds
        return _SHARE_OF_A_LIMIT * (ours if own is None else min(own / 1000, ours))

    # --- the loop's side -----------------------------------------------------------------------------------

    async def available(self) -> None:
        """Wait until a runner asks that may get a task, and nothing is asked already."""
        while self._held_back or self._flights.overdue or not self._waiting():
            await self._change.wait()

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        """Ask the forge with the request of who waits the longest, and answer all who wait."""
        await self.available()
        asker = self._waiting()[0]
        capacity = asker.fetch.capacity
        if capacity is not None and slots is not None:
            capacity = min(capacity, slots)
        # A runner that says 0 wants the forge to look: it has begun anew, perhaps with other labels.
        version = tasks_version if asker.fetch.tasks_version and not self._looks_anew else 0
        self._looks_anew = False
        wanted = msgspec.structs.replace(asker.fetch, tasks_version=version, capacity=capacity)
        return await self._fetch(asker, self._home.dialect.ask(wanted, asker.body), self._waiting)

    async def _fetch_single(self, asker: Asker) -> None:
        """Ask for the one job that this runner was started for: no other request could bring it."""
        began = self._home.clock()
        outcome = await self._fetch(asker, asker.body, lambda: [asker])
        seconds = None if isinstance(outcome, TimedOut) else self._home.clock() - began
        self.tell(Fetched(_WORDS[type(outcome)], seconds))
        self._take(outcome)

    async def _came_late(self, asker: Asker, whole: Whole) -> None:
        """A task that comes when its asker has been told that there is none is for who asks now, or next."""
        outcome = await self._consider(asker, whole, lambda: [])
        self._take(outcome)
        if isinstance(outcome, Tasks):
            self._looks_anew = True
            for waiting in self._waiting():
                self._hand_again(waiting)

    def _take(self, outcome: Outcome) -> None:
        """Slots for tasks that the loop did not ask for."""
        for task in outcome.tasks if isinstance(outcome, Tasks) else ():
            if self._book.take(task.id) is not None:
                self.workload.handed_out(task.id)

    async def _fetch(self, asker: Asker, body: bytes, joined: Callable[[], list[Asker]]) -> Outcome:
        """One request, with the answer to who asked, and to who has ``joined`` meanwhile."""
        try:
            whole = await self._flights.ask(asker, body)
        except asyncio.CancelledError:
            # The end does not wait for the forge; the runner must hear so while there is somebody to say it.
            self._answer_all(joined(), None)
            raise
        except TooLate:
            self._answer_all(joined(), None)
            return TimedOut()
        except Unreachable as error:
            reply = self._home.dialect.refuse(asker.fetch, str(error))
            self._answer_all(joined(), Whole.of(reply))
            return Failed(sentence=str(error), code="unavailable", status=reply.status)
        if whole is None:
            return TimedOut()
        return await self._consider(asker, whole, joined)

    async def _consider(self, asker: Asker, whole: Whole, joined: Callable[[], list[Asker]]) -> Outcome:
        try:
            answer: Answer = self._home.read_answer(asker.fetch, whole)
        except Unreadable as error:
            self._home.sparing.warn(
                "an answer of the forge passes without being understood", error=str(error)
            )
            answer = Failed(sentence=str(error), code="unknown", status=whole.status)
        match answer:
            case Tasks():
                self.accept()
                self._handing.fetched(asker, answer.tasks, self.identity)
                await self._home.kept()
                ids = tuple(task.id for task in answer.tasks)
                if asker.waits:
                    asker.settle(whole, ids)
                else:
                    asker.tasks = ids
                    self._handing.undelivered(asker)
                asyncio.get_running_loop().call_soon(self._turn_away)
                return answer
            case Empty():
                self.accept()
                asker.settle(whole)
                self._answer_all(joined(), None)
                return answer
            case Failed() | Unauthenticated():
                if isinstance(answer, Unauthenticated):
                    name, client = self._home.name_of(self.key), asker.client.address
                    self._home.refusals.refused(self.proof, name, client, answer.sentence)
                self._answer_all(joined(), whole)
                return answer
        asker.settle(whole)
        return Failed(sentence="the forge's answer is none to a request for a job", code="unknown")

    def _answer_all(self, askers: list[Asker], whole: Whole | None) -> None:
        """All of them get this answer, or that there is nothing."""
        for asker in askers:
            asker.settle(self._home.dialect.nothing(asker.fetch) if whole is None else whole)

    def _turn_away(self) -> None:
        """Who still waits after a task has come, if it took the last slot."""
        if self._home.options.kind != "gitlab" and not self._answers_soon:
            self._answer_all(self._waiting(), None)

    def _waiting(self) -> list[Asker]:
        return [asker for asker in self._askers if asker.waits]

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    # --- the runner's work ---------------------------------------------------------------------------------

    async def run(self, task: Task) -> None:
        """Wait until its slot is free again; the runner does the work, and goes on when this is cancelled."""
        self.workload.handed_out(task.id)
        await self.workload.book.over(task.id)

    def sign(self, task_id: str) -> Known | None:
        """The runner has been heard of a task: what is known of it; None if it is over already."""
        self.used_at = self._home.clock()
        return self.workload.sign(task_id)

    def reported(self, task_id: str, client: Client, body: bytes) -> None:
        """The forge has taken a report on a task."""
        self.workload.ends.reported(task_id, client, body)

    def end(self, task_id: str, why: Why) -> None:
        """A task is over."""
        self.workload.end(task_id, why)

    def asked_to_end(self, task_id: str) -> None:
        """The runner hears so with the same answer, and its report passes here."""

    def seconds(self, task_id: str) -> float | None:
        """How long ago the runner got a task, if that was seen."""
        return self.workload.seconds(task_id)
