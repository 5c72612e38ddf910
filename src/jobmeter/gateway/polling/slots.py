"""Who holds which slot of a runner since when, and what ends it. Times are seconds of whatever clock the caller has."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

LOST_AFTER_SECONDS = 900.0
"""A runner that works reports every few seconds, and the forges give a task up after about as long."""
SILENT_SECONDS = 120.0
"""Runners at work report every few seconds, GitLab's each minute while nobody looks at the log; only act_runner 0.4 is
silent during a quiet step.
"""
LONG_SILENT_SECONDS = 300.0
"""GitLab's runners can be told to say nothing for four of these minutes."""
_MAX_REMEMBERED = 1024

Why = Literal["final", "terminal", "over", "asked", "lost", "returned"]
"""What ended a slot.

final: the runner's final report; terminal: a result in an answer that was passed to the runner; over: the forge says
that it has closed the task; asked: its runner asks for another one and reports it no more; lost: no sign for too long;
returned: whoever was to run the task has come to an end, by a failure too.
"""
_SETTLED: frozenset[Why] = frozenset({"final", "terminal", "over"})
"""Said by the runner or the forge: what the runner still reports afterwards does not take a slot again."""


class Holder(Struct):
    """One task in its slot: since when, when the runner was last heard of it; adopted: nobody saw it handed out."""

    task_id: str
    since: float
    last_sign: float | None = None
    adopted: bool = False


class Ended(Struct, frozen=True):
    """A slot that is free again."""

    holder: Holder
    why: Why
    at: float

    @property
    def seconds(self) -> float:
        """How long it was held."""
        return self.at - self.holder.since


class Slots:
    """The slots of one runner; ``capacity`` None: they are counted, and there is always one more.

    A task that the forge has handed out takes a slot even where none is free: it runs, whatever we would like.
    ``held`` is what a former process knew. With ``capacity`` 1 most runners ask only when they have nothing to do: the
    task of one that asks is over after ``done_after_seconds`` of silence, unless it has been seen to ask at work.
    """

    def __init__(
        self,
        capacity: int | None,
        lost_after_seconds: float = LOST_AFTER_SECONDS,
        held: Iterable[Holder] = (),
        *,
        done_after_seconds: float = SILENT_SECONDS,
    ) -> None:
        self.capacity = capacity
        self._lost_after_seconds = lost_after_seconds
        self._done_after_seconds = done_after_seconds
        self._asked_at = -math.inf
        self._asks_at_work = False
        """Whether it has reported a task on after it had asked for another one: it has more slots of its own."""
        self._held = {holder.task_id: holder for holder in held}
        # The last ones that are settled, so that a late report is not taken for a task that nobody knows.
        self._settled = OrderedDict[str, None]()

    @property
    def held(self) -> Mapping[str, Holder]:
        """Task id → its holder, the oldest first."""
        return MappingProxyType(self._held)

    @property
    def free(self) -> int | None:
        """How many more tasks may be asked for; None: as many as there are."""
        return None if self.capacity is None else max(0, self.capacity - len(self._held))

    @property
    def full(self) -> bool:
        """Whether nothing may be asked for."""
        return self.free == 0

    @property
    def next_loss(self) -> float | None:
        """When the first one is lost, unless there is a sign of it before; None: nothing is held."""
        return min(map(self._loss, self._held.values()), default=None)

    def take(self, task_id: str, now: float) -> Holder | None:
        """The forge has handed a task out; None if it holds a slot already."""
        if task_id in self._held:
            return None
        return self._hold(Holder(task_id, now))

    def sign(self, task_id: str, now: float) -> Holder | None:
        """The runner reports on a task: its new holder if it had no slot, and is not known to be over."""
        if (holder := self._held.get(task_id)) is not None:
            self._asks_at_work |= holder.last_sign is not None and holder.last_sign < self._asked_at
            holder.last_sign = now
            return None
        if task_id in self._settled:
            return None
        return self._hold(Holder(task_id, now, last_sign=now, adopted=True))

    def end(self, task_id: str, why: Why, now: float) -> Ended | None:
        """Free its slot; None if it has none (any more)."""
        if why in _SETTLED:
            self._settle(task_id)
        holder = self._held.pop(task_id, None)
        return None if holder is None else Ended(holder, why, now)

    def asked(self, now: float) -> list[Ended]:
        """The runner asks for a task, so it lives: what it has worked on and reports no more is over, unseen here.

        That is each that is silent for long, and if all slots are held the one that is silent for the longest time
        sooner. A task without any sign is not over: its hand-out may have been lost on the way.
        """
        self._asked_at = now
        signs = {one.task_id: one.last_sign for one in self._held.values() if one.last_sign is not None}
        over = [task_id for task_id, sign in signs.items() if now - sign >= LONG_SILENT_SECONDS]
        if self.full and not over:
            longest = min(signs, key=signs.__getitem__, default=None)
            over = [] if longest is None or now - signs[longest] < self._patience else [longest]
        return self._end_all("asked", now, [self._held[task_id] for task_id in over])

    def lose(self, now: float) -> list[Ended]:
        """Free the slots of those that have shown no sign for too long."""
        return self._end_all("lost", now, [one for one in self._held.values() if self._loss(one) <= now])

    @property
    def _patience(self) -> float:
        """After so many seconds of silence a task is over for a runner that asks though all slots are held."""
        return self._done_after_seconds if self.capacity == 1 and not self._asks_at_work else SILENT_SECONDS

    def _hold(self, holder: Holder) -> Holder:
        self._settled.pop(holder.task_id, None)
        self._held[holder.task_id] = holder
        return holder

    def _loss(self, holder: Holder) -> float:
        last = holder.since if holder.last_sign is None else holder.last_sign
        return last + self._lost_after_seconds

    def _end_all(self, why: Why, now: float, holders: Iterable[Holder]) -> list[Ended]:
        ended = (self.end(holder.task_id, why, now) for holder in holders)
        return [one for one in ended if one is not None]

    def _settle(self, task_id: str) -> None:
        self._settled[task_id] = None
        self._settled.move_to_end(task_id)
        if len(self._settled) > _MAX_REMEMBERED:
            self._settled.popitem(last=False)
