"""What pages show of a run, kept for a while: a long run takes seconds to read, and its page is asked for again.

Its charts as pictures and every reader of a run that goes on need the same.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from jobmeter.receiver.api.answers import Found
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.types import RunTimeline
from jobmeter.receiver.store.live import Stage, stage_of
from jobmeter.receiver.store.scopes import Scopes

POINTS = 480
_MOST_KEPT = 32
# A run with very many containers is large, and nobody looks at it often.
_MOST_CELLS = 16 * POINTS

_Read = tuple[Found, RunTimeline]
_Key = tuple[str, Stage]


class Shown(NamedTuple):
    """A run, its course, and how far it had come."""

    found: Found
    course: RunTimeline
    stage: Stage


class ShownRuns:
    """Reads runs for their pages; who asks for what is being read waits for it."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._kept: OrderedDict[_Key, asyncio.Task[_Read | None]] = OrderedDict()

    async def run(self, run_uid: str, scopes: Scopes) -> Shown | None:
        """One run with its summary and its course; None when there is none within the scopes."""
        stage = await self._readings.read(partial(stage_of, run_uid=run_uid, scopes=scopes))
        if stage is None:
            return None
        key = run_uid, stage
        task = self._kept.get(key)
        if task is None:
            task = asyncio.create_task(self._readings.show(run_uid, points=POINTS))
            self._keep(key, task)
        self._kept.move_to_end(key)
        read = await asyncio.shield(task)
        return None if read is None else Shown(*read, stage)

    def _keep(self, key: _Key, task: asyncio.Task[_Read | None]) -> None:
        """Whatever fails or is too large is forgotten when it is done, and older states of the same run at once."""

        def done(task: asyncio.Task[_Read | None]) -> None:
            if task.cancelled() or task.exception() is not None or not _is_small(task.result()):
                self._kept.pop(key, None)

        for other in [other for other in self._kept if other[0] == key[0]]:
            del self._kept[other]
        self._kept[key] = task
        task.add_done_callback(done)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


def _is_small(read: _Read | None) -> bool:
    return read is not None and len(read[1].containers) * len(read[1].elapsed_seconds) <= _MOST_CELLS
