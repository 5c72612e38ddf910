"""One task from the forge's answer to the end of its runner, and of all that was made for it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from jobmeter.gateway.figures.process import Machines, MachineState
from jobmeter.gateway.forges.own import OwnDialect, Registration, fresh_credential
from jobmeter.gateway.forges.port import Task
from jobmeter.gateway.hooks import TaskHooks
from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.announcing import task_event
from jobmeter.gateway.launcher.deaths import Cause, Deaths
from jobmeter.gateway.launcher.options import LaunchOptions, RunnerOptions
from jobmeter.gateway.launcher.passes import Passes, digest_of
from jobmeter.gateway.launcher.site import Record, Site
from jobmeter.gateway.launcher.templates import Places, prepare
from jobmeter.gateway.polling.slots import Why
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.errors import JobmeterError
from jobmeter.supervise.keeper.end import Ended, Kept, of_want
from jobmeter.supervise.keeper.port import Keepers
from jobmeter.supervise.keeper.spec import Spec

MOST_STARTS = 3
PAUSE_SECONDS = 1.0
"""Before a runner that ended without having taken its task is started again; twice that the next time."""
ENDING_SECONDS, CANCELLED_SECONDS = 30.0, 60.0
"""So long a runner may take to end after its final report, or after it has heard that its task is over."""
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True)
class Shared:
    """What the launches of one forge share; ``version`` is the gateway's own."""

    home: Home
    own: OwnDialect
    keepers: Keepers
    site: Site
    options: LaunchOptions
    passes: "Passes[Launch]"
    machines: Machines
    hooks: TaskHooks | None
    version: str


class Employer(Protocol):
    """Whose runner works on a task."""

    @property
    def options(self) -> RunnerOptions:
        """How it is started."""
        ...

    @property
    def registration(self) -> Registration:
        """Who it is to the forge."""
        ...

    def over(self, launch: "Launch") -> None:
        """Its runner has ended, and the forge has been told how, or will be."""
        ...

    def removed(self, launch: "Launch") -> None:
        """Nothing is left of it."""
        ...


