"""One forge's front in launch mode: it asks the forge itself, and starts an official runner for each task."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from jobmeter.gateway.evidence import Referee
from jobmeter.gateway.figures.process import Machines
from jobmeter.gateway.forges import actions_own, gitlab_own
from jobmeter.gateway.forges.bodies import plain_body
from jobmeter.gateway.forges.own import OwnDialect
from jobmeter.gateway.forges.port import Call, Unreadable
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.keeping.keeping import Keeping
from jobmeter.gateway.launcher.crew import Crew, Posts
from jobmeter.gateway.launcher.deaths import Deaths
from jobmeter.gateway.launcher.door import Door
from jobmeter.gateway.launcher.options import LaunchOptions, RunnerOptions
from jobmeter.gateway.launcher.passes import Passes
from jobmeter.gateway.launcher.port import Shared
from jobmeter.gateway.launcher.registration import FOLDER, Registrations, Told
from jobmeter.gateway.launcher.removals import Removals
from jobmeter.gateway.launcher.site import Site
from jobmeter.gateway.polling.loop import Poller
from jobmeter.gateway.relay.footing import Footing
from jobmeter.gateway.relay.headers import by_name
from jobmeter.gateway.relay.home import Tell
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.passing import MOST_ANSWER_BYTES
from jobmeter.gateway.relay.relay import RunnerStanding
from jobmeter.gateway.relay.upstream import Limits, Unreachable
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.log import FullLog
from jobmeter.supervise.keeper.port import Keepers

_REGISTER_SECONDS = 10.0
AGAIN_SECONDS = 5.0


class Launcher:
    """A Front. ``tell`` hears what happens to its runners, ``machines`` counts the launches, ``hooks`` hear of tasks.

    ``state_dir`` is the gateway's: registrations and launches are there. Raises UsageError for certificates that
    cannot be used.
    """

    def __init__(
        self,
        options: ForgeOptions,
        launch: LaunchOptions,
        keepers: Keepers,
        state_dir: Path,
        log: FullLog,
        tell: Tell,
        machines: Machines,
        version: str,
        *,
        hooks: TaskHooks | None = None,
        referee: Referee | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self._launch = launch
        self._keepers = keepers
        self._version = version
        self._registrations = Registrations(state_dir / FOLDER / options.name)
        keeping = Keeping(state_dir, options.name, log)
        self._footing = Footing(options, log, tell, keeping, clock, wall, referee=referee)
        self._home = self._footing.home
        self._own: OwnDialect = gitlab_own if options.kind == "gitlab" else actions_own
        self._site = Site(state_dir, options.name)
        self._removals = Removals()
        shared = Shared(
            home=self._home,
            own=self._own,
            keepers=keepers,
            site=self._site,
            removals=self._removals,
            options=launch,
            passes=Passes(),
            machines=machines,
            hooks=hooks,
            version=version,
        )
        self._posts = Posts()
        self._exchanges = self._footing.exchanges(self._posts)
        self._crew = Crew(shared, self._posts, Deaths(self._home, self._own, self._exchanges))
        self._door = Door(shared, self._posts, self._exchanges)
        self._paused = False

    @property
    def application(self) -> ASGIApp:
        """What answers launched runners, and their jobs."""
        return self._door

    @property
    def pollers(self) -> list[Poller]:
        """The loops that ask the forge, one per registration."""
        return [post.poller for post in self._posts.all()]

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """While this lasts tasks are fetched, and launched runners answered.

        Raises JobmeterError where a registration cannot be had, or nothing can be kept.
        """
        async with self._footing.life(self._exchanges):
            enlisting: list[asyncio.Task[None]] = []
            try:
                self._make_site()
                self._keepers.open()
                later = [runner for runner in self._launch.runners if not await self._enlist(runner)]
                enlisting = [asyncio.create_task(self._enlist_later(runner)) for runner in later]
                self._crew.restored(self._launch.runners)
                yield
            finally:
                for task in enlisting:
                    task.cancel()
                await asyncio.gather(*enlisting, return_exceptions=True)
                await self._crew.close()
                self._removals.close()
                await self._keepers.close()

    def drain(self, name: str, on: bool) -> int:
        """Give the runners of this name, or with this key, no more tasks, or do so again: how many there are."""
        found = [post for post in self._posts.all() if name in (post.key, post.options.name)]
        for post in found:
            post.drain(on)
        return len(found)

    def pause(self, on: bool) -> None:
        """Ask the forge for no tasks, or do so again."""
        self._paused = on
        for post in self._posts.all():
            post.pause(on)

    def stop(self) -> None:
        """Ask the forge for no tasks any more."""
        for post in self._posts.all():
            post.poller.stop_asking()

    async def cancel_tasks(self) -> None:
        """Have the forge cancel what runs, and end it."""
        await self._crew.cancel()

    def standing(self) -> list[RunnerStanding]:
        """All registrations."""
        return [
            RunnerStanding(
                key=post.key,
                name=post.options.name,
                standing=post.poller.standing,
                draining=post.draining,
                capacity=post.options.capacity,
                tasks=tuple(post.book.slots.held),
                unregistered=post.poller.unregistered,
                trouble=post.trouble,
            )
            for post in self._posts.all()
        ]

    def _make_site(self) -> None:
        try:
            self._site.make()
        except OSError as error:
            raise JobmeterError(
                f"nothing can be kept of launched runners: {error.filename}: {error.strerror}"
            ) from None

    async def _enlist(self, runner: RunnerOptions) -> bool:
        """False if the forge cannot be asked for a new registration now. Raises JobmeterError."""
        try:
            registration = await self._registrations.obtain(
                runner, self.options.kind, self._own, f"jobmeter {self._version}", self._call
            )
        except Unreachable as error:
            self._home.sparing.warn("a runner cannot be registered now", runner=runner.name, error=str(error))
            return False
        except OSError as error:
            raise JobmeterError(
                f"{self.options.place}: the registration of {runner.name!r} cannot be kept: {error.strerror}"
            ) from None
        except JobmeterError as error:
            raise type(error)(f"{self.options.place}: {runner.name!r}: {error}") from None
        self._crew.enlist(runner, registration).pause(self._paused)
        return True

    async def _enlist_later(self, runner: RunnerOptions) -> None:
        try:
            await asyncio.sleep(AGAIN_SECONDS)
            while not await self._enlist(runner):
                await asyncio.sleep(AGAIN_SECONDS)
        except JobmeterError as error:
            self._home.log.warn("a runner is not registered", runner=runner.name, error=str(error))

    async def _call(self, call: Call) -> Told:
        """Raises Unreachable."""
        whole = await self._home.passing.call(
            call.method, call.path, call.headers, call.body, limits=Limits(total=_REGISTER_SECONDS)
        )
        headers = by_name(whole.pairs)
        try:
            return Told(whole.status, headers, plain_body(headers, whole.body, MOST_ANSWER_BYTES))
        except Unreadable as error:
            raise Unreachable(str(error)) from None
