"""Brings evidence to a receiver, which may know the run only later, and asks again for what was not scraped yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, Protocol

from jobmeter.model.errors import SendError
from jobmeter.model.evidence.document import Evidence, encode
from jobmeter.referee.referee import Occasion
from jobmeter.referee.uploads.receiver import packed

MOST_JOBS = 500
MOST_BYTES = 64 * 1024 * 1024
"""So many may wait at once, and so much of them: one more is dropped."""
PAUSES_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Before each further try: a run comes to its receiver while its job runs, or some minutes after its end."""
_AFTER_SCRAPE_SECONDS = 1.0
_TAIL_SECONDS = 30.0
"""So long it may take to ask for the tail: nobody waits for that."""
_NOT_YET = frozenset({404, 409})
"""Its run is not there, or not over; or several are alike, of which evidence of other jobs may leave one."""

Outcome = Literal["kept", "refused", "dropped"]


class Receiver(Protocol):
    """Keeps evidence with its run."""

    async def keep(self, packed: bytes, run_uid: str | None) -> None:
        """Raises SendError; its status is 404 or 409 for a run that may be there later."""
        ...


class Asks(Protocol):
    """Makes evidence of a job."""

    async def ask(self, occasion: Occasion, budget_seconds: float | None = None) -> Evidence:
        """What is seen of it by now."""
        ...


class Told(NamedTuple):
    """What became of one document; ``error`` says why it is not kept."""

    task: str | None
    outcome: Outcome
    error: str = ""


class Deliveries:
    """To one receiver. ``tell`` hears what became of each document; ``clock`` is the time of day."""

    def __init__(
        self,
        referee: Asks,
        receiver: Receiver,
        tell: Callable[[Told], None],
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._referee = referee
        self._receiver = receiver
        self._tell = tell
        self._clock = clock
        self._pause = pause
        self._under_way = set[asyncio.Task[None]]()
        self._held_bytes = 0

    @property
    def waiting(self) -> int:
        """How many jobs there is still something to be done for."""
        return len(self._under_way)

    def begin(self, occasion: Occasion, document: Evidence) -> None:
        """Bring it there, and once more with its tail."""
        if len(self._under_way) >= MOST_JOBS or self._held_bytes >= MOST_BYTES:
            self._tell(Told(occasion.task, "dropped", "too much evidence waits for the receiver"))
            return
        task = asyncio.create_task(self._bring(occasion, document), name=f"delivery {occasion.task}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self, patience_seconds: float) -> int:
        """Wait so long for what is being sent, then leave the rest: of how many jobs that is."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=patience_seconds)
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    async def _bring(self, occasion: Occasion, document: Evidence) -> None:
        await self._send(occasion, document)
        if not document.tail_open:
            return
        scraped_at = occasion.end + document.tail_seconds + _AFTER_SCRAPE_SECONDS
        await self._pause(max(0.0, scraped_at - self._clock()))
        await self._send(occasion, await self._referee.ask(occasion, _TAIL_SECONDS))

    async def _send(self, occasion: Occasion, document: Evidence) -> None:
        # Much evidence takes a while to be packed, and others are served meanwhile.
        body = await asyncio.to_thread(lambda: packed(encode(document)))
        self._held_bytes += len(body)
        try:
            self._tell(await self._kept(occasion, body))
        finally:
            self._held_bytes -= len(body)

    async def _kept(self, occasion: Occasion, body: bytes) -> Told:
        for pause in (*PAUSES_SECONDS, None):
            try:
                await self._receiver.keep(body, occasion.run_uid)
            except SendError as error:
                if pause is None or (not _may_pass(error)):
                    return Told(occasion.task, "refused", str(error))
                await self._pause(pause)
            else:
                return Told(occasion.task, "kept")
        raise AssertionError("the last try has returned")


def _may_pass(error: SendError) -> bool:
    return error.status is None or error.status >= 500 or error.status in (*_NOT_YET, 408, 425, 429)
