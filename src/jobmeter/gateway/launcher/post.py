"""One registration, which the gateway holds itself: it asks for tasks, and starts a runner for each."""

import asyncio
import math
import uuid
from collections.abc import Callable

from jobmeter.gateway.faults import fault_of, reason_of
from jobmeter.gateway.figures.events import Declared, Draining, Event, TaskBegan, TaskEnded
from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.own import Registration
from jobmeter.gateway.forges.port import (
    Answer,
    Declare,
    Empty,
    Failed,
    Identity,
    Outcome,
    Task,
    Tasks,
    TimedOut,
    Unauthenticated,
    Unreadable,
)
from jobmeter.gateway.launcher.launch import Launch
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.port import Shared
from jobmeter.gateway.polling.backoff import Backoff, pace_of
from jobmeter.gateway.polling.book import SlotBook
from jobmeter.gateway.polling.loop import Poller
from jobmeter.gateway.polling.slots import Ended, Holder, Slots, Why
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.flights import LATEST_SECONDS
from jobmeter.gateway.relay.tasks import Known
from jobmeter.gateway.relay.upstream import Limits, TooLate, Unreachable

_NEVER_SECONDS = 10 * 366 * 86_400.0
"""A keeper says when a runner has ended: no silence means anything here."""
AGAIN_SECONDS = 5.0
RECOVERY_SECONDS = 30.0
"""So long nothing is fetched when no runner has taken its task: the next tasks would fail too."""


