"""The ledger: CPU time of groups of processes, conserved when children are reaped.

The total of a group is the sum over its live processes of their own time plus the time of the
children they reaped (utime + stime + cutime + cstime of proc_pid_stat(5)). When a child is reaped,
wait(2) moves its time to its parent, so the sum is conserved and its growth is the CPU time used,
however short the children lived. What the sum alone would lose or count twice is mended here:

- A process that leaves without its time arriving at a parent of the group is remembered at its last reading.
- Time that existed before the first reading is not counted, also when it arrives at a parent later.
- Time that a foreign parent inherits is not counted for the parent's group as well.
- What the reaper of orphans (pid 1) inherits of processes never seen belongs to no group that can
  be named: it is unattributed.

Groups form a forest; a group includes those nested in it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from jobmeter.model.readings import ProcessReading

# States of a process that waits to be reaped and has no children any more.
_ENDED = ("Z", "X")
# The parent of a process that was started from outside of our pid namespace.
_OUTSIDE = 0
# Time that has not arrived is awaited for so many scans. It arrives with the next one, unless unseen
# processes filled its place meanwhile.
_AWAITED_SCANS = 3


class Share(NamedTuple):
    """Which part of a process's time a ledger keeps: its own, and what it inherited from reaped children."""

    own: Callable[[ProcessReading], float]
    reaped: Callable[[ProcessReading], float]


ALL_TIME = Share(lambda reading: reading.own_seconds, lambda reading: reading.reaped_seconds)
SYSTEM_TIME = Share(lambda reading: reading.system_seconds, lambda reading: reading.reaped_system_seconds)


class Changed(Protocol):
    """A process that was read again."""

    @property
    def after(self) -> ProcessReading:
        """Its newest reading."""


class _Member:
    __slots__ = ("group", "reading")

    def __init__(self, group: str, reading: ProcessReading) -> None:
        self.group = group
        self.reading = reading


class _Debt:
    """Time of a vanished process that has not arrived at a live one."""

    __slots__ = ("reading", "scans", "seconds")

    def __init__(self, reading: ProcessReading, seconds: float) -> None:
        self.reading = reading
        self.seconds = seconds
        self.scans = 0