class Launch:
    """``known`` is what is remembered of the task, ``record`` what a former process has kept of its launch."""

    def __init__(
        self, shared: Shared, deaths: Deaths, employer: Employer, known: Known, record: Record | None = None
    ) -> None:
        self._shared = shared
        self._deaths = deaths
        self.employer = employer
        self.known = known
        self.name = shared.site.name(known.id)
        self._folder = str(shared.site.folder(known.id))
        self.record = record or self._new_record()
        self.settled: Why | None = "final" if known.result is not None else None
        """What has ended the task, as far as the forge is concerned; None: it is not over."""
        self.over = False
        """Whether its runner has ended, and may say nothing any more."""
        self.busy = 0
        """So many reports of it are on their way."""
        self._kept: Kept | None = None
        self._state: MachineState | None = None
        self._announced = False
        self._ending: asyncio.TimerHandle | None = None
        self._life: asyncio.Task[None] | None = None
        self._removing: asyncio.Task[None] | None = None

    @property
    def work_dir(self) -> Path:
        """Where its runner is started."""
        return Path(self.record.work_dir)

    @property
    def overdue(self) -> bool:
        """Whether its keeper ends it for having taken too long."""
        limit = self.employer.options.limits.timeout_seconds
        if limit is None or self._kept is None:
            return False
        return self._shared.home.wall() >= self._kept.started_at + limit

    @property
    def never_taken(self) -> bool:
        """Whether its runners, if any could be started, have ended without having asked for it."""
        return self.record.attempt >= MOST_STARTS and not self.record.handed

    def begin(self) -> None:
        """Start its runner, or take up one that a former process has started."""
        if self.record.digest:
            self._shared.passes.issue(self.record.digest, self)
        self._life = asyncio.create_task(self._live(), name=f"launch {self.known.id}")

    async def close(self) -> None:
        """Leave it alone: its keeper goes on."""
        if self._ending is not None:
            self._ending.cancel()
        for task in (self._life, self._removing):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def take(self) -> Task | None:
        """The task for its runner; None once that has shown a sign of it."""
        task = self.known.task
        if task is not None and not self.record.handed:
            self.record.handed = True
            await self._write()
            self._now("used")
            self._shared.machines.acted("used")
        return task

    def settle(self, why: Why) -> None:
        """The forge has heard how the task ended, or has ended it: its runner has a while to end too."""
        if self.settled is not None:
            return
        self.settled = why
        self._shared.home.memory.touch()
        seconds = ENDING_SECONDS if why == "final" else CANCELLED_SECONDS
        self._ending = asyncio.get_running_loop().call_later(seconds, self._end_it)

    async def announce_end(self) -> None:
        """Have its last sample taken, while there is something to be read."""
        if self._announced and self._shared.hooks is not None:
            self._announced = False
            await self._shared.hooks.task_ending(task_event("on_task_destroy", self.known, self._kept))

    async def cancel(self) -> None:
        """Have the forge cancel the task, and end its runner."""
        if self.settled is None:
            await self._deaths.cancel(self.known, self.employer.registration, self.record.token)
            self.settle("over")
        self.stop()
        if self._life is not None:
            await asyncio.wait({self._life})

    def stop(self) -> None:
        """Have its runner ended; its keeper does that within seconds."""
        if self._kept is not None:
            self._shared.keepers.stop(self._kept)

    # --- its life ------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        try:
            cause = await self._worked()
            await self._quiet()
            await self.announce_end()
            if cause is not None and not self._resolved:
                await self._died(cause)
        except Exception as error:
            # Whatever it is: a slot that is never free again would be worse.
            self._warn("a launch is given up by a fault of ours", fault=type(error).__name__)
            self.stop()
        self.over = True
        self._shared.passes.revoke(self.record.digest)
        if self._ending is not None:
            self._ending.cancel()
        self.employer.over(self)
        # Its slot is free: what is left of it keeps nobody waiting.
        self._removing = asyncio.create_task(self._remove(), name=f"removal {self.known.id}")

    @property
    def _resolved(self) -> bool:
        """Whether the forge knows how the task ended, or what it must hear is kept."""
        return self.settled is not None or self.known.result is not None

    async def _worked(self) -> Cause | None:
        """Have the task done: why there is no result; None if there is one."""
        keepers = self._shared.keepers
        self._kept = keepers.kept(self._folder) if self.record.attempt else None
        if self._kept is not None:
            self._now("used" if self.record.handed else "acquired")
            self._started()
        elif self.record.attempt:
            await self._clear()
            if self.known.task is None:
                return Cause("Of this job's runner nothing was found when the gateway began again.")
        while True:
            cause = await self._one_runner()
            if self._resolved or self.record.handed:
                return cause
            if self.record.attempt >= MOST_STARTS or self.known.task is None:
                return cause
            self._warn("a runner ended before it took its job; another one is started", why=cause.sentence)
            await asyncio.sleep(PAUSE_SECONDS * self.record.attempt)
            self._kept = None

    async def _one_runner(self) -> Cause:
        """Wait for the end of one, which is started if none is at work: why it ended."""
        if self._kept is None:
            try:
                await self._start()
            except (JobmeterError, OSError) as error:
                return Cause(f"The gateway could not start a runner for this job: {_reason(error)}.")
        ended = await self._shared.keepers.ended(self._folder)
        if ended is None:
            await self._clear()
            return Cause("What kept this job's runner was killed, and the job with it.")
        if ended.survivors:
            self._warn("a job left processes behind, which were ended", processes=_names(ended))
        sentence = of_want(ended) if ended.reason == "exit" else None
        return Cause(sentence or ended.detail, timed_out=ended.reason == "timeout")

    async def _start(self) -> None:
        shared, options = self._shared, self.employer.options
        began = shared.home.clock()
        self._now("creating")
        credential = fresh_credential()
        if shared.home.options.kind == "gitlab":
            credential = replace(credential, uuid=None)
        shared.passes.revoke(self.record.digest)
        self.record.digest, self.record.handed = digest_of(credential), False
        self.record.attempt += 1
        shared.passes.issue(self.record.digest, self)
        await self._write()
        places = Places(
            kind=shared.home.options.kind,
            name=options.name,
            task_id=self.known.id,
            url=shared.options.address,
            credential=credential,
            labels=self.employer.registration.labels,
            work_dir=self.record.work_dir,
            timeout_seconds=options.limits.timeout_seconds,
        )
        prepared = prepare(options.command, places, options.environment)
        await asyncio.to_thread(work_dir.make, self.work_dir, options.user, prepared)
        self._kept = await shared.keepers.start(
            Spec(
                task_id=self.known.id,
                name=self.name,
                folder=self._folder,
                work_dir=self.record.work_dir,
                argv=prepared.argv,
                environ=prepared.environ,
                journal=str(shared.site.journal(self.known.id)),
                user=options.user,
                limits=options.limits,
                job=self.known.job,
                receiver=shared.options.receiver,
                receiver_token=shared.options.receiver_token,
            )
        )
        shared.machines.acted("created", shared.home.clock() - began)
        if not self.record.handed:
            self._now("acquired")
        self._started()

    def _started(self) -> None:
        if self._shared.hooks is not None:
            self._shared.hooks.task_started(task_event("on_task_started", self.known, self._kept))
            self._announced = True

    async def _quiet(self) -> None:
        """Let a last report of the runner's arrive: it is still on its way when the runner has ended."""
        for _ in range(20):
            await asyncio.sleep(_LAST_WORDS_SECONDS / 20)
            if not self.busy:
                return

    async def _died(self, cause: Cause) -> None:
        self._warn("a job's runner ended without a result, and the job has failed", why=cause.sentence)
        await self._deaths.report(self.known, self.employer.registration, self.record.token, cause)
        self._shared.home.memory.touch()

    def _end_it(self) -> None:
        self._warn("a job is over and its runner has not ended: it is ended now")
        self.stop()

    async def _clear(self) -> None:
        """Do what a keeper that was killed would have done."""
        survivors = await self._shared.keepers.clear(self.name, self._kept)
        if survivors:
            named = [f"{one.name} ({one.pid})" for one in survivors]
            self._warn("what a keeper that was killed has left was ended", processes=named)

    async def _remove(self) -> None:
        """Take its directories away; a work dir of a failed task may stay."""
        self._now("removing")
        failed = self.known.result not in ("success", "skipped")
        site = self._shared.site
        try:
            if failed and self.employer.options.keep_failed:
                await asyncio.to_thread(work_dir.keep, self.work_dir, site.kept_work_dir(self.work_dir))
            else:
                await asyncio.to_thread(work_dir.remove, self.work_dir)
            await self._shared.home.kept()
            if (unsent := await self._shared.keepers.gone(self._folder)) is not None:
                self._warn("not all that was metered of a job has arrived", why=unsent)
            await asyncio.to_thread(site.remove, self.known.id)
        except OSError as error:
            self._warn("what is left of a job cannot be removed", error=_reason(error))
        self._now(None)
        self._shared.machines.acted("removed")
        self.employer.removed(self)

    async def _write(self) -> None:
        await asyncio.to_thread(self._shared.site.write, replace(self.record))

    def _now(self, state: MachineState | None) -> None:
        self._shared.machines.move(self._state, state)
        self._state = state

    def _new_record(self) -> Record:
        task, options = self.known.task, self.employer.options
        return Record(
            task_id=self.known.id,
            runner=options.name,
            work_dir=str(Path(options.work_dir) / self.name),
            token=self._shared.home.dialect.task_token(task) if task is not None else None,
        )

    def _warn(self, message: str, **fields: object) -> None:
        self._shared.home.log.warn(message, runner=self.employer.options.name, task=self.known.id, **fields)


def _reason(error: Exception) -> str:
    """Without a full stop."""
    said = (error.strerror or "") if isinstance(error, OSError) else str(error)
    return said.rstrip(".") or type(error).__name__


def _names(ended: Ended) -> list[str]:
    return [f"{one.name} ({one.pid})" for one in ended.survivors]
