"""Watches the processes of the groups: their CPU time by ledger, their memory, the busiest and those that ended."""

import heapq
import os
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from jobmeter.linux import procfs
from jobmeter.linux.process_table import Change, ProcessTable
from jobmeter.metering.ended import EndedProcesses
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.exit_ledger import Ended, ExitLedger
from jobmeter.model.ledger import SYSTEM_TIME, Ledger
from jobmeter.model.rates import MIN_SPAN_SECONDS
from jobmeter.model.readings import ExitRecord, ProcessReading
from jobmeter.model.sample import ProcessSample, ProgramSample

# /proc/PID/status costs about five times /proc/PID/stat, so only so many are read in one scan.
_MAX_STATUS_READS = 64


class Membership(Protocol):
    """Says which group a process belongs to."""

    def admit(self, reading: ProcessReading) -> bool:
        """True when a process seen for the first time is a member; parents are asked before their children."""

    def group(self, reading: ProcessReading) -> str:
        """The group of a member."""

    def regroup(self, reading: ProcessReading) -> str:
        """The group of a member that may have been moved."""

    def forget(self, pid: int) -> None:
        """A member is gone."""

    def ancestry(self, group: str) -> Iterable[str]:
        """The groups a group lies in, itself first."""

    def adopt(self, pid: int, child: str) -> str | None:
        """The group of a child that nobody saw, by its name, where its parent ``pid`` is no member itself."""


class GroupUse(Struct):
    """What the live processes of one group hold now; nested groups included."""

    rss_bytes: int = 0
    tasks: int = 0
    processes: int = 0
    high_water_bytes: int | None = None


class _Process(Struct):
    """One live member: ``base`` is its own CPU time before the run."""

    group: str
    reading: ProcessReading
    base: float
    mark: float
    marked_at: float
    recent_cpu: float = 0.0
    recent_seconds: float = 0.0
    high_water_bytes: int | None = None

    @property
    def used(self) -> float:
        return max(0.0, self.reading.own_seconds - self.base)