class Ledger:
    """Keeps the CPU time of groups from the differences between scans.

    ``ancestry`` gives the groups a group lies in, itself first. ``started_after`` is the boot time in
    seconds from which on a new process counts in full: an older one was there before the metering.
    """

    def __init__(
        self, ancestry: Callable[[str], Iterable[str]], started_after: float, share: Share = ALL_TIME
    ) -> None:
        self._ancestry = ancestry
        self._own, self._reaped = share
        self._started_after = started_after
        self._members: dict[int, _Member] = {}
        self._gone: deque[Mapping[int, _Member]] = deque(maxlen=_AWAITED_SCANS)
        self._awaited: list[_Debt] = []
        self._totals: dict[str, float] = {}
        self.unattributed_seconds = 0.0

    def total(self, group: str) -> float:
        """CPU seconds of a group and those nested in it since it was first seen."""
        return max(0.0, self._totals.get(group, 0.0))

    def group_of(self, pid: int) -> str | None:
        """The group of a live member."""
        member = self._members.get(pid)
        return member.group if member else None

    def apply(
        self,
        started: Iterable[tuple[str, ProcessReading]],
        changed: Iterable[Changed],
        vanished: Iterable[ProcessReading],
        orphan_reaper: int | None = None,
    ) -> None:
        """Take over one scan.

        ``orphan_reaper`` is the pid that inherits orphans of several groups, so that what it reaps
        cannot be its own group's; None where each group's orphans stay within the group.
        """
        inherited = self._grow(changed, orphan_reaper)
        arrived = self._settle(list(vanished), inherited, orphan_reaper)
        if orphan_reaper is not None:
            self.unattributed_seconds += max(0.0, inherited.get(orphan_reaper, 0.0) - arrived)
        for group, reading in started:
            self._join(group, reading)

    def move(self, pid: int, group: str) -> None:
        """A process was moved to another group: what it uses from now on counts there."""
        member = self._members.get(pid)
        if member:
            member.group = group

    def _join(self, group: str, reading: ProcessReading) -> None:
        self._members[reading.pid] = _Member(group, reading)
        if reading.start_seconds >= self._started_after:
            self._add(group, self._own(reading) + self._reaped(reading))

    def _grow(self, changed: Iterable[Changed], orphan_reaper: int | None) -> dict[int, float]:
        """Add what live members used; returns what each inherited from reaped children."""
        inherited: dict[int, float] = {}
        for change in changed:
            after = change.after
            member = self._members.get(after.pid)
            if member is None:
                continue
            before, member.reading = member.reading, after
            growth = max(0.0, self._own(after) - self._own(before))
            reaped = max(0.0, self._reaped(after) - self._reaped(before))
            if reaped:
                inherited[after.pid] = inherited.get(after.pid, 0.0) + reaped
            self._add(member.group, growth if after.pid == orphan_reaper else growth + reaped)
        return inherited

    def _settle(
        self, vanished: list[ProcessReading], inherited: Mapping[int, float], orphan_reaper: int | None
    ) -> float:
        """Take what vanished processes passed on to live ones off again, since those brought it in.

        A tick cut off twice is never more than one cut off once, so what arrives is never less than what
        was read before. Who vanished in the middle of a scan may have been reaped after its parent was read:
        what has not arrived is awaited. Returns the time that the orphan reaper may have
        inherited of processes that were seen.
        """
        gone = {
            reading.pid: self._members.pop(reading.pid)
            for reading in vanished
            if reading.pid in self._members
        }
        self._gone.appendleft(gone)
        new = [
            _Debt(one.reading, self._own(one.reading) + self._reaped(one.reading)) for one in gone.values()
        ]
        unexplained = dict(inherited)
        debts = self._awaited + new
        # Those whose parent lives have one receiver only, so they come first.
        for debt in sorted(debts, key=lambda one: not self._parent_lives(one.reading)):
            self._collect(debt, unexplained, orphan_reaper)
            debt.scans += 1
        self._awaited = [debt for debt in debts if debt.seconds > 0 and debt.scans < _AWAITED_SCANS]
        # Not arrived: reaped by the orphan reaper, from outside, or without an account (SIGCHLD ignored).
        return sum(debt.seconds for debt in new if debt.reading.parent_pid != _OUTSIDE)

    def _collect(self, debt: "_Debt", unexplained: dict[int, float], orphan_reaper: int | None) -> None:
        for receiver in self._receivers(debt.reading):
            if receiver == orphan_reaper or debt.seconds <= 0:
                return
            arrived = min(debt.seconds, unexplained.get(receiver, 0.0))
            if arrived:
                unexplained[receiver] -= arrived
                debt.seconds -= arrived
                self._add(self._members[receiver].group, -arrived)

    def _receivers(self, reading: ProcessReading) -> Iterator[int]:
        """The live members that may have inherited a vanished process's time, the likeliest first.

        A parent that lives has reaped it. One that ended had either reaped it and passed its time on, or
        left it to a subreaper, which is one of those above.
        """
        if self._parent_lives(reading):
            yield reading.parent_pid
            return
        seen = set()
        pid = reading.parent_pid
        while pid not in seen:
            seen.add(pid)
            above = self._members.get(pid)
            if above is not None:
                yield pid
            else:
                above = next((gone[pid] for gone in self._gone if pid in gone), None)
            if above is None:
                return
            pid = above.reading.parent_pid

    def _parent_lives(self, reading: ProcessReading) -> bool:
        parent = self._members.get(reading.parent_pid)
        return parent is not None and parent.reading.state not in _ENDED

    def _add(self, group: str, seconds: float) -> None:
        for ancestor in self._ancestry(group):
            self._totals[ancestor] = self._totals.get(ancestor, 0.0) + seconds
