"""Between the runners of one forge and the forge: one application that they are given the address of."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.forges.port import (
    Declare,
    Fetch,
    LogReport,
    Register,
    Request,
    StateReport,
    Unreadable,
)
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.polling.loop import Poller, Standing
from jobmeter.gateway.relay.client import Client, Gone
from jobmeter.gateway.relay.footing import Footing
from jobmeter.gateway.relay.home import Tell
from jobmeter.gateway.relay.lanes import Lanes
from jobmeter.gateway.relay.leaving import unless_gone
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.ops.log import FullLog


class RunnerStanding(Struct, frozen=True, kw_only=True):
    """One runner as an operator's page shows it; ``tasks`` are the ids of those that it has.

    ``silent_seconds`` ago it was last heard of; None where it need not be.
    """

    key: str
    name: str | None
    standing: Standing
    draining: bool
    capacity: int | None
    tasks: tuple[str, ...]
    silent_seconds: float | None = None
    unregistered: str | None = None
    trouble: str | None = None


class Relay:
    """One forge's. ``tell`` hears what happens to its runners; ``keeping`` holds what a restart needs.

    The application answers within ``life`` only. Raises UsageError for certificates that cannot be used.
    """

    def __init__(
        self,
        options: ForgeOptions,
        log: FullLog,
        tell: Tell,
        keeping: Keeping | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        wall: Callable[[], float] = time.time,
        referee: Referee | None = None,
    ) -> None:
        self.options = options
        self._footing = Footing(options, log, tell, keeping, clock, wall, back=self._back, referee=referee)
        home = self._footing.home
        self._dialect, self._passing = home.dialect, home.passing
        self._lanes = Lanes(home)
        self._exchanges = self._footing.exchanges(self._lanes)

    # --- for the daemon ------------------------------------------------------------------------------------

    @property
    def application(self) -> ASGIApp:
        """What answers the runners."""
        return self

    @property
    def unread(self) -> int:
        """Bodies that passed without being understood."""
        return self._footing.unread

    @property
    def pollers(self) -> list[Poller]:
        """The loops that ask the forge, one per runner."""
        return [lane.poller for lane in self._lanes.all()]

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """While this lasts runners are answered."""
        async with self._footing.life(self._exchanges):
            self._lanes.restore()
            try:
                yield
            finally:
                await self._lanes.close()

    def drain(self, name: str, on: bool) -> int:
        """Give the runners of this name, or with this key, no more tasks, or do so again: how many there are."""
        found = [lane for lane in self._lanes.all() if name in (lane.key, lane.identity.name)]
        for lane in found:
            lane.drain(on)
        return len(found)

    def pause(self, on: bool) -> None:
        """Ask the forge for no tasks, whoever waits for them, or do so again."""
        self._lanes.pause(on)

    def stop(self) -> None:
        """Ask the forge for no tasks any more: who waits for one hears that there is none."""
        self._lanes.stop()

    async def cancel_tasks(self) -> None:
        """Have the forge cancel what runs; not what has ended, and has only not been told yet."""
        await self._lanes.cancel_tasks(frozenset(self._exchanges.finals.waiting))

    def standing(self) -> list[RunnerStanding]:
        """All runners that are known."""
        now = self._footing.home.clock()
        return [
            RunnerStanding(
                key=lane.key,
                name=lane.identity.name,
                standing=lane.poller.standing,
                draining=lane.draining,
                capacity=self.options.capacity,
                tasks=tuple(lane.workload.book.slots.held),
                silent_seconds=now - lane.used_at,
                unregistered=lane.poller.unregistered,
                trouble=lane.poller.trouble,
            )
            for lane in self._lanes.all()
            if lane.accepted
        ]

    def _back(self) -> None:
        self._lanes.answered()

    # --- for the runners -----------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        client = await self._passing.admit(scope, receive, send)
        if client is None:
            return
        path = client.target
        if not self._dialect.wants_body(client.method, path, client.headers):
            await self._passing.stream(client)
            return
        with suppress(Gone), self._passing.holding() as held:
            raw, whole = await self._passing.read_body(client, held)
            if not whole:
                self._footing.not_understood("it is larger than what is read")
            elif await self._understood(client, raw):
                return
            await self._passing.stream(client, raw)

    async def _understood(self, client: Client, raw: bytes) -> bool:
        """Answer a request that is understood; False if it is not, and then nothing of it is held here."""
        with self._passing.holding() as held:
            try:
                body = self._passing.plain_body(client, raw, held)
                request = self._dialect.read_request(client.method, client.target, client.headers, body)
            except Unreadable as error:
                self._footing.not_understood(str(error))
                return False
            await self._serve(client, request, body, raw)
            return True

    async def _serve(self, client: Client, request: Request, body: bytes, raw: bytes) -> None:
        if isinstance(request, Fetch):
            lane = self._lanes.of(self._dialect.proof(client.headers, body), request.identity)
            if lane is not None:
                await lane.serve(client, request, body, raw)
                return
        if isinstance(request, LogReport | StateReport | Declare | Register):
            await unless_gone(client, self._exchanges.pass_on(client, request, body, raw))
            return
        await self._passing.stream(client, raw)
