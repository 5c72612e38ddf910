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
from jobmeter.ops.log import Log
from jobmeter.receiver.figures import Figures
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.folding import fold_record, fold_stored, silence, summary_of
from jobmeter.receiver.store.merging import next_merge, unmerged_runs
from jobmeter.receiver.store.queries import find_run
from jobmeter.receiver.store.streams import Claim, Ending, Finish, Part
from jobmeter.receiver.store.writer import Writer

_SWEEP_SECONDS = (0.2, 30.0)
_PAGE = 100
_LOOKED_THROUGH = 10_000


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
        without_end = silence(self._lost_after_seconds)
        question = partial(_lost, run_uid=run_uid, without_end=without_end)
        ending, trouble = await self._database.read_long(question)
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
        sequence = 0
        try:
            async with self._merging:
                while True:
                    question = partial(
                        next_merge, run_uid=run_uid, sequence=sequence, stopping=self._stopping
                    )
                    merge = await self._database.read(question)
                    if merge is None or not await self._writer.submit(merge):
                        return
                    sequence = merge.next_sequence
        except Exception as error:  # It saves room; nothing is missing without it.
            self._log.warn("the parts of a run are not merged", run_uid=run_uid, error=str(error))

    async def settle(self) -> None:
        """Break off what goes on after an answer."""
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _ending_of(
    connection: Connection, part: Part, records: Sequence[wire.AnyRecord]
) -> tuple[Ending, str | None]:
    """What the stored records and those of the part say together; and why the stored ones could not all be read."""
    run = find_run(connection, part.run_uid)
    if run is not None and run.next_sequence >= part.next_sequence:
        return Ending(run.next_sequence, None), None  # It is there, and nobody will ask for the summary.
    fold = _fold()
    trouble = fold_stored(connection, run.key, fold) if run else None
    for record in records:
        fold_record(record, fold)
    return Ending(run.next_sequence if run else 0, _summary(fold, Exit())), trouble


def _lost(connection: Connection, run_uid: str, without_end: Exit) -> tuple[Ending, str | None]:
    """What the stored records say, without a summary if nothing can be told; and why not all could be read."""
    run = find_run(connection, run_uid)
    if run is None:
        return Ending(0, None, "lost"), None
    fold = _fold()
    try:
        trouble = fold_stored(connection, run.key, fold)
        summary = _summary(fold, without_end)
    except Exception as error:  # Whatever it is, it would be the same the next time.
        trouble, summary = str(error), None
    return Ending(run.next_sequence, summary, "lost"), trouble


def _fold() -> RunFold:
    """For a summary alone, which has no timeline."""
    return RunFold(timeline_points=2)


def _summary(fold: RunFold, without_end: Exit) -> bytes | None:
    summary = summary_of(fold, without_end)
    try:
        return None if summary is None else msgspec.json.encode(summary)
    except (OverflowError, ValueError):
        return None
