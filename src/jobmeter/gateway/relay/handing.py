"""Tasks on their way to one runner: those that wait for it to ask, and those that are handed out twice."""

import asyncio
import math
from collections.abc import Callable, Iterable

from jobmeter.gateway.forges.port import CREDENTIAL_HEADERS, Fetch, Identity, Task
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.home import Asker, Home
from jobmeter.gateway.relay.tasks import Known
from jobmeter.gateway.relay.upstream import Limits, Unreachable

_END_LIMITS = Limits(total=30.0)


class Handing:
    """The tasks that the forge has handed out to the runner with this ``proof``. ``given_up`` hears of each that is."""

    def __init__(self, home: Home, proof: str, given_up: Callable[[str], None]) -> None:
        self._home = home
        self._proof = proof
        self._given_up = given_up
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._duties: set[asyncio.Task[None]] = set()
        self._credentials: list[tuple[str, str]] = []
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

    def asked(self, client: Client) -> None:
        """The runner is there: what it shows the forge is shown again if it does not come back."""
        self._credentials = [
            (name, client.headers[name]) for name in CREDENTIAL_HEADERS if name in client.headers
        ]

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
            self._home.log.warn("a task that never reached its runner is handed out again", tasks=ids)
        return [known.task for known in chosen if known.task is not None]

    def fetched(self, asker: Asker, tasks: Iterable[Task], identity: Identity) -> None:
        """The forge has handed them out, to this asker if it still waits."""
        for task in tasks:
            found = self._home.memory.tasks.get(task.id)
            if found is not None and found.signed:
                continue
            known = Known(
                id=task.id,
                proof=self._proof,
                identity=identity.key,
                job=self._home.job_of(task, identity),
                token=self._home.dialect.task_proof(task),
                at=self._home.wall() if found is None else found.at,
                task=task,
                key=asker.fetch.request_key if asker.waits else None,
            )
            self._home.memory.add(known)
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
        # One that asks on at once has got it, and more slots than it has here.
        since = self._seconds_since(known)
        return self._home.options.capacity == 1 and since >= self._home.options.fetch_interval

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
        self._home.log.warn("a task waits for its runner to ask again", task=known.id)
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
        duty = asyncio.create_task(self._report_failure(known))
        self._duties.add(duty)
        duty.add_done_callback(self._duties.discard)
        self._given_up(known.id)

    async def _report_failure(self, known: Known) -> None:
        """Tell the forge, so that nobody waits for a task that nobody runs."""
        if known.task is None:
            return
        call = self._home.dialect.report_end(known.task, "failure", self._home.wall())
        # GitLab's jobs have tokens of their own, and it would take a runner's beside one for a mistake.
        own = any(name in CREDENTIAL_HEADERS for name, _ in call.headers)
        headers = [*call.headers, *([] if own else self._credentials)]
        if not (own or self._credentials):
            self._home.log.warn(
                "a task that nobody runs could not be reported: its runner has not asked since the gateway began",
                task=known.id,
            )
            return
        try:
            whole = await self._home.passing.call(
                call.method, call.path, headers, call.body, limits=_END_LIMITS
            )
        except Unreachable as error:
            self._home.log.warn(
                "a task that nobody runs could not be reported", task=known.id, error=str(error)
            )
        else:
            self._home.log.warn(
                "a task that no runner asked for was reported as failed", task=known.id, status=whole.status
            )
