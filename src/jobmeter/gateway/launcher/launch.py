"""One task from the forge's answer to the end of its runner, and of all that was made for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from msgspec.structs import replace

from jobmeter.gateway.faults import fault_of, is_cancelled, reason_of
from jobmeter.gateway.figures.process import MachineState
from jobmeter.gateway.forges.port import Task
from jobmeter.gateway.launcher.announcing import Announcing
from jobmeter.gateway.launcher.beginning import Beginning
from jobmeter.gateway.launcher.deaths import Cause, Deaths, cancelled, cause_of, lost
from jobmeter.gateway.launcher.kept_runner import KeptRunner
from jobmeter.gateway.launcher.last_words import last_words
from jobmeter.gateway.launcher.passes import digest_of
from jobmeter.gateway.launcher.port import Employer, Shared
from jobmeter.gateway.launcher.remains import Remains
from jobmeter.gateway.launcher.site import Record
from jobmeter.gateway.polling.slots import Why
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.errors import JobmeterError

MOST_STARTS = 3
PAUSE_SECONDS = 1.0
"""Before a runner that ended without having taken its task is started again; twice that the next time."""
ENDING_SECONDS, CANCELLED_SECONDS = 30.0, 60.0
"""So long a runner may take to end after its final report, or after it has heard that its task is over."""
CANCELING_SECONDS = 1800.0
"""So long GitLab waits for a word of a runner that it has asked to end a job: the job's after_script runs meanwhile."""
_LAST_WORDS_SECONDS = 2.0


class Waiting(Employer, Protocol):
    """An employer that hears of the end."""

    def over(self, launch: "Launch") -> None:
        """Its runner has ended, and the forge has been told how, or will be."""
        ...

    def removed(self, launch: "Launch") -> None:
        """Nothing is left of it."""
        ...


