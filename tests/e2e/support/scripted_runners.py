"""Runners that behave on the wire as the official ones do, but faster: what they try again, when they give up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Literal, NamedTuple

import msgspec

from jobmeter.gateway.forges import messages
from tests.support.forges import actions, gitlab
from tests.support.forges.serving import Got, wire

SUCCESS, FAILURE, CANCELLED = 1, 2, 3
FETCH_LIMIT = ("Connect-Timeout-Ms", "4999")
LAST_ATTEMPTS = 10
"""Each pause is twice the one before: with 100 ms, as theirs, they end after 51 s."""
_NO_ANSWER = (OSError, asyncio.IncompleteReadError, TimeoutError)

Ending = Literal["act_runner", "forgejo-runner"]


class Patience(NamedTuple):
    """For how many seconds a runner waits for the answer to a report, and whether it says so."""

    seconds: float
    told: bool

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What it says."""
        return [("Connect-Timeout-Ms", f"{self.seconds * 1000:.0f}")] if self.told else []


OF_ACT_RUNNER, OF_FORGEJO_RUNNER, OF_NOBODY = Patience(10800, True), Patience(60, False), Patience(0.5, True)


class ActionsWorker(actions.Runner):
    """Asks for tasks and does them, ``capacity`` at a time, with ``reports`` reports each.

    ``keyed``: a request key for each request, the same one until it is answered. ``ending``:
    whose manners at a cancellation. ``last_pause`` is the first pause between attempts of its last reports.
    """

    def __init__(
        self,
        port: int,
        uuid: str,
        token: str,
        *,
        capacity: int = 1,
        reports: int = 3,
        keyed: bool = False,
        patience: Patience = OF_ACT_RUNNER,
        ending: Ending = "act_runner",
        pause: float = 0.01,
        last_pause: float = 0.01,
    ) -> None:
        super().__init__(port, uuid, token)
        self.last_pause = last_pause
        self.uuid, self.capacity, self.keyed = uuid, capacity, keyed
        self.reports, self.ending, self.pause = reports, ending, pause
        self._patience = patience
        self._keys = count()
        self.begun: Counter[int] = Counter()
        self.ended: dict[int, str] = {}
        """How each task ended for the runner: done, cancelled, given up."""

    async def work(self) -> None:
        """Until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.capacity):
                group.create_task(self._one_after_the_other())

    async def _one_after_the_other(self) -> None:
        while True:
            got = await self._asked()
            for task_id in got:
                await self.do(task_id)
            if not got:
                await asyncio.sleep(self.pause)

    async def _asked(self) -> list[int]:
        key = [("x-runner-request-key", f"{self.uuid}-{next(self._keys)}")] if self.keyed else []
        while True:
            with contextlib.suppress(*_NO_ANSWER):
                async with asyncio.timeout(5):
                    got = await self.call("FetchTask", FETCH_LIMIT, *key)
                if got.status == 200 and not got.cut:
                    return actions.task_ids(got)
            await asyncio.sleep(self.pause)
            if not key:
                return []

    async def do(self, task_id: int) -> None:
        """One job, to its end."""
        self.begun[task_id] += 1
        acknowledged = 0
        for number in range(self.reports):
            acknowledged = await self._report_log(task_id, acknowledged, number + 1)
            if await self._report_state(task_id) == CANCELLED:
                await self._cancelled(task_id, acknowledged, number + 1)
                return
            await asyncio.sleep(self.pause)
        self.ended[task_id] = await self._report_end(task_id, acknowledged, self.reports, SUCCESS)

    async def _report_log(self, task_id: int, start: int, rows: int) -> int:
        """Rows from ``start`` on: how many the forge has."""
        got = await self._tried("UpdateLog", task_id=task_id, index=start, rows=_rows(start, rows))
        return start if got is None else _decoded("UpdateLog", got).ack_index

    async def _report_state(self, task_id: int) -> int:
        got = await self._tried("UpdateTask", state={"id": task_id})
        return 0 if got is None else int(_decoded("UpdateTask", got).state.result)

    async def _cancelled(self, task_id: int, start: int, rows: int) -> None:
        if self.ending == "forgejo-runner":
            await self._report_end(task_id, start, rows, FAILURE)
        self.ended[task_id] = "cancelled"

    async def _report_end(self, task_id: int, start: int, rows: int, result: int) -> str:
        """The last rows, and if they are taken the result; both again if it is not."""
        log = {"task_id": task_id, "index": start, "rows": _rows(start, rows + 1), "no_more": True}
        for attempt in range(LAST_ATTEMPTS):
            if (
                await self._tried("UpdateLog", **log) is not None
                and await self._tried("UpdateTask", state={"id": task_id, "result": result}) is not None
            ):
                return "done"
            await asyncio.sleep(self.last_pause * 2**attempt)
        return "given up"

    async def _tried(self, call: str, **fields: Any) -> Got | None:
        """A report's answer, if it was taken."""
        try:
            async with wire(self.port) as line:
                await line.send(self.written(call, *self._patience.headers, **fields))
                got = await line.answer(seconds=self._patience.seconds)
        except _NO_ANSWER:
            return None
        return got if got.status == 200 and not got.cut else None


def _rows(start: int, end: int) -> list[dict[str, str]]:
    return [{"content": f"row {number} ::add-mask::planted-mask"} for number in range(start, end)]


def _decoded(call: str, got: Got) -> Any:
    return messages.decode(f"runner.v1.{call}Response", "proto", got.body)


class GitlabWorker(gitlab.Runner):
    """Asks for jobs and does them one after the other; a last update that is refused with 5xx is tried again."""

    def __init__(self, port: int, token: str, *, reports: int = 3, pause: float = 0.01) -> None:
        super().__init__(port, token)
        self.reports, self.pause = reports, pause
        self.begun: Counter[int] = Counter()
        self.ended: dict[int, str] = {}

    async def work(self) -> None:
        """Until this is cancelled."""
        while True:
            got = None
            with contextlib.suppress(*_NO_ANSWER):
                got = await self.fetch()
            if got is not None and got.status == 201 and not got.cut:
                await self.do(msgspec.json.decode(got.body)["id"])
            await asyncio.sleep(self.pause)

    async def do(self, job: int) -> None:
        """One job, to its end."""
        self.begun[job] += 1
        start = 0
        for number in range(self.reports):
            part = f"line {number} planted-mask\n".encode()
            got = await self._until_taken(partial(self.trace, job, start, part))
            if got.values("job-status")[-1] in ("canceled", "canceling"):
                await self._until_taken(partial(self.update, job, "failed", "unknown_failure"))
                self.ended[job] = "cancelled"
                return
            start = int(got.values("range")[-1].partition("-")[2])
            await asyncio.sleep(self.pause)
        await self._until_taken(partial(self.update, job, "success"))
        self.ended[job] = "done"

    async def _until_taken(self, report: Callable[[], Awaitable[Got]]) -> Got:
        while True:
            with contextlib.suppress(*_NO_ANSWER):
                got = await report()
                if got.status < 500:
                    return got
            await asyncio.sleep(self.pause)


@asynccontextmanager
async def at_work(*workers: ActionsWorker | GitlabWorker) -> AsyncIterator[None]:
    """While this lasts they work; leaving it kills them."""
    working = [asyncio.create_task(worker.work()) for worker in workers]
    try:
        yield
        for one in working:
            assert not one.done(), one
    finally:
        for one in working:
            one.cancel()
        for error in await asyncio.gather(*working, return_exceptions=True):
            if error is not None and not isinstance(error, asyncio.CancelledError):
                raise error  # Why what was waited for did not come.


async def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for it, not for ever."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
