"""Ends streamed runs: with a summary of all their records, also when they fall silent; and saves room afterwards."""

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import Connection

from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.model.summarize import RunFold
from jobmeter.model.summary import Summary
from jobmeter.ops.log import Log
from jobmeter.receiver.api import courses
from jobmeter.receiver.api.courses import CourseFold
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.store.block.process import BlockProcess
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.folding import first_record, fold_record, fold_stored, silence, summary_of
from jobmeter.receiver.store.merging import next_merge, unmerged_runs
from jobmeter.receiver.store.queries import State, find_run
from jobmeter.receiver.store.streams import Claim, Ending, Finish, Part
from jobmeter.receiver.store.writer import Writer

_SWEEP_SECONDS = (0.2, 30.0)
_PAGE = 100
_LOOKED_THROUGH = 10_000
_IDLE_SECONDS = 60.0


class Endings:
    """Folds and finishes runs, those too that fell silent."""

    def __init__(
        self, database: Database, writer: Writer, figures: Figures, log: Log, *, lost_after_seconds: float
    ) -> None:
        self._database = database
        self._writer = writer
        self._figures = figures
        self._log = log
        self._lost_after_seconds = lost_after_seconds
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # A merge takes one of the few threads that read, and the memory of a block.
        self._merging = asyncio.Lock()
        self._blocks = BlockProcess()
        self._idle: asyncio.TimerHandle | None = None
        self._stopping = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def alone(self, run_uid: str) -> asyncio.Lock:
        """Held by who ends this run: a sender that grows impatient sends the end again while it is folded."""
        return self._under_way.setdefault(run_uid, asyncio.Lock())

    async def of_part(self, part: Part, records: Sequence[wire.AnyRecord]) -> Ending:
        """The ending of a run with this part, which is its last one and has these records."""
        ending, trouble = await self._database.read_long(partial(_ending_of, part=part, records=records))
        self._tell(part.run_uid, trouble)
        return ending

    async def finish_silent(self) -> None:
        """For ever: finish what was not heard of for too long. Nobody could be heard before we began to listen."""
        shortest, longest = _SWEEP_SECONDS
        await asyncio.sleep(self._lost_after_seconds)
        while True:
            await asyncio.sleep(min(longest, max(shortest, self._lost_after_seconds / 4)))
            try:
                await self._finish_all(int((time.time() - self._lost_after_seconds) * 1000))
            except Exception as error:  # Later is early enough.
                self._log.warn("runs that fell silent could not be looked for", error=str(error))

    async def _finish_all(self, before: int) -> None:
        """Page by page, as long as there are more and any of them can be finished."""
        finished = _PAGE
        while finished:
            silent: list[str] = await self._writer.submit(Claim(before, _PAGE))
            finished = 0
            for run_uid in silent:
                try:
                    await self._finish(run_uid, before)
                    finished += 1
                except Exception as error:  # The others are to be finished all the same.
                    self._log.warn(
                        "a run that fell silent is not finished", run_uid=run_uid, error=str(error)
                    )
            if len(silent) < _PAGE:
                return

    async def merge_left(self) -> None:
        """Go on with what an end or a kill has broken off."""
        try:
            last, more = None, True
            while more:
                question = partial(unmerged_runs, after=last, limit=_LOOKED_THROUGH, stopping=self._stopping)
                run_uids, last = await self._database.read(question)
                for run_uid in run_uids:
                    await self._merge(run_uid)
                more = last is not None
        except Exception as error:  # It saves room; nothing is missing without it.
            self._log.warn("runs whose parts are not merged could not be looked for", error=str(error))

    async def _finish(self, run_uid: str, before: int) -> None:
        ending, trouble = await self._database.read_long(partial(_lost, run_uid=run_uid))
        if await self._writer.submit(Finish(run_uid, before, ending)):
            self._figures.lost.inc()
            self._log.warn("a run fell silent and is given up as lost", run_uid=run_uid)
            self._tell(run_uid, trouble)
            if trouble is None:
                self.merge_later(run_uid)

    def _tell(self, run_uid: str, trouble: str | None) -> None:
        if trouble is not None:
            self._log.warn("a run could not be read to its end", run_uid=run_uid, error=trouble)

    def merge_later(self, run_uid: str) -> None:
        """Begin to make a run that is over smaller; the next start goes on with one that is left half merged."""
        task = asyncio.create_task(self._merge(run_uid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _merge(self, run_uid: str) -> None:
        try:
            async with self._merging:
                await self._merge_alone(run_uid)
        except Exception as error:  # It saves room; nothing is missing without it.
            if not self._stopping.is_set():
                self._log.warn("the parts of a run are not merged", run_uid=run_uid, error=str(error))

    async def _merge_alone(self, run_uid: str) -> None:
        if self._idle is not None:
            self._idle.cancel()
        question = partial(next_merge, run_uid=run_uid, stopping=self._stopping, encoder=self._blocks.encoder)
        sequence = 0
        try:
            while merge := await self._database.read(partial(question, sequence=sequence)):
                if not await self._writer.submit(merge):
                    return
                sequence = merge.next_sequence
        finally:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._blocks.let_go)

    async def settle(self) -> None:
        """Break off what goes on after an answer."""
        self._stopping.set()
        self._blocks.let_go()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._idle is not None:
            self._idle.cancel()
        self._blocks.let_go()


def _ending_of(
    connection: Connection, part: Part, records: Sequence[wire.AnyRecord]
) -> tuple[Ending, str | None]:
    """What the stored records and those of the part say together; and why the stored ones could not all be read."""
    run = find_run(connection, part.run_uid)
    if run is not None and run.next_sequence >= part.next_sequence:
        return Ending(run.next_sequence, None), None  # It is there, and nobody will ask for the summary.
    first = first_record(connection, run.key) if run else records[0]
    folding = _Folding(first, part.next_sequence)
    trouble = fold_stored(connection, run.key, folding.fold) if run else None
    for record in records:
        fold_record(record, folding.fold)
    return folding.ending(run.next_sequence if run else 0, Exit()), trouble


def _lost(connection: Connection, run_uid: str) -> tuple[Ending, str | None]:
    """What the stored records say, without a summary if nothing can be told; and why not all could be read."""
    run = find_run(connection, run_uid)
    if run is None:
        return Ending(0, None, "lost"), None
    try:
        folding = _Folding(first_record(connection, run.key), run.next_sequence)
        trouble = fold_stored(connection, run.key, folding.fold)
        silent_seconds = max(0.0, time.time() - run.heard_at / 1000)
        return folding.ending(run.next_sequence, silence(silent_seconds), "lost"), trouble
    except Exception as error:  # Whatever it is, it would be the same the next time.
        return Ending(run.next_sequence, None, "lost"), str(error)


class _Folding:
    """Folds the records of a run below ``until`` for a summary; of a long one for the course that is kept, too."""

    def __init__(self, first: wire.AnyRecord | None, until: int) -> None:
        self._until = until
        self._both = CourseFold(first) if first is not None and until >= courses.LONG else None
        self.fold = self._both.fold if self._both else RunFold(timeline_points=2)

    def ending(self, next_sequence: int, without_end: Exit, state: State = "finished") -> Ending:
        """Of the run as it was stored, up to a record."""
        summary = summary_of(self.fold, without_end)
        course = courses.encode(self._both.course(), self._until) if self._both and summary else None
        return Ending(next_sequence, _encoded(summary), state, course)


def _encoded(summary: Summary | None) -> bytes | None:
    try:
        return None if summary is None else msgspec.json.encode(summary)
    except (OverflowError, ValueError):
        return None
