"""CPU time of groups from exit records: every task that ended, and the live ones at their last reading.

A task's record arrives when it ends and names its process (tgid) and its parent; records of threads
wait until the last of their process, since a live process's own reading includes ended threads.
A process that no scan ever saw belongs to its parent's group; the parent may itself be known only
when it ends, so such records wait for it. Where the parent lives and reaps its children, what it
inherited takes the place of their records, which lack the end of each.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec import Struct

from jobmeter.model.inherited import ZERO, Inherited, Passed, Times
from jobmeter.model.readings import ExitRecord, ProcessReading

# Records whose parent never shows up are kept for so many scans.
_PATIENCE_SCANS = 3


class Ended(NamedTuple):
    """A process that ended: its group (None: no member), name, own CPU seconds within the run, largest memory."""

    pid: int
    group: str | None
    name: str
    user_seconds: float
    system_seconds: float
    high_water_bytes: int
    lifetime_seconds: float
    threads: int


class _Threads(Struct):
    count: int = 0
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    certain_seconds: float = 0.0
    read_bytes: int = 0
    write_bytes: int = 0


class _Waiting(NamedTuple):
    since: int
    record: ExitRecord
    threads: _Threads


class _Live(Struct):
    group: str
    parent_pid: int
    base_user: float
    base_system: float
    user: float
    system: float


class _Gone(NamedTuple):
    since: int
    group: str | None
    parent_pid: int


class ExitLedger:
    """Keeps user and system CPU seconds per group; groups nest as ``ancestry`` says, itself first."""

    def __init__(self, ancestry: Callable[[str], Iterable[str]], started_after: float) -> None:
        self._ancestry = ancestry
        self._started_after = started_after
        self._live: dict[int, _Live] = {}
        self._threads: dict[int, _Threads] = {}
        self._waiting: list[_Waiting] = []
        self._gone: dict[int, _Gone] = {}
        self._inherited = Inherited()
        self._user: dict[str, float] = {}
        self._system: dict[str, float] = {}
        self._told_user: dict[str, float] = {}
        self._told_system: dict[str, float] = {}
        self._read: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._scans = 0
        self.unattributed_seconds = 0.0

    def user_seconds(self, group: str) -> float:
        """User time of a group and those nested in it; never falls from one call to the next."""
        return _never_falling(self._told_user, group, self._user)

    def system_seconds(self, group: str) -> float:
        """System time of a group and those nested in it; never falls from one call to the next."""
        return _never_falling(self._told_system, group, self._system)

    def io_bytes(self, group: str) -> tuple[int, int]:
        """Bytes that ended tasks read from and wrote to block devices."""
        return self._read.get(group, 0), self._written.get(group, 0)

    def join(self, group: str, reading: ProcessReading) -> None:
        """A process was seen for the first time."""
        pid = reading.pid
        self._gone.pop(pid, None)  # Of another process, whose pid was given away again.
        new = reading.start_seconds >= self._started_after
        base_user, base_system = (0.0, 0.0) if new else (reading.user_seconds, reading.system_seconds)
        self._live[pid] = _Live(group, reading.parent_pid, base_user, base_system, base_user, base_system)
        self._inherited.join(pid, _reaped(reading), ZERO if new else _reaped(reading))
        self.update(reading)

    def update(self, reading: ProcessReading) -> None:
        """A live process was read again."""
        live = self._live.get(reading.pid)
        if live is None:
            return
        self._add(
            live.group,
            max(0.0, reading.user_seconds - live.user),
            max(0.0, reading.system_seconds - live.system),
        )
        live.user, live.system = (
            max(live.user, reading.user_seconds),
            max(live.system, reading.system_seconds),
        )
        live.parent_pid = reading.parent_pid
        self._inherited.read(reading.pid, _reaped(reading))

    def move(self, pid: int, group: str) -> None:
        """A live process was moved to another group: what it uses from now on counts there."""
        live = self._live.get(pid)
        if live is not None:
            live.group = group

    def leave(self, pid: int) -> None:
        """A process vanished from the scan; what it used stays at its last reading unless a record corrects it."""
        if pid in self._gone:
            return
        live = self._live.get(pid)
        if live is None:
            self._gone[pid] = _Gone(self._scans, None, 0)
            return
        self._gone[pid] = _Gone(self._scans, live.group, live.parent_pid)
        used = Times(live.user - live.base_user, live.system - live.base_system)
        self._pass_on(pid, Passed(used, Times(live.base_user, live.base_system), used.total))

    def record(self, record: ExitRecord) -> None:
        """A task ended."""
        threads = self._threads.setdefault(record.tgid, _Threads())
        threads.count += 1
        threads.user_seconds += record.user_seconds
        threads.system_seconds += record.system_seconds
        threads.certain_seconds += record.certain_seconds
        threads.read_bytes += record.read_bytes
        threads.write_bytes += record.write_bytes
        if record.last_of_group:
            self._waiting.append(_Waiting(self._scans, record, self._threads.pop(record.tgid)))

    def settle(self, group_of: Callable[[ExitRecord], tuple[bool, str | None]]) -> list[Ended]:
        """Attribute what ended; ``group_of`` gives (known, group) of a process that no scan saw, by its parent.

        Call it once per scan, after the scan was taken over.
        """
        self._scans += 1
        ended: list[Ended] = []
        progress = True
        while progress and self._waiting:
            waiting, self._waiting, progress = self._waiting, [], False
            # Parents end after their children, so the newest first lets a whole chain resolve at once.
            for one in reversed(waiting):
                known, group = self._group(one.record, group_of)
                if known:
                    ended.append(self._book(one, group))
                    progress = True
                elif self._scans - one.since > _PATIENCE_SCANS:
                    ended.append(self._give_up(one))
                else:
                    self._waiting.append(one)
            self._waiting.reverse()
        self._correct()
        self._forget_old()
        return ended

    def _group(
        self, record: ExitRecord, group_of: Callable[[ExitRecord], tuple[bool, str | None]]
    ) -> tuple[bool, str | None]:
        if record.tgid in self._live:
            return True, self._live[record.tgid].group
        for pid in (record.tgid, record.parent_pid):
            if pid in self._gone:
                return True, self._gone[pid].group
        return group_of(record)

    def _book(self, one: _Waiting, group: str | None) -> Ended:
        record, threads = one.record, one.threads
        live = self._live.pop(record.tgid, None)
        left = record.tgid in self._gone
        self._gone.setdefault(record.tgid, _Gone(self._scans, group, record.parent_pid))
        used, since = _used(threads, live)
        if group is not None:
            self._add(group, since.user, since.system)
            for ancestor in self._ancestry(group):
                self._read[ancestor] = self._read.get(ancestor, 0) + threads.read_bytes
                self._written[ancestor] = self._written.get(ancestor, 0) + threads.write_bytes
        before = Times(live.base_user, live.base_system) if live else ZERO
        if left:
            self._pass_on(record.tgid, Passed(since))
        else:
            certain = max(0.0, threads.certain_seconds - before.total)
            self._pass_on(record.tgid, Passed(used, before, certain))
        return Ended(
            pid=record.tgid,
            group=group,
            name=record.name,
            user_seconds=max(0.0, used.user),
            system_seconds=max(0.0, used.system),
            high_water_bytes=record.high_water_bytes,
            lifetime_seconds=record.lifetime_seconds,
            threads=threads.count,
        )

    def _pass_on(self, pid: int, own: Passed) -> None:
        """Give the time of a process that ended, and what it inherited itself, to the one that lives above it."""
        passed = own.plus(self._inherited.leave(pid)) if pid in self._inherited else own
        heir = self._heir(pid)
        if heir is not None:
            self._inherited.add(heir, passed, alike=self._live[heir].group == self._gone[pid].group)

    def _heir(self, pid: int) -> int | None:
        """The nearest process above that lives: all that ended between were waited for by it, or by each other."""
        seen: set[int] = set()
        while pid in self._gone and pid not in seen:
            seen.add(pid)
            pid = self._gone[pid].parent_pid
        return pid if pid in self._live and pid in self._inherited else None

    def _correct(self) -> None:
        for pid, change in self._inherited.corrections():
            self._add(self._live[pid].group, change.user, change.system)

    def _give_up(self, one: _Waiting) -> Ended:
        self.unattributed_seconds += one.threads.user_seconds + one.threads.system_seconds
        return self._book(one, None)

    def _forget_old(self) -> None:
        old = [pid for pid, gone in self._gone.items() if self._scans - gone.since > _PATIENCE_SCANS]
        for pid in old:
            del self._gone[pid]
            self._live.pop(pid, None)

    def _add(self, group: str, user: float, system: float) -> None:
        for ancestor in self._ancestry(group):
            self._user[ancestor] = self._user.get(ancestor, 0.0) + user
            self._system[ancestor] = self._system.get(ancestor, 0.0) + system


def _used(threads: _Threads, live: _Live | None) -> tuple[Times, Times]:
    """What a process that ended used within the run, and the part of it since its last reading."""
    used = Times(threads.user_seconds, threads.system_seconds)
    if live is None:
        return used, used
    read = Times(live.user, live.system)
    if used.total < read.total:
        # Threads that ended before the metering are in its readings but have no record.
        used = Times(max(used.user, read.user), max(used.system, read.system))
    return used.minus(Times(live.base_user, live.base_system)), used.minus(read)


def _reaped(reading: ProcessReading) -> Times:
    return Times(reading.reaped_user_seconds, reading.reaped_system_seconds)


def _never_falling(told: dict[str, float], group: str, seconds: dict[str, float]) -> float:
    told[group] = max(told.get(group, 0.0), seconds.get(group, 0.0))
    return told[group]