class Launch:
    """``known`` is what is remembered of the task, ``record`` what is kept of its launch.

    ``former``: a former process has begun it; without a record then what that has kept is lost.
    """

    def __init__(
        self,
        shared: Shared,
        deaths: Deaths,
        employer: Waiting,
        known: Known,
        record: Record | None = None,
        *,
        former: bool = False,
    ) -> None:
        self._shared = shared
        self._deaths = deaths
        self.employer = employer
        self.known = known
        self._runner = KeptRunner(shared.keepers, shared.site, known.id, self._warn)
        self._former = former
        self._lost = former and record is None
        # What can fail of a record is done where a fault loses no job.
        self.record = record or Record(task_id=known.id, runner=employer.options.name, work_dir="")
        self._beginning = Beginning(shared, employer, known, self._runner, self.record)
        self._announcing = Announcing(shared.hooks, known, self._runner, self._warn)
        self.settled: Why | None = "final" if known.result is not None else None
        """What has ended the task, as far as the forge is concerned; None: it is not over."""
        self.over = False
        """Whether its runner has ended, and may say nothing any more."""
        self.busy = 0
        """So many reports of it are on their way."""
        self._unending = False
        self._want: str | None = None
        self._looked = False
        self._handed_at = shared.home.clock()
        self._state: MachineState | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._life: asyncio.Task[None] | None = None
        self._removing: asyncio.Task[None] | None = None

    @property
    def overdue(self) -> bool:
        """Whether its keeper ends it for having taken too long."""
        return self._runner.overdue

    @property
    def never_taken(self) -> bool:
        """Whether its runners, if any could be started, have ended without having asked for it."""
        return self.record.attempt >= MOST_STARTS and not self.record.handed

    def begin(self) -> None:
        """Start its runner, or take up one that a former process has started."""
        if self.record.digest:
            self._shared.passes.issue(self.record.digest, self)
        if self.settled is not None:
            self._end_later(CANCELLED_SECONDS if self.known.result == "cancelled" else ENDING_SECONDS)
        self._life = asyncio.create_task(self._live(), name=f"launch {self.known.id}")

    async def close(self) -> None:
        """Leave it alone: its keeper goes on."""
        self._end_never()
        for task in (self._life, self._removing):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def take(self) -> Task | None:
        """The task for its runner; None once that has shown a sign of it, or has no use for it.

        Who was given it and asks on without a sign has not got it: an answer that is lost is given again.
        """
        task, again = self.known.task, self.record.handed
        if task is None or self._resolved or (again and self._was_given_lately):
            return None
        if again:
            self._warn("a job that never reached its runner is handed out again")
        self.record.handed, self._handed_at = True, self._shared.home.clock()
        try:
            await self._write()
        except BaseException:
            self.record.handed = again
            raise
        if not again:
            self._now("used")
            self._shared.machines.acted("used")
        return task

    @property
    def _was_given_lately(self) -> bool:
        """Whether its first report may still be to come; what a former process gave it counts from our begin on."""
        given_seconds = self._shared.home.clock() - self._handed_at
        return given_seconds < self._shared.home.options.unreported_seconds

    async def want(self) -> str | None:
        """One sentence for the end of its log if it has lost processes for want of memory; the same each time."""
        if not self._looked:
            self._want, self._looked = await self._runner.want(), True
        return self._want

    def settle(self, why: Why) -> None:
        """The forge has heard how the task ended, or has ended it: its runner has a while to end too."""
        if self.settled is not None:
            return
        self.settled = why
        self._shared.home.memory.touch()
        self._end_later(ENDING_SECONDS if why == "final" else CANCELLED_SECONDS)

    def asked_to_end(self) -> None:
        """The forge waits for its runner to end it, as long as that does something about it."""
        if self.settled is None and self._ending is None:
            self._end_later(CANCELING_SECONDS)

    async def announce_end(self) -> None:
        """Have its last sample taken, while there is something to be read."""
        await self._announcing.ending()

    async def cancel(self) -> None:
        """Have the forge cancel the task, and end its runner."""
        if self.settled is None:
            await self._guarded(
                self._deaths.cancel(self.known, self.employer.registration, self.record.token)
            )
            self.settle("over")
        self._runner.stop()
        if self._life is not None:
            await asyncio.wait({self._life})

    # --- its life ------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Whatever goes wrong, the forge hears how it ended, and its slot is free then."""
        try:
            cause = await self._worked()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            cause = await self._given_up(error)
        await self._quiet()
        self._shared.passes.revoke(self.record.digest)
        self.over = True
        await self._guarded(self.announce_end())
        if cause is not None and not self._resolved:
            await self._guarded(self._died(cause))
        self._end_never()
        try:
            self.employer.over(self)
        except Exception as error:
            self._warn("the end of a job is not told by a fault of ours", **fault_of(error))
        # Its slot is free: what is left of it keeps nobody waiting.
        self._removing = asyncio.create_task(self._remove(), name=f"removal {self.known.id}")

    async def _given_up(self, error: BaseException) -> Cause:
        self._warn("a job is given up by a fault of ours", **fault_of(error))
        await self._runner.end()
        return Cause(f"The gateway gave this job up by a fault of its own: {reason_of(error)}.")

    async def _guarded(self, step: Coroutine[Any, Any, None]) -> None:
        """A fault in it is told, and takes nothing else with it."""
        try:
            await step
        except Exception as error:
            self._warn("the end of a job is not complete by a fault of ours", **fault_of(error))

    @property
    def _resolved(self) -> bool:
        """Whether the forge knows how the task ended, or what it must hear is kept."""
        return self.settled is not None or self.known.result is not None

    async def _worked(self) -> Cause | None:
        """Have the task done: why there is no result; None if there is one."""
        if self._former and (lost := await self._found()) is not None:
            return lost
        while True:
            cause = await self._one_runner()
            if cause is None or self._resolved or self.record.handed:
                return cause
            if self.record.attempt >= MOST_STARTS or self.known.task is None:
                return cause
            self._warn("a runner ended before it took its job; another one is started", why=cause.sentence)
            await asyncio.sleep(PAUSE_SECONDS * self.record.attempt)
            self._runner.kept = None

    async def _found(self) -> Cause | None:
        """Take up what a former process has started, or end it; why there is no result, if there can be none."""
        runner, kept = self._runner, self._shared.site.folder(self.known.id).exists()
        found = await runner.find()
        if self._lost:
            self._beginning.complete()
            self._say_damaged(begun=found or self.known.task is None)
        if found and (self.record.attempt or self._reports_itself):
            if self._lost:
                self.record.attempt, self.record.handed = 1, True
                await self._write()
            self._now("used" if self.record.handed else "acquired")
            self._started()
            self._runner.say_elsewhere(self.record.address, self._shared.options.address)
            return None
        if runner.kept is not None or self.record.attempt or self._lost:
            await runner.end()
            runner.kept = None
        if self.known.task is not None:
            return None
        if self._lost and kept:
            return Cause("What the gateway had kept of this job's runner was damaged when it began again.")
        return Cause("Of this job's runner nothing was found when the gateway began again.")

    def _say_damaged(self, *, begun: bool) -> None:
        """Not where the former process ended before anything was begun, or after all was told."""
        if self.known.result is None and (begun or self._shared.site.has_record(self.known.id)):
            self._warn("what was kept of a job's launch is damaged or gone")

    @property
    def _reports_itself(self) -> bool:
        """Whether its runner, which has the task, needs no credentials of ours to report it."""
        return self.known.task is None and self.known.token is not None

    async def _one_runner(self) -> Cause | None:
        """Wait for the end of one, which is started if none is at work: why it ended; None if there need be none."""
        if self._runner.kept is None:
            if self._resolved:
                return None
            try:
                await self._start()
            except (JobmeterError, OSError) as error:
                await self._runner.end()  # One that has come to life too late, or what is left of it.
                return Cause(f"The gateway could not start a runner for this job: {reason_of(error)}.")
            if self.settled is not None:
                self._runner.stop()
        ended = await self._runner.ended()
        if ended is None:
            await self._runner.clear()
            limit = self._beginning.limits.timeout_seconds if self.overdue else None
            return lost(limit, await self._unwritable())
        self._runner.survived(ended.survivors)
        if self._unending:
            return cancelled(CANCELING_SECONDS)
        return await self._explained(cause_of(ended))

    async def _explained(self, cause: Cause) -> Cause:
        """Of a runner that did not take its task, with what it wrote; later that may be the job's own."""
        if self.record.handed:
            return cause
        secrets = (self.record.token, self.employer.registration.token)
        words = await asyncio.to_thread(last_words, self._shared.site.output(self.known.id), secrets)
        return cause if words is None else cause._replace(sentence=f"{cause.sentence} It wrote last: {words}")

    async def _start(self) -> None:
        shared, record = self._shared, self.record
        began = shared.home.clock()
        self._now("creating")
        credential = self._beginning.credential()
        shared.passes.revoke(record.digest)
        self._beginning.complete()
        record.digest, record.handed = digest_of(credential), False
        record.attempt += 1
        record.address = shared.options.address
        shared.passes.issue(record.digest, self)
        await self._write()
        await self._beginning.start(credential)
        shared.machines.acted("created", shared.home.clock() - began)
        if not record.handed:
            self._now("acquired")
        self._started()

    def _started(self) -> None:
        if self._runner.kept is not None:
            self.known.run_uid = self._runner.kept.run_uid
            self._shared.home.memory.touch()
        self._announcing.started()

    async def _quiet(self) -> None:
        """Let a last report of the runner's arrive: it is still on its way when the runner has ended."""
        for _ in range(20):
            await asyncio.sleep(_LAST_WORDS_SECONDS / 20)
            if not self.busy:
                return

    async def _died(self, cause: Cause) -> None:
        self._warn("a job's runner ended without a result, and the job has failed", why=cause.sentence)
        await self._deaths.report(self.known, self.employer.registration, self.record.token, cause)

    def _end_later(self, seconds: float) -> None:
        """In place of any earlier limit."""
        self._end_never()
        if self.over:  # A report that was on its way.
            return
        self._ending = asyncio.get_running_loop().call_later(seconds, self._end_it)

    def _end_never(self) -> None:
        self._runner.leave()
        if self._ending is not None:
            self._ending.cancel()

    def _end_it(self) -> None:
        self._unending = self.settled is None
        what = "was cancelled" if self._unending else "is over"
        self._warn(f"a job {what} and its runner has not ended: it is ended now")
        self._runner.stop()

    async def _remove(self) -> None:
        """Take away what was made for it; what resists is left for the next start."""
        self._now("removing")
        shared = self._shared
        remains = Remains(shared.keepers, shared.site, shared.removals, self.record, self._warn)
        keep = self.employer.options.keep_failed and self.known.result not in ("success", "skipped")
        await remains.clear(keep=keep, sent=shared.options.receiver is not None, kept=shared.home.kept)
        self._now(None)
        self._shared.machines.acted("removed")
        self.employer.removed(self)

    async def _unwritable(self) -> str | None:
        """Why nothing can be kept of it now."""
        try:
            await asyncio.to_thread(self._shared.site.refuse_full)
        except OSError as error:
            return reason_of(error)
        return None

    async def _write(self) -> None:
        await asyncio.to_thread(self._shared.site.write, replace(self.record))

    def _now(self, state: MachineState | None) -> None:
        self._shared.machines.move(self._state, state)
        self._state = state

    def _warn(self, message: str, **fields: object) -> None:
        self._shared.home.log.warn(message, runner=self.employer.options.name, task=self.known.id, **fields)
