"""Containers of another machine, as someone tells of them: the one door for what this host's kernel does not know.

A machine that is not heard of for a while is shown as it was last; its containers are taken up again where they were.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from jobmeter.exporter.container import Row
from jobmeter.exporter.crediting import Crediting
from jobmeter.exporter.totals import Totals
from jobmeter.model.rates import delta

MAX_CONTAINERS = 2000
"""Of one machine."""
_SAME_START_SECONDS = 1.0
_READ_SECONDS = 2.0
"""So long before it was told a row may have been read."""


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


class _Other:
    """One container. ``baseline`` holds what is not ours to credit; None where all of it is.

    ``told_at`` is when it was told last, by the clock of what is shown, ``gone`` when it was first missing.
    """

    def __init__(self, row: Row, seen: float, baseline: Row | None) -> None:
        self.row = row
        self.told_at = 0.0
        self.seen = seen
        self.baseline = baseline
        self.around: _Other | None = None
        self.gone: float | None = None


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
        self._others: dict[str, _Other] = {}
        self._left: list[_Other] = []
        self._new: list[_Other] = []
        self._remembered: OrderedDict[str, _Other] = OrderedDict()

    def tell(self, told: Iterable[Row], still: Collection[str] = ()) -> None:
        """What the machine shows now; of those ``still`` there, by id, it has nothing new to say."""
        with self._lock:
            now = self._monotonic()
            named, begun = set(still), list[_Other]()
            for row in told:
                named.add(row.id)
                other = self._others.get(row.id)
                if other is None or _is_another(other, row):
                    other = self._begin(row, now)
                    if other is None:
                        continue
                    begun.append(other)
                other.row, other.told_at, other.gone = row, self._clock(), None
            if begun:
                self._place()
            for container_id in self._others.keys() - named:
                self._miss(container_id, now)
            self._told_at = now
            self._publish()

    def tick(self) -> None:
        """Let go of those that are past their time; credit what was used since."""
        with self._lock:
            now = self._monotonic()
            lost = self._told_at is not None and now - self._told_at > self._grace
            for container_id, other in list(self._others.items()):
                if lost or (other.gone is not None and now - other.gone > self._linger):
                    self._leave(container_id)
            self._credit(now)
            self._publish()

    def _begin(self, row: Row, now: float) -> _Other | None:
        """None where there is no room."""
        before = self._others.get(row.id)
        if before is not None:
            self._leave(row.id)
        if len(self._others) + len(self._left) >= MAX_CONTAINERS:
            self.refused += 1
            return None
        other = self._others[row.id] = _Other(row, now, self._baseline(row))
        if other.baseline is not None:
            self._new.append(other)
        return other

    def _place(self) -> None:
        """What one lies in may be told later than it."""
        for other in self._others.values():
            parent = other.row.parent
            if other.around is None and parent is not None and parent != other.row.id:
                other.around = self._others.get(parent)

    def _baseline(self, row: Row) -> Row | None:
        """Its last reading if it was here, else all that one has used that began before anyone watched.

        Of one that has begun anew since it was here, what cannot be told apart from a fall is left out too.
        """
        before = self._remembered.pop(row.id, None)
        if before is not None:
            if _is_younger(before, row):
                return None
            return row if _has_fallen(before, row) else before.row
        if row.started is None:
            return row if self._told_at is None else None
        return row if row.started < self._since else None

    def _miss(self, container_id: str, now: float) -> None:
        """It is told no more: it has ended, unless its machine has shown it after its end already."""
        other = self._others[container_id]
        if other.gone is not None:
            return
        if other.row.ended is not None:
            self._leave(container_id)
            return
        other.gone = now
        other.row = replace(other.row, ended=self._clock())

    def _leave(self, container_id: str) -> None:
        other = self._others.pop(container_id)
        self._left.append(other)
        self._remembered[container_id] = other
        if len(self._remembered) > MAX_CONTAINERS:
            self._remembered.popitem(last=False)

    def _credit(self, now: float) -> None:
        """One that has the place of another has its turn after it: totals know them by their places."""
        while self._left:
            leaving = {other.row.id: other for other in reversed(self._left)}
            later = [other for other in self._left if leaving[other.row.id] is not other]
            heirs = {*later, *(other for other in self._others.values() if other.row.id in leaving)}
            self._credit_but(heirs, tuple(leaving.values()), now)
            for other in leaving.values():
                around = other.around
                shown = around is not None and self._others.get(around.row.id) is around
                self._crediting.finish(other, within=shown)
            self._left = later
        self._credit_but(frozenset(), (), now)

    def _credit_but(self, heirs: Collection[_Other], leaving: Sequence[_Other], now: float) -> None:
        self._start([other for other in self._new if other not in heirs])
        self._new = [other for other in self._new if other in heirs]
        others = (other for other in self._others.values() if other not in heirs)
        self._crediting.credit((*others, *leaving), now)

    def _start(self, others: Sequence[_Other]) -> None:
        """Credit from their baselines on."""
        latest = [other.row for other in others]
        for other in others:
            other.row = other.baseline or other.row
        self._crediting.begin(others)
        for other, row in zip(others, latest, strict=True):
            other.row = row

    def _publish(self) -> None:
        self.rows = tuple(other.row for other in self._others.values())


def _is_another(before: _Other, row: Row) -> bool:
    """Whether it has the id of another, or its counters began anew."""
    return _is_younger(before, row) or _has_fallen(before, row)


def _is_younger(before: _Other, row: Row) -> bool:
    """Not where its start is only told otherwise: what was told after it was its own already."""
    grown = delta(before.row.started, row.started)
    if grown is None or row.started is None:
        return False
    return grown > _SAME_START_SECONDS and row.started > before.told_at - _READ_SECONDS


def _has_fallen(before: _Other, row: Row) -> bool:
    used = before.row.account.cpu_seconds, row.account.cpu_seconds
    return None not in used and delta(*used) is None
