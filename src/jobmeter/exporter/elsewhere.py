"""Containers of another machine, as someone tells of them: the one door for what this host's kernel does not know.

A machine that is not heard of for a while is shown as it was last; its containers are taken up again where they were.
What is credited never falls. A counter that does gives no value, each by itself: one that is at half or less has begun
anew, and what it grows from there counts; any other counts again once it is beyond where it was.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from msgspec.structs import replace

from jobmeter.exporter.container import Row
from jobmeter.exporter.crediting import Crediting
from jobmeter.exporter.totals import Totals
from jobmeter.model.account import Account
from jobmeter.model.rates import delta

MAX_CONTAINERS = 2000
"""Of one machine."""
_SAME_START_SECONDS = 1.0
_READ_SECONDS = 2.0
"""So long before it was told a row may have been read."""
_HELD_SECONDS = 60.0
"""So long what is around one that cannot be read waits for it."""
_CREDITED = ("cpu_seconds", "network_received_bytes", "network_sent_bytes", "oom_kills")


class RowSource(Protocol):
    """Shows containers that are not the fleet's."""

    @property
    def rows(self) -> Sequence[Row]:
        """Replaced as a whole, never changed; for any thread."""
        ...

    def tick(self) -> None:
        """Let time pass, and credit what was used; from the thread of the fleet."""
        ...


def path_of(machine: str, container_id: str) -> str:
    """The path of a row of another machine: those of this host begin with a slash."""
    return f"{machine}/{container_id}"


class _Used:
    """What one container has used that is ours to credit: all, or from here on where it was there ``earlier``."""

    def __init__(self, *, earlier: bool) -> None:
        self.earlier = earlier
        self.sums: dict[str, Any] = dict.fromkeys(_CREDITED, 0)
        self._counted: dict[str, float] = {} if earlier else dict(self.sums)

    def read(self, account: Account) -> None:
        """Add what has grown. What could not be read has not, by now."""
        for name in _CREDITED:
            now = getattr(account, name)
            if now is not None:
                before = self._counted.get(name, now)
                self.sums[name] += max(0, now - before)
                self._counted[name] = now if now > before or 2 * now <= before else before

    def rest(self) -> "_Used":
        """What is used from here on."""
        rest = _Used(earlier=True)
        rest._counted = dict(self._counted)
        return rest

    def add(self, other: "_Used") -> None:
        """It has used what those within have."""
        for name, value in other.sums.items():
            self.sums[name] += value


class _Other:
    """One container. ``shown`` is its row, ``row`` what it is to Crediting: its account is what is ours to credit.

    ``number`` tells it from others with its id, ``turn`` also from itself before something around it began anew.
    ``told_at`` is when it was told last, by the clock of what is shown, ``gone`` when it was first missing. One that is
    ``over`` is never taken up again.
    """

    def __init__(self, told: Row, number: int, turn: int, seen: float, used: _Used) -> None:
        self.told = told
        self.number = number
        self.turn = turn
        self.seen = seen
        self.used = used
        self.told_at = 0.0
        self.around: _Other | None = None
        self.gone: float | None = None
        self.over = False
        self._set(told)

    def read(self, row: Row, told_at: float) -> None:
        """It was told."""
        self.told, self.told_at, self.gone = row, told_at, None
        self.used.read(row.account)
        self._set(row)

    def miss(self, now: float, ended: float) -> None:
        """It is told no more."""
        self.gone = now
        self._set(replace(self.told, ended=ended))

    def heir(self, turn: int, seen: float) -> "_Other":
        """The same one for what it uses from here on; this one is over."""
        heir = _Other(self.told, self.number, turn, seen, self.used.rest())
        heir.told_at, heir.gone, heir.shown = self.told_at, self.gone, self.shown
        self.over = True
        return heir

    def _set(self, row: Row) -> None:
        """Totals know containers by their paths: none has that of another."""
        self.shown = replace(row, number=self.number)
        account = Account(**self.used.sums)
        self.row = replace(row, path=f"{row.path} {self.turn}", account=account)


