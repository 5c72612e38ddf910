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
MOST_BYTES = 128 * 1024 * 1024
"""So many may wait at once, and so much of them: one more is dropped."""
PAUSES_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Before each further try: a run comes to its receiver while its job runs, or some minutes after its end."""
_AFTER_SCRAPE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_TAIL_SECONDS = 30.0
"""So long it may take to ask for the tail: nobody waits for that."""
_POINT_BYTES, _OTHER_BYTES = 120, 2048
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


class _Sized(NamedTuple):
    """A document that is not packed yet, and about so many bytes of memory."""

    document: Evidence
    size: int


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
        self._resting = set[asyncio.Task[None]]()
        self._held_bytes = 0

    @property
    def waiting(self) -> int:
        """How many jobs there is still something to be done for."""
        return len(self._under_way)

    def begin(self, occasion: Occasion, document: Evidence) -> None:
        """Bring it there, and once more with its tail."""
        size = _size(document)
        if len(self._under_way) >= MOST_JOBS or self._held_bytes + size > MOST_BYTES:
            self._tell(Told(occasion.task, "dropped", "too much evidence waits for the receiver"))
            return
        bringing = self._bring(occasion, _Sized(document, size))
        self._held_bytes += size
        task = asyncio.create_task(bringing, name=f"delivery {occasion.task}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self, patience_seconds: float) -> int:
        """Wait so long for what is being sent, then leave the rest: of how many jobs that is."""
        until = asyncio.get_running_loop().time() + patience_seconds
        while busy := self._under_way - self._resting:
            seconds = until - asyncio.get_running_loop().time()
            if seconds <= 0:
                break
            await asyncio.wait(busy, timeout=min(seconds, _LOOK_SECONDS))
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    async def _bring(self, occasion: Occasion, sized: "_Sized") -> None:
        tail_open, tail_seconds = sized.document.tail_open, sized.document.tail_seconds
        body = await self._packed(sized)
        # Only what is packed is kept: it may wait for minutes.
        del sized
        await self._send(occasion, body)
        if not tail_open:
            return
        scraped_at = occasion.end + tail_seconds + _AFTER_SCRAPE_SECONDS
        await self._rest(max(0.0, scraped_at - self._clock()))
        await self._send(occasion, await self._packed(await self._asked(occasion)))

    async def _rest(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._resting.add(task)
        try:
            await self._pause(seconds)
        finally:
            self._resting.discard(task)

    async def _asked(self, occasion: Occasion) -> "_Sized":
        document = await self._referee.ask(occasion, _TAIL_SECONDS)
        size = _size(document)
        self._held_bytes += size
        return _Sized(document, size)

    async def _packed(self, sized: "_Sized") -> bytes:
        """Much evidence takes a while to be packed, and others are served meanwhile."""
        body = b""
        try:
            body = await asyncio.to_thread(lambda: packed(encode(sized.document)))
        finally:
            self._held_bytes += len(body) - sized.size
        return body

    async def _send(self, occasion: Occasion, body: bytes) -> None:
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
                await self._rest(pause)
            else:
                return Told(occasion.task, "kept")
        raise AssertionError("the last try has returned")


def _size(document: Evidence) -> int:
    """A point is a pair of objects of its own, a series has labels, a query its texts."""
    series = sum(len(query.series) for query in document.queries)
    points = sum(query.point_count for query in document.queries)
    return _POINT_BYTES * points + _OTHER_BYTES * (series + len(document.queries) + 1)


def _may_pass(error: SendError) -> bool:
    return error.status is None or error.status >= 500 or error.status in (*_NOT_YET, 408, 425, 429)
