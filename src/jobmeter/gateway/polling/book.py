"""The slots of one runner for those who wait: for a free one, for the end of one, for the end of all."""

import asyncio
import time
from collections.abc import Callable, Iterable

from jobmeter.gateway.polling.slots import Ended, Holder, Slots, Why


class SlotBook:
    """Keeps ``slots`` by the clock; to be used in one event loop.

    ``ended`` is told of each slot that becomes free, whatever the reason; it must not raise.
    """

    def __init__(
        self, slots: Slots, ended: Callable[[Ended], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.slots = slots
        self._ended = ended
        self._clock = clock
        self._change = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._watch()

    def take(self, task_id: str) -> Holder | None:
        """The forge has handed a task out; None if it holds a slot already."""
        return self._begun(self.slots.take(task_id, self._clock()))

    def sign(self, task_id: str) -> Holder | None:
        """The runner reports on a task: its new holder if that takes a slot."""
        return self._begun(self.slots.sign(task_id, self._clock()))

    def end(self, task_id: str, why: Why) -> bool:
        """A task is over; False if it holds no slot."""
        ended = self.slots.end(task_id, why, self._clock())
        self._tell([] if ended is None else [ended])
        return ended is not None

    def give_back(self, holder: Holder) -> None:
        """Who was to run the task has returned; the slot is left alone if the same task has taken one anew."""
        if self.slots.held.get(holder.task_id) is holder:
            self.end(holder.task_id, "returned")

    def asked(self) -> None:
        """The runner asks for a task."""
        self._tell(self.slots.asked(self._clock()))

    async def free(self) -> None:
        """Wait until a slot is free."""
        while self.slots.full:
            await self._change.wait()

    async def over(self, task_id: str) -> None:
        """Wait until the slot that the task holds now is free again."""
        holder = self.slots.held.get(task_id)
        while holder is not None and self.slots.held.get(task_id) is holder:
            await self._change.wait()

    async def empty(self) -> None:
        """Wait until no slot is held."""
        while self.slots.held:
            await self._change.wait()

    def close(self) -> None:
        """Look no more for lost tasks."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _begun(self, holder: Holder | None) -> Holder | None:
        if holder is not None:
            self._watch()
        return holder

    def _watch(self) -> None:
        """Come back when the first task may be lost; a later sign or task can only move that moment on."""
        due = self.slots.next_loss
        if self._alarm is None and due is not None:
            delay = max(0.0, due - self._clock())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._alarm = None
        ended = self.slots.lose(self._clock())
        self._watch()
        self._tell(ended)

    def _tell(self, ended: Iterable[Ended]) -> None:
        for one in ended:
            self._change.set()
            self._change = asyncio.Event()
            self._ended(one)
