"""Tasks on their way to one runner: those that wait for it to ask, and those that are handed out twice."""

import asyncio
import math
from collections.abc import Callable, Iterable

from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.port import Fetch, Identity, Task
from jobmeter.gateway.relay.ends import Ends
from jobmeter.gateway.relay.home import Asker, Home
from jobmeter.gateway.relay.tasks import Known


class Handing:
    """The tasks that the forge has handed out to the runner with this ``proof``. ``given_up`` hears of each that is."""

    def __init__(self, home: Home, proof: str, ends: Ends, given_up: Callable[[str], None]) -> None:
        self._home = home
        self._proof = proof
        self._ends = ends
        self._given_up = given_up
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._duties: set[asyncio.Task[bool]] = set()
        self._handed_at: dict[str, float] = {}
        """When each task that the runner has shown no sign of went to it the last time, by the clock."""

    def start(self) -> None:
        """What waited before a restart waits anew: its runner could not ask, and its credentials are not kept.

        What is without a sign for as long has not reached its runner: it reports each second what it has.
        """
        for known in self._home.memory.of(self._proof):
            if known.parked is not None:
                self._wait(known, self._unclaimed)
            elif known.task is not None and not known.signed and known.key is None:
                self._handed_at[known.id] = self._home.clock() - max(0.0, self._home.wall() - known.at)
                self._wait(known, self._park)
            elif known.task is not None and not known.signed:
                self._handed_at[known.id] = self._home.clock()

    async def close(self) -> None:
        """Wait no more; what is known stays remembered."""
        for timer in self._timers.values():
            timer.cancel()
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)

    def again(self, fetch: Fetch) -> list[Task]:
        """Tasks that never reached the runner, as far as anybody can tell; they are on their way from now on."""
        for known in self._home.memory.of(self._proof):
            if self._is_forgotten(known, fetch):
                self._unclaimed(known)
        mine = [known for known in self._home.memory.of(self._proof) if self._is_for(known, fetch)]
        chosen = mine[: 1 if fetch.single else max(1, fetch.capacity or 1)]
        for known in chosen:
            known.parked, known.key = None, fetch.request_key
            self._stop_waiting(known.id)
            self._handed_at[known.id] = self._home.clock()
        if chosen:
            self._home.memory.touch()
            ids = [known.id for known in chosen]
            self._home.log.warn("a job that never reached its runner is handed out again", tasks=ids)
        return [known.task for known in chosen if known.task is not None]

    def due_seconds(self) -> float | None:
        """In how long who asks now may get a task again; None if there is no such task."""
        mine = filter(self._may_be_lost, self._home.memory.of(self._proof))
        return min((max(0.0, self._unreported_left(known)) for known in mine), default=None)

    def fetched(self, asker: Asker, tasks: Iterable[Task], identity: Identity) -> None:
        """The forge has handed them out, to this asker if it still waits."""
        for task in tasks:
            found = self._home.memory.tasks.get(task.id)
            if found is not None and found.signed:
                continue
            token = self._home.dialect.task_token(task)
            known = Known(
                id=task.id,
                proof=self._proof,
                identity=identity.key,
                job=self._home.job_of(task, identity),
                token=digest(token) if token is not None else None,
                at=self._home.wall() if found is None else found.at,
                task=task,
                key=asker.fetch.request_key if asker.waits else None,
            )
            self._home.memory.add(known)
            self._home.handed(task)
            self._stop_waiting(task.id)
            if asker.waits:
                self._handed_at[task.id] = self._home.clock()
            else:
                self._park(known)

    def undelivered(self, asker: Asker) -> None:
        """The runner left before its answer was written; with a request key it must ask with the same one."""
        for task_id in asker.tasks:
            known = self._home.memory.tasks.get(task_id)
            if known is not None and known.task is not None and not known.signed and known.parked is None:
                known.key = asker.fetch.request_key if asker.client.begun else None
                self._park(known)

    def arrived(self, task_id: str) -> None:
        """The runner has shown a sign of it, or it is over."""
        self._stop_waiting(task_id)
        self._handed_at.pop(task_id, None)

    def _is_for(self, known: Known, fetch: Fetch) -> bool:
        """Whether a request gets a task that the runner has shown no sign of."""
        if known.signed or known.task is None:
            return False
        if known.key is not None:
            return known.key == fetch.request_key
        if known.parked is not None:
            return True
        return self._may_be_lost(known) and self._unreported_left(known) <= 0

    def _may_be_lost(self, known: Known) -> bool:
        """Whether any request of its runner may get it again, if no report of it comes."""
        unreported = known.task is not None and not known.signed and known.parked is None
        return unreported and known.key is None and self._home.options.capacity == 1

    def _unreported_left(self, known: Known) -> float:
        """So many seconds more it may still be on its way: who asks at once has got it, and more slots than here."""
        return self._home.options.unreported_seconds - self._seconds_since(known)

    def _is_forgotten(self, known: Known, fetch: Fetch) -> bool:
        """Whether the runner asks on with other keys and has shown no sign of it: it has begun anew without it."""
        if known.key in (None, fetch.request_key) or known.signed or known.parked is not None:
            return False
        return (
            self._home.options.capacity == 1 and self._seconds_since(known) >= self._home.options.park_seconds
        )

    def _seconds_since(self, known: Known) -> float:
        """How long ago it was handed out; infinitely if nobody here has seen it."""
        return self._home.clock() - self._handed_at.get(known.id, -math.inf)

    def _park(self, known: Known) -> None:
        known.parked = self._home.wall()
        self._home.memory.touch()
        self._home.log.warn("a job waits for its runner to ask again", task=known.id)
        self._wait(known, self._unclaimed)

    def _wait(self, known: Known, over: Callable[[Known], None]) -> None:
        later = asyncio.get_running_loop().call_later
        self._timers[known.id] = later(self._home.options.park_seconds, over, known)

    def _stop_waiting(self, task_id: str) -> None:
        if timer := self._timers.pop(task_id, None):
            timer.cancel()

    def _unclaimed(self, known: Known) -> None:
        self._timers.pop(known.id, None)
        known.result = "failure"
        # So that nobody waits for a task that nobody runs.
        duty = asyncio.create_task(self._ends.tell(known, "failure"))
        self._duties.add(duty)
        duty.add_done_callback(self._duties.discard)
        self._given_up(known.id)
