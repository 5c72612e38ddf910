"""Has a referee asked at the end of each job, while the job's own token still works, and no job held for long."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.gateway.faults import fault_of
from jobmeter.model.job import Job
from jobmeter.ops.log import FullLog

_MOST_JOBS = 2000
"""So many are remembered as asked, and so many tokens."""


class Ended(Struct, frozen=True, kw_only=True):
    """A job of ``forge`` that is over, or is about to be; times in seconds since the epoch.

    ``began`` is when the forge handed it out, None where that was not seen. ``run_uid`` is that of a run that is known
    to be the job's. ``token`` is the one that it was reported with, ``runtime_token`` that for its artifacts; neither
    is ever kept on disk, or in any text of this.
    """

    forge: str
    task_id: str
    job: Job
    runner: str | None
    run_uid: str | None
    began: float | None
    ended: float
    token: str | None = None
    runtime_token: str | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"Ended({self.forge}, task={self.task_id})"


class Referee(Protocol):
    """Makes evidence of jobs."""

    @property
    def budget_seconds(self) -> float:
        """So long a last report may wait for it; 0 where nothing needs the job's token."""
        ...

    @property
    def wants_runtime_tokens(self) -> bool:
        """Whether it attaches artifacts to jobs of Actions."""
        ...

    async def ended(self, ended: Ended) -> None:
        """Ask what was seen of it, and attach that. It may take longer than the budget: nobody waits then."""
        ...

    def late(self, ended: Ended) -> None:
        """A last report went before it was done."""
        ...


class _Asking(NamedTuple):
    """Of one job: reports of its end wait ``until`` then, by the loop's clock."""

    task: asyncio.Task[None]
    until: float


class Evidences:
    """Asks once for each task of one forge, also if its runner reports the end again. Without a referee: never."""

    def __init__(self, referee: Referee | None, log: FullLog) -> None:
        self._referee = referee
        self._log = log
        self._asked = OrderedDict[str, _Asking]()
        self._under_way = set[asyncio.Task[None]]()
        self._tokens = OrderedDict[str, str]()

    def remember(self, task_id: str, runtime_token: Callable[[], str | None]) -> None:
        """It was handed out with this token for its artifacts, which is read only if somebody wants it."""
        if self._referee is None or not self._referee.wants_runtime_tokens:
            return
        token = runtime_token()
        if token is not None:
            self._tokens[task_id] = token
            if len(self._tokens) > _MOST_JOBS:
                self._tokens.popitem(last=False)

    def forget(self, task_id: str) -> None:
        """It is over, and nobody will ask for it."""
        self._tokens.pop(task_id, None)

    def begin(self, ended: Ended) -> None:
        """Ask, and hold nothing."""
        token = self._tokens.pop(ended.task_id, None)
        if self._referee is None or ended.began is None or ended.task_id in self._asked:
            return
        asking = self._ask(self._referee, replace(ended, runtime_token=token))
        until = asyncio.get_running_loop().time() + self._referee.budget_seconds
        task = asyncio.create_task(asking, name=f"evidence {ended.task_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        self._asked[ended.task_id] = _Asking(task, until)
        if len(self._asked) > _MOST_JOBS:
            self._asked.popitem(last=False)

    async def wait(self, ended: Ended, most_seconds: float) -> None:
        """Ask, and wait for it, within its budget and so many seconds."""
        is_first = ended.task_id not in self._asked
        self.begin(ended)
        asked = self._asked.get(ended.task_id)
        if self._referee is None or asked is None or not self._referee.budget_seconds:
            return
        # Who leaves, or waits no more, does not end it; who reports the end again waits for the rest.
        left = max(0.0, asked.until - asyncio.get_running_loop().time())
        _, late = await asyncio.wait({asked.task}, timeout=min(left, most_seconds))
        if late and is_first:
            self._referee.late(ended)

    async def close(self) -> None:
        """End what is still asked."""
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _ask(self, referee: Referee, ended: Ended) -> None:
        try:
            await referee.ended(ended)
        except Exception as error:
            self._log.warn("no evidence of a job by a fault of ours", task=ended.task_id, **fault_of(error))