class Post:
    """It is the loop's Fetcher, TaskRunner and Availability, the Worker of its reports, and its launches' Employer.

    ``launch`` makes one for a task.
    """

    executor: str | None

    def __init__(
        self,
        shared: Shared,
        options: RunnerOptions,
        registration: Registration,
        launch: Callable[["Post", Known], Launch],
    ) -> None:
        self._shared, self._home = shared, shared.home
        self.options = options
        self.registration = registration
        self._launch = launch
        asking = shared.own.fetch_call(registration, "")
        self.proof = self._home.dialect.proof(dict(asking.call.headers), asking.call.body)
        self.key = asking.request.identity or f"unknown:{self.proof[:8]}"
        self.executor = registration.executor
        self._version = f"jobmeter {shared.version}"
        self.accepted = False
        self.draining = self.proof in self._home.memory.drained
        self._paused = False
        self._recovered_at = -math.inf
        self._unwritable: str | None = None
        self._last_update: str | None = None
        self._request_key = str(uuid.uuid4())
        self._change = asyncio.Event()
        self._enlisting: asyncio.Task[None] | None = None
        self.launches: dict[str, Launch] = {}
        held = [self._holder(known) for known in self._home.memory.of(self.proof)]
        slots = Slots(options.capacity, _NEVER_SECONDS, held)
        self.book = SlotBook(slots, self._ended, self._home.clock)
        pace, _ = pace_of(self._home.options.fetch_interval, self._home.options.fetch_interval_max)
        self.poller = Poller(
            self,
            self,
            self.book,
            Backoff(pace),
            tell=self.tell,
            log=self._home.sparing,
            availability=self,
            clock=self._home.clock,
        )

    @property
    def identity(self) -> Identity:
        """The runner as series call it."""
        return Identity(
            key=self.key,
            name=self.options.name,
            labels=self.registration.label_names,
            version=self._version,
        )

    @property
    def trouble(self) -> str | None:
        """Why the forge is not asked, or why its last answer was none."""
        return self._unwritable or self.poller.trouble

    def start(self) -> None:
        """Say at the forge that the runner is here, as soon as that answers, and ask for tasks from then on."""
        self._home.memory.call(self.identity)
        for launch in self.launches.values():
            self.accept()
            self._began(launch.known)
        if self.draining:
            self.accept()
        self._enlisting = asyncio.create_task(self._enlist())

    async def close(self) -> None:
        """Leave; runners at work go on."""
        if self._enlisting is not None:
            self._enlisting.cancel()
            await asyncio.wait({self._enlisting})
        self.book.close()
        self.poller.cancel()
        await self.poller.finished()
        for launch in list(self.launches.values()):
            await launch.close()

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

    def declared(self, request: Declare) -> None:
        """A launched runner has said which release it is: so the forge is told from now on."""
        if request.version and request.version != self._version:
            self._version = request.version
            self._home.memory.call(self.identity)
            self.declare()

    # --- the loop's side -----------------------------------------------------------------------------------

    async def available(self) -> None:
        """Wait while the runner is to get no tasks, or could not do any."""
        while True:
            while self.draining or self._paused:
                self._unwritable = None
                await self._change.wait()
            if (seconds := self._recovered_at - self._home.clock()) > 0:
                await asyncio.sleep(seconds)
            elif await self._could_begin():
                return
            else:
                await asyncio.sleep(AGAIN_SECONDS)

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        """Ask the forge for one task; what it hands out is on disk when this returns."""
        asking = self._shared.own.fetch_call(
            self.registration,
            self._version,
            tasks_version=tasks_version,
            last_update=self._last_update,
            request_key=self._request_key,
        )
        call, limit = asking.call, max(self._home.options.fetch_seconds, LATEST_SECONDS)
        try:
            whole = await self._home.passing.call(
                call.method, call.path, call.headers, call.body, limits=Limits(total=limit)
            )
            answer: Answer = self._home.read_answer(asking.request, whole)
        except TooLate:
            return TimedOut()
        except (Unreachable, Unreadable) as error:
            return Failed(sentence=str(error), code="unavailable")
        if isinstance(answer, Tasks | Empty):
            self.accept()
            self._request_key = str(uuid.uuid4())
            self._last_update = answer.last_update
        if isinstance(answer, Tasks):
            await self._remember(answer)
        if isinstance(answer, Unauthenticated):
            self._home.log.warn(
                "a runner is not registered any more", runner=self.options.name, error=answer.sentence
            )
        if isinstance(answer, Tasks | Empty | Failed | Unauthenticated):
            return answer
        return Failed(sentence="the forge's answer is none to a request for a job", code="unknown")

    async def run(self, task: Task) -> None:
        """Start a runner for it, and wait until that has ended; it goes on when this is cancelled."""
        known = self._home.memory.tasks.get(task.id)
        if known is None:
            return
        self._home.log.info("a job is handed out", **self._home.about(self.key, task.id, known))
        self._began(known)
        self.take_up(self._launch(self, known))
        await self.book.over(task.id)

    def take_up(self, launch: Launch) -> None:
        """Have it done."""
        self.launches[launch.known.id] = launch
        launch.begin()

    def inherit(self, known: Known) -> None:
        """A task that the same runner had by an earlier registration is this one's from now on."""
        known.proof, known.identity = self.proof, self.key
        self._home.memory.touch()
        if (holder := self.book.take(known.id)) is not None:
            holder.since = self._holder(known).since
        self.accept()
        self._began(known)

    # --- the Worker of its reports -------------------------------------------------------------------------

    def accept(self) -> None:
        """The forge takes the credentials: from now on the runner is shown."""
        if not self.accepted:
            self.accepted = True
            self.declare()

    def declare(self) -> None:
        """Say what the runner is."""
        one = self.identity
        self.tell(Declared(one.name, one.version, one.labels, self.options.capacity))
        if self.draining:
            self.tell(Draining(True))

    def tell(self, event: Event) -> None:
        """Of a runner that the forge has never accepted nothing is shown."""
        if self.accepted:
            self._home.tell(self.identity, event)

    def sign(self, task_id: str) -> Known | None:
        """Its launched runner has been heard of a task: the forge need not hand that out again."""
        known = self._home.memory.tasks.get(task_id)
        if known is not None and not known.signed:
            known.signed, known.task = True, None
            self._home.memory.touch()
        return known

    def reported(self, task_id: str, client: Client, body: bytes) -> None:
        """The forge has taken a report."""

    def end(self, task_id: str, why: Why) -> None:
        """A task is over, and its runner ends."""
        launch = self.launches.get(task_id)
        if launch is not None:
            launch.settle(why)

    def asked_to_end(self, task_id: str) -> None:
        """The forge has asked its runner to end a task."""
        launch = self.launches.get(task_id)
        if launch is not None:
            launch.asked_to_end()

    def seconds(self, task_id: str) -> float | None:
        """How long ago the runner got a task."""
        holder = self.book.slots.held.get(task_id)
        return None if holder is None else self._home.clock() - holder.since

    # --- its launches' Employer ----------------------------------------------------------------------------

    def over(self, launch: Launch) -> None:
        """Its slot is free."""
        if launch.never_taken:
            self._recovered_at = self._home.clock() + RECOVERY_SECONDS
            self._home.log.warn(
                "no runner takes its job: nothing is fetched for a while",
                runner=self.options.name,
                seconds=RECOVERY_SECONDS,
            )
        self.book.end(launch.known.id, launch.settled or "over")

    def removed(self, launch: Launch) -> None:
        """It is forgotten."""
        if self.launches.get(launch.known.id) is launch:
            del self.launches[launch.known.id]

    # --- inside --------------------------------------------------------------------------------------------

    async def _could_begin(self) -> bool:
        """Whether what a launch needs can be written: if not, its job is left to others."""
        before, self._unwritable = self._unwritable, None
        try:
            await asyncio.to_thread(self._shared.site.refuse_full)
        except OSError as error:
            self._unwritable = f"nothing can be written to state_dir: {reason_of(error)}"
        if self._unwritable is not None and before is None:
            self._home.log.warn(
                "nothing is fetched for now; what runs goes on",
                runner=self.options.name,
                why=self._unwritable,
            )
        elif self._unwritable is None and before is not None:
            self._home.log.info("fetching goes on", runner=self.options.name)
        return self._unwritable is None

    async def _enlist(self) -> None:
        while not await self._declared():
            await asyncio.sleep(AGAIN_SECONDS)
        self.poller.start()

    async def _declared(self) -> bool:
        """Whether the forge has answered; what it thinks of the runner it says to a request for a task too."""
        call, request = self._shared.own.declare_call(self.registration, self._version)
        try:
            whole = await self._home.passing.call(
                call.method, call.path, call.headers, call.body, limits=Limits(total=LATEST_SECONDS)
            )
            answer = self._home.read_answer(request, whole)
        except (Unreachable, Unreadable) as error:
            self._home.sparing.warn(
                "the forge cannot be told of a runner", runner=self.options.name, error=str(error)
            )
            return False
        if isinstance(answer, Failed):
            self._home.log.warn(
                "the forge does not want to hear of a runner", runner=self.options.name, error=answer.sentence
            )
        return True

    async def _remember(self, answer: Tasks) -> None:
        for task in answer.tasks:
            if task.id in self._home.memory.tasks:
                continue
            self._home.memory.add(self._known(task))
        await self._home.kept()

    def _known(self, task: Task) -> Known:
        """What is remembered of a new task; a fault in what it tells of itself does not lose it."""
        known = Known(id=task.id, proof=self.proof, identity=self.key, at=self._home.wall(), task=task)
        try:
            known.token = self._token_digest(task)
            known.job = self._home.job_of(task, self.identity)
            self._home.handed(task)
        except Exception as error:
            self._home.log.warn(
                "not all of a new job is read by a fault of ours", task=task.id, **fault_of(error)
            )
        return known

    def _token_digest(self, task: Task) -> str | None:
        token = self._home.dialect.task_token(task)
        return digest(token) if token is not None else None

    def _began(self, known: Known) -> None:
        self.tell(TaskBegan(known.id, known.at, known.job, known.closing))

    def _ended(self, ended: Ended) -> None:
        if ended.why == "returned":
            return  # This process ends; the runner works on, and what is known of the task stays remembered.
        task_id = ended.holder.task_id
        known = self._home.memory.drop(task_id)
        self._home.evidences.forget(task_id)
        result = (known.result if known else None) or "unknown"
        about = self._home.about(self.key, task_id, known)
        self._home.log.info("a job has ended", **about, result=result, seconds=round(ended.seconds, 1))
        self.tell(TaskEnded(task_id, result, ended.seconds, known.failure_reason if known else None))

    def _holder(self, known: Known) -> Holder:
        """The slot of a task that was known before a restart."""
        now = self._home.clock()
        return Holder(known.id, now - max(0.0, self._home.wall() - known.at), last_sign=now)

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
