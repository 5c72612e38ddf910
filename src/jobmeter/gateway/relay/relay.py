"""Between the runners of one forge and the forge: one application that they are given the address of."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from jobmeter.gateway.forges import actions, gitlab
from jobmeter.gateway.forges.port import (
    Declare,
    Dialect,
    Fetch,
    LogReport,
    Register,
    Request,
    StateReport,
    Unreadable,
)
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.keeping.state import Keeper, State
from jobmeter.gateway.polling.loop import Poller, Standing
from jobmeter.gateway.relay.client import Client, Gone, Room
from jobmeter.gateway.relay.contact import Contact
from jobmeter.gateway.relay.exchanges import Exchanges
from jobmeter.gateway.relay.home import Home, Tell
from jobmeter.gateway.relay.lanes import Lanes
from jobmeter.gateway.relay.leaving import unless_gone
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.passing import Passing
from jobmeter.gateway.relay.tasks import Memory
from jobmeter.gateway.relay.upstream import Upstream
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.log import FullLog, Naming, Sparing


class RunnerStanding(Struct, frozen=True, kw_only=True):
    """One runner as an operator's page shows it; ``tasks`` are the ids of those that it has."""

    key: str
    name: str | None
    standing: Standing
    draining: bool
    capacity: int | None
    tasks: tuple[str, ...]
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
    ) -> None:
        self.options = options
        self._dialect: Dialect = gitlab if options.kind == "gitlab" else actions
        log = Naming(log, forge=options.name)
        self._upstream = Upstream(options, Contact(log, clock))
        self._log = Sparing(log)
        self._passing = Passing(
            self._upstream, self._dialect, self._log, Room(options.held_bytes), options.read_bytes
        )
        self._keeping = keeping
        self._keeper = Keeper(self._snapshot, self._write, self._log)
        self._memory = Memory(self._keeper.changed)
        self._home = Home(
            options,
            self._dialect,
            self._passing,
            self._memory,
            log,
            tell,
            kept=self._keeper.kept,
            clock=clock,
            wall=wall,
        )
        self._lanes = Lanes(self._home)
        self._exchanges = Exchanges(
            self._home, self._lanes, keeping.finals if keeping else None, self._not_understood
        )
        self.unread = 0
        """Bodies that passed without being understood."""

    # --- for the daemon ------------------------------------------------------------------------------------

    @property
    def application(self) -> ASGIApp:
        """What answers the runners."""
        return self

    @property
    def pollers(self) -> list[Poller]:
        """The loops that ask the forge, one per runner."""
        return [lane.poller for lane in self._lanes.all()]

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """While this lasts runners are answered."""
        async with self._upstream:
            self._restore()
            duties = [
                asyncio.create_task(self._keeper.run()),
                asyncio.create_task(self._exchanges.finals.run()),
            ]
            self._lanes.restore()
            try:
                yield
            finally:
                await self._lanes.close()
                for duty in duties:
                    duty.cancel()
                await asyncio.gather(*duties, return_exceptions=True)
                await self._keeper.close()
                await self._exchanges.finals.write()

    def drain(self, name: str, on: bool) -> int:
        """Give the runners of this name, or with this key, no more tasks, or do so again: how many there are."""
        found = [lane for lane in self._lanes.all() if name in (lane.key, lane.identity.name)]
        for lane in found:
            lane.drain(on)
        return len(found)

    def pause(self, on: bool) -> None:
        """Ask the forge for no tasks, whoever waits for them, or do so again."""
        self._lanes.pause(on)

    async def cancel_tasks(self) -> None:
        """Have the forge cancel what runs; not what has ended, and has only not been told yet."""
        await self._lanes.cancel_tasks(frozenset(self._exchanges.finals.waiting))

    def standing(self) -> list[RunnerStanding]:
        """All runners that are known."""
        return [
            RunnerStanding(
                key=lane.key,
                name=lane.identity.name,
                standing=lane.poller.standing,
                draining=lane.draining,
                capacity=self.options.capacity,
                tasks=tuple(lane.workload.book.slots.held),
                unregistered=lane.poller.unregistered,
                trouble=lane.poller.trouble,
            )
            for lane in self._lanes.all()
            if lane.accepted
        ]

    # --- what a restart needs ------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take over from a former process. Raises JobmeterError where nothing can be kept."""
        if self._keeping is None:
            return
        try:
            state = self._keeping.state.read()
            self._exchanges.finals.restore()
        except OSError as error:
            folder = self._keeping.folder
            raise JobmeterError(
                f"{folder} cannot be used for what a restart needs: {error.strerror}"
            ) from None
        self._memory.restore(state.tasks, state.names)

    def _snapshot(self) -> State:
        return State(tasks=list(self._memory.tasks.values()), names=list(self._memory.names.values()))

    def _write(self, state: State) -> None:
        if self._keeping is not None:
            self._keeping.state.write(state)

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
                self._not_understood("it is larger than what is read")
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
                self._not_understood(str(error))
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

    def _not_understood(self, why: str) -> None:
        self.unread += 1
        self._log.warn("a request of a runner passes without being understood", error=why)