class Elsewhere:
    """The containers of one machine: one thread tells, one ticks, any may read ``rows``.

    Rows are told whole; one of which nothing new is known should hold the same Identity object. ``linger_seconds`` is
    how long one is shown that is told no more, ``grace_seconds`` how long all are when nothing is told. ``clock`` is of
    the times that are shown.
    """

    def __init__(
        self,
        totals: Totals,
        *,
        linger_seconds: float,
        grace_seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows: tuple[Row, ...] = ()
        self.refused = 0
        """Containers beyond what is shown of one machine."""
        self._crediting = Crediting(totals, kills_are_nested=True)
        self._linger = linger_seconds
        self._grace = grace_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._since = clock()
        self._told_at: float | None = None
        self._lock = threading.Lock()
        self._turns = count(1)
        self._others: dict[str, _Other] = {}
        self._remembered: OrderedDict[str, _Other] = OrderedDict()
        self._over: list[_Other] = []
        self._held: set[_Other] = set()

    def tell(self, told: Iterable[Row], still: Collection[str] = ()) -> None:
        """What the machine shows now; of those ``still`` there, by id, it has nothing new to say."""
        with self._lock:
            now, rows = self._monotonic(), list(told)
            begun = {other for row in rows if (other := self._seat(row, now)) is not None}
            self._renew(now)
            self._place(begun)
            # Not before: what is within one that began anew goes on from where it was when that began.
            for row in rows:
                other = self._others.get(row.id)
                if other is not None:
                    other.read(row, self._clock())
            for container_id in self._others.keys() - {row.id for row in rows}.union(still):
                self._miss(container_id, now)
            self._told_at = now
            self._held = self._around(still)
            self._publish()

    def tick(self) -> None:
        """Let go of those that are past their time; credit what was used since."""
        with self._lock:
            now = self._monotonic()
            lost = self._told_at is not None and now - self._told_at > self._grace
            if lost:
                self._held = set()
            for container_id, other in list(self._others.items()):
                if lost or (other.gone is not None and now - other.gone > self._linger):
                    self._leave(container_id)
            self._credit(now)
            self._publish()

    # --- who is there

    def _seat(self, row: Row, now: float) -> _Other | None:
        """Have a place for it: the container if it is a new one."""
        before = self._others.get(row.id) or self._remembered.get(row.id)
        another = before is not None and _is_younger(before, row)
        if before is not None and another:
            self._end(before)
        if row.id in self._others:
            return None
        if len(self._others) + len(self._over) >= MAX_CONTAINERS:
            self.refused += 1
            return None
        if before is not None and not another:
            self._others[row.id] = self._remembered.pop(row.id)
            before.seen = now
            return None
        earlier, turn = not another and self._was_there(row), next(self._turns)
        other = self._others[row.id] = _Other(row, turn, turn, now, _Used(earlier=earlier))
        if earlier:
            self._crediting.take_over(other)
        return other

    def _was_there(self, row: Row) -> bool:
        """Whether one that is new here has begun before anyone watched."""
        return self._told_at is None if row.started is None else row.started < self._since

    def _renew(self, now: float) -> None:
        """What lies in one that is over goes on, but not as what that one has used. It may be of the one after it."""
        within: dict[_Other, list[_Other]] = {}
        for other in self._known():
            if other.around is not None:
                within.setdefault(other.around, []).append(other)
        outer = [around for around in within if around.over]
        while outer:
            around = outer.pop()
            for other in within.pop(around, ()):
                if _began_after(around, other, self._others.get(around.told.id)):
                    other.around = None
                elif not other.over:
                    where = self._others if self._others.get(other.told.id) is other else self._remembered
                    heir = where[other.told.id] = other.heir(next(self._turns), now)
                    self._crediting.take_over(heir)
                    self._over.append(other)
                    outer.append(other)

    def _place(self, begun: Collection[_Other]) -> None:
        """What one lies in may be told later than it."""
        for other in self._known():
            parent = other.told.parent
            if other.around is None and parent is not None and parent != other.told.id:
                around = self._others.get(parent) or self._remembered.get(parent)
                other.around = around
                if around in begun and around is not None and around.used.earlier:
                    around.used.add(other.used)

    def _around(self, still: Collection[str]) -> set[_Other]:
        """What is around those that cannot be read now: what they use is not to be credited to it."""
        held: set[_Other] = set()
        for container_id in still:
            other = self._others.get(container_id) or self._remembered.get(container_id)
            if other is not None and self._clock() - other.told_at < _HELD_SECONDS:
                around = other.around
                while around is not None and around not in held:
                    held.add(around)
                    around = around.around
        return held

    def _known(self) -> Iterator[_Other]:
        yield from self._others.values()
        yield from self._remembered.values()

    def _miss(self, container_id: str, now: float) -> None:
        """It is told no more: it has ended, unless its machine has shown it after its end already."""
        other = self._others[container_id]
        if other.gone is not None:
            return
        if other.told.ended is not None:
            self._leave(container_id)
            return
        other.miss(now, self._clock())

    def _leave(self, container_id: str) -> None:
        """It is shown no more, and taken up again if it comes back; of those that left, the first are forgotten."""
        other = self._remembered[container_id] = self._others.pop(container_id)
        other.seen = float("-inf")
        if len(self._remembered) > MAX_CONTAINERS:
            self._end(next(iter(self._remembered.values())))

    def _end(self, other: _Other) -> None:
        other.over = True
        self._over.append(other)
        for known in (self._others, self._remembered):
            if known.get(other.told.id) is other:
                del known[other.told.id]

    # --- what is told of them

    def _credit(self, now: float) -> None:
        self._crediting.credit((*self._known(), *self._over), now, self._held)
        for other in self._over:
            around = other.around
            self._crediting.finish(other, within=around is not None and not around.over)
        self._over = []

    def _publish(self) -> None:
        self.rows = tuple(other.shown for other in self._others.values())


def _began_after(before: _Other, within: _Other, around: _Other | None) -> bool:
    """Whether it has never been in the one before, but in another that has its id now."""
    if around is None or around.number == before.number:
        return False
    inner, outer = within.told.started, around.told.started
    return inner is not None and outer is not None and inner > outer - _SAME_START_SECONDS


def _is_younger(before: _Other, row: Row) -> bool:
    """Whether it has the id of another.

    Not where its start is only told otherwise: what was told after it was its own already.
    """
    grown = delta(before.told.started, row.started)
    if grown is None or row.started is None:
        return False
    return grown > _SAME_START_SECONDS and row.started > before.told_at - _READ_SECONDS