class ProcessWatch:
    """Keeps the processes that belong to a group.

    ``started_after`` is the time since boot at which the run began. ``reaper`` gives a reading of the
    process that waits for the orphans of all members: `run` itself, whose own time is not the job's.
    """

    def __init__(
        self,
        table: ProcessTable,
        membership: Membership,
        *,
        root: str = "/proc",
        started_after: float = 0.0,
        top: int = 10,
        reaper: Callable[[], ProcessReading] | None = None,
        reaper_group: str = "",
        use_exit_records: bool = False,
    ) -> None:
        self._table = table
        self._membership = membership
        self._ancestry = membership.ancestry
        self._root = root
        self._started_after = started_after
        self._top = top
        self._reaper = reaper
        self._reaper_group = reaper_group
        self._reaper_reading: ProcessReading | None = None
        self._ledger = Ledger(self._ancestry, started_after)
        self._system_ledger = Ledger(self._ancestry, started_after, SYSTEM_TIME)
        self._exits = ExitLedger(self._ancestry, started_after) if use_exit_records else None
        self._members: dict[int, _Process] = {}
        self._uses: dict[str, GroupUse] = {}
        self._ended = EndedProcesses(top)
        self._left: dict[int, _Process] = {}
        self._busy: list[_Process] = []
        self.records_lost = False
        self.ignoring_sigchld: dict[str, None] = {}
        self._read_errors = 0

    @property
    def read_errors(self) -> int:
        """Reads that failed although the process was there."""
        return self._read_errors + self._table.read_errors

    @property
    def has_reaper(self) -> bool:
        """True when all orphans of the members come to us."""
        return self._reaper is not None

    def scan(
        self, elapsed: float, orphan_reaper: int | None, records: Callable[[], Iterable[ExitRecord]] = tuple
    ) -> None:
        """Read all processes once more; ``elapsed`` is seconds since the start of the run.

        ``records`` reads what has ended. It is asked last: what a parent inherited by then is among it.
        """
        first, again = self._read_reaper()
        scan = self._table.scan()
        self._busy, self._left = [], {}
        for reading in scan.vanished:
            self._leave(reading)
        for change in scan.changed:
            self._change(change, elapsed)
        started = [self._join(reading, elapsed) for reading in scan.started]
        for ledger in (self._ledger, self._system_ledger):
            ledger.apply(first + started, again + scan.changed, scan.vanished, orphan_reaper)
        if self._exits is not None:
            self._settle(self._exits, records(), elapsed)
        self._read_statuses(scan.started + [one.after for one in scan.changed if _faulted(one)])

    def cpu_seconds(self, group: str) -> tuple[float, float, float]:
        """Total, user and system CPU seconds of a group by the ledger over /proc."""
        total, system = self._ledger.total(group), self._system_ledger.total(group)
        return total, max(0.0, total - system), min(total, system)

    def recorded_cpu_seconds(self, group: str) -> tuple[float, float, float] | None:
        """The same by exit records; None without them."""
        if self._exits is None:
            return None
        user, system = self._exits.user_seconds(group), self._exits.system_seconds(group)
        return user + system, user, system

    def recorded_io_bytes(self, group: str) -> tuple[int, int] | None:
        """Block I/O of tasks that ended, by exit records; None without them."""
        return self._exits.io_bytes(group) if self._exits else None

    @property
    def unattributed_seconds(self) -> float:
        """CPU time of the groups' processes that cannot be given to one of them."""
        return self._exits.unattributed_seconds if self._exits else self._ledger.unattributed_seconds

    def use(self, group: str) -> GroupUse:
        """Memory and tasks of a group now."""
        return self._uses.get(group) or GroupUse()

    def members(self, group: str | None = None) -> list[ProcessReading]:
        """The live processes of a group, or of all; zombies are left out."""
        return [
            one.reading
            for one in self._members.values()
            if (group is None or one.group == group) and one.reading.state not in ("Z", "X")
        ]

    def largest(self, group: str | None = None) -> ProcessSample | None:
        """The live process of a group (or of all) that holds the most memory."""
        found = [one for one in self._members.values() if group is None or group in self._ancestry(one.group)]
        best = max(found, key=lambda one: one.reading.rss_bytes, default=None)
        return None if best is None else _sample(best)

    def take_processes(self) -> tuple[ProcessSample, ...]:
        """The busiest of this scan and the largest now, and of those that ended; at most ``top`` of each."""
        busiest = heapq.nlargest(
            self._top, self._busy, key=lambda one: one.recent_cpu / (one.recent_seconds or 1.0)
        )
        largest = heapq.nlargest(self._top, self._busy, key=_memory)
        live = {id(one): one for one in (*busiest, *largest)}
        return (*map(_sample, live.values()), *self._ended.take_processes())

    def take_programs(self) -> tuple[ProgramSample, ...]:
        """The processes that ended since the last call, by name."""
        return self._ended.take_programs()

    def close(self) -> None:
        """Give all descriptors back."""
        self._table.close()

    def end_all(self) -> None:
        """Count every process that is still live among the programs: the run is over."""
        for one in list(self._members.values()):
            if self._exits is not None and one.reading.state in ("Z", "X"):
                continue  # Its exit record has been counted.
            self._ended.count(one.reading.name, one.used, _memory(one) or None)

    def _read_reaper(self) -> tuple[list[tuple[str, ProcessReading]], list[Change]]:
        # Read before everything else: a parent's account must never be newer than its children's.
        if self._reaper is None:
            return [], []
        before, self._reaper_reading = self._reaper_reading, self._reaper()
        if before is None:
            return [(self._reaper_group, self._reaper_reading)], []
        return [], [Change(before, self._reaper_reading)]

    def _join(self, reading: ProcessReading, elapsed: float) -> tuple[str, ProcessReading]:
        group = self._membership.group(reading)
        age = self._started_after + elapsed - reading.start_seconds
        new = reading.start_seconds >= self._started_after
        one = _Process(group, reading, 0.0 if new else reading.own_seconds, reading.own_seconds, elapsed)
        if new and age >= MIN_SPAN_SECONDS:
            one.recent_cpu, one.recent_seconds = reading.own_seconds, age
        self._members[reading.pid] = one
        if self._exits is not None:
            self._exits.join(group, reading)
        self._hold(group, reading, 1)
        self._busy.append(one)
        return group, reading

    def _change(self, change: Change, elapsed: float) -> None:
        one = self._members[change.after.pid]
        self._hold(one.group, one.reading, -1)
        one.reading = change.after
        if change.before.name != change.after.name:
            one.high_water_bytes = None  # Of the program before: exec starts a new address space.
            self._move(one)
        self._hold(one.group, change.after, 1)
        if self._exits is not None:
            self._exits.update(change.after)
        if elapsed - one.marked_at >= MIN_SPAN_SECONDS - 1e-6:
            one.recent_cpu = max(0.0, change.after.own_seconds - one.mark)
            one.recent_seconds = elapsed - one.marked_at
            one.mark, one.marked_at = change.after.own_seconds, elapsed
        self._busy.append(one)

    def _move(self, one: _Process) -> None:
        # A new name means exec; a container's first process enters its cgroup just before.
        group = self._membership.regroup(one.reading)
        if group != one.group:
            one.group = group
            self._ledger.move(one.reading.pid, group)
            self._system_ledger.move(one.reading.pid, group)
            if self._exits is not None:
                self._exits.move(one.reading.pid, group)

    def _leave(self, reading: ProcessReading) -> None:
        one = self._left[reading.pid] = self._members.pop(reading.pid)
        self._membership.forget(reading.pid)
        self._hold(one.group, one.reading, -1)
        if self._exits is not None:
            self._exits.leave(reading.pid)
        else:
            self._ended.count(reading.name, one.used, _memory(one) or None)

    def _settle(self, exits: ExitLedger, records: Iterable[ExitRecord], elapsed: float) -> None:
        for record in records:
            exits.record(record)
        for ended in exits.settle(self._known_group):
            if ended.group is not None:
                self._count_ended(ended, ended.group, elapsed)

    def _known_group(self, record: ExitRecord) -> tuple[bool, str | None]:
        pid = record.parent_pid
        one = self._members.get(pid)
        if one is not None:
            return True, one.group
        if self._reaper_reading is not None and pid == self._reaper_reading.pid:
            return True, self._reaper_group  # The command itself, or an orphan that came to us.
        adopted = self._membership.adopt(pid, record.name)
        return adopted is not None or self._table.knows(pid), adopted

    def _count_ended(self, ended: Ended, group: str, elapsed: float) -> None:
        known = self._left.get(ended.pid) or self._members.get(ended.pid)
        if known is not None and known.reading.name == ended.name:
            # VmHWM is counted more finely than what the record says of the same: the list and the program agree.
            high_water = max(ended.high_water_bytes, known.high_water_bytes or 0)
            ended = ended._replace(high_water_bytes=high_water)
        born = self._started_after + elapsed - ended.lifetime_seconds
        self._ended.add(ended, group, known.reading.start_seconds if known else round(born, 2))
        for ancestor in self._ancestry(group):
            use = self._uses.setdefault(ancestor, GroupUse())
            use.high_water_bytes = max(use.high_water_bytes or 0, ended.high_water_bytes)

    def _hold(self, group: str, reading: ProcessReading, sign: int) -> None:
        for ancestor in self._ancestry(group):
            use = self._uses.setdefault(ancestor, GroupUse())
            use.rss_bytes += sign * reading.rss_bytes
            use.tasks += sign * reading.threads
            use.processes += sign

    def _read_statuses(self, readings: list[ProcessReading]) -> None:
        """Read VmHWM where memory may have grown: the largest first."""
        for reading in sorted(readings, key=lambda one: one.rss_bytes, reverse=True)[:_MAX_STATUS_READS]:
            one = self._members.get(reading.pid)
            if one is None or reading.state in ("Z", "X"):
                continue
            try:
                fd = os.open(f"{self._root}/{reading.pid}/status", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    text = os.read(fd, 16384)
                finally:
                    os.close(fd)
                high_water = procfs.parse_status_high_water(text)
                if procfs.parse_status_ignores_sigchld(text):
                    self.ignoring_sigchld.setdefault(reading.name)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except (OSError, KernelFormatError):
                self._read_errors += 1
                continue
            if high_water is not None:
                self._raise_high_water(one, high_water)

    def _raise_high_water(self, one: _Process, high_water: int) -> None:
        one.high_water_bytes = high_water
        for group in self._ancestry(one.group):
            use = self._uses.setdefault(group, GroupUse())
            use.high_water_bytes = max(use.high_water_bytes or 0, high_water)


def _faulted(change: Change) -> bool:
    # Resident memory grows only by page faults (or by exec, which faults as well).
    return change.after.faults != change.before.faults


def _memory(one: _Process) -> int:
    return max(one.reading.rss_bytes, one.high_water_bytes or 0)


def _sample(one: _Process) -> ProcessSample:
    reading = one.reading
    return ProcessSample(
        pid=reading.pid,
        start_seconds=reading.start_seconds,
        name=reading.name,
        container=one.group,
        cpu_seconds=round(one.used, 6),
        recent_cpu_seconds=round(one.recent_cpu, 6),
        recent_seconds=round(one.recent_seconds, 6),
        rss_bytes=reading.rss_bytes,
        high_water_bytes=one.high_water_bytes,
    )
