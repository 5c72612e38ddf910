"""What stands between one forge and its runners stands on, whether those come by themselves or are launched."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.forges import actions, gitlab
from jobmeter.gateway.forges.port import Dialect
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.keeping.state import Keeper, State
from jobmeter.gateway.relay.client import Room
from jobmeter.gateway.relay.contact import Contact
from jobmeter.gateway.relay.exchanges import Exchanges
from jobmeter.gateway.relay.home import Home, Tell
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.passing import Passing
from jobmeter.gateway.relay.port import Workers
from jobmeter.gateway.relay.tasks import Memory, whose
from jobmeter.gateway.relay.upstream import Upstream
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.log import FullLog, Naming, Sparing


class Footing:
    """The way to the forge, and what is remembered of its tasks; ``keeping`` holds what a restart needs.

    ``back`` is called when the forge answers that did not.
    Raises UsageError for certificates that cannot be used.
    """

    def __init__(
        self,
        options: ForgeOptions,
        log: FullLog,
        tell: Tell,
        keeping: Keeping | None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        *,
        back: Callable[[], None] = lambda: None,
        referee: Referee | None = None,
    ) -> None:
        dialect: Dialect = gitlab if options.kind == "gitlab" else actions
        log = Naming(log, forge=options.name)
        self.log = Sparing(log)
        self._upstream = Upstream(options, Contact(log, clock, back))
        self._keeping = keeping
        self._keeper = Keeper(self._snapshot, self._write, self.log)
        self.memory = Memory(self._keeper.changed)
        self.home = Home(
            options,
            dialect,
            Passing(self._upstream, dialect, self.log, Room(options.held_bytes), options.read_bytes),
            self.memory,
            log,
            tell,
            kept=self._keeper.kept,
            clock=clock,
            wall=wall,
            referee=referee,
        )
        self.unread = 0
        """Bodies that were not understood."""

    def exchanges(self, workers: Workers) -> Exchanges:
        """Reports of these."""
        spool = self._keeping.finals if self._keeping else None
        return Exchanges(self.home, workers, spool, self.not_understood)

    @asynccontextmanager
    async def life(self, exchanges: Exchanges) -> AsyncIterator[None]:
        """While this lasts the forge can be asked, and what changes is kept."""
        async with self._upstream:
            self._restore(exchanges)
            duties = [asyncio.create_task(self._keeper.run()), asyncio.create_task(exchanges.finals.run())]
            try:
                yield
            finally:
                for duty in duties:
                    duty.cancel()
                await asyncio.gather(*duties, return_exceptions=True)
                await self.home.evidences.close()
                await self._keeper.close()
                await exchanges.finals.write()

    def not_understood(self, why: str) -> None:
        """A body was none that is known."""
        self.unread += 1
        self.log.warn("a request of a runner passes without being understood", error=why)

    def _restore(self, exchanges: Exchanges) -> None:
        """Take over from a former process. Raises JobmeterError where nothing can be kept."""
        if self._keeping is None:
            return
        try:
            state = self._keeping.state.read()
            exchanges.finals.restore()
        except OSError as error:
            folder = self._keeping.folder
            raise JobmeterError(
                f"{folder} cannot be used for what a restart needs: {error.strerror}"
            ) from None
        self.memory.restore(state.tasks, state.names, state.drained)
        if state.tasks:
            said = [" ".join([known.id, *whose(known).values()]) for known in state.tasks]
            self.home.log.info("jobs of a former process are taken over", count=len(said), jobs=said)
        if state.drained:
            names = [self.home.name_of(key) for key in dict.fromkeys(state.drained.values())]
            self.home.log.info("these runners are drained since before the start", runners=names)

    def _snapshot(self) -> State:
        memory = self.memory
        return State(
            tasks=list(memory.tasks.values()),
            names=list(memory.names.values()),
            drained=dict(memory.drained),
        )

    def _write(self, state: State) -> None:
        if self._keeping is not None:
            self._keeping.state.write(state)
