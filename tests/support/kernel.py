"""A kernel of a few lines: processes that fork, burn CPU time, exit and are reaped, and what /proc says of them.

It knows the true CPU time of every group, which no reader of /proc can see, so that a test can compare.
Times are whole microseconds; /proc shows clock ticks of 10 ms, cut, as proc_pid_stat(5) says.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

from jobmeter.linux.procfs import parse_stat
from jobmeter.model.readings import ExitRecord, ProcessReading

TICK = 10_000
INIT = 1
OUTSIDE = 0
"""The parent of what was started from outside of the pid namespace: it reaps and is never read."""


@dataclasses.dataclass
class Task:
    """One process; ``user`` and ``system`` are of all its threads, ``threads_*`` of those that ended."""

    pid: int
    parent: int
    group: str | None
    start_tick: int
    user: int = 0
    system: int = 0
    reaped_user: int = 0
    reaped_system: int = 0
    zombie: bool = False
    ignores_sigchld: bool = False
    subreaper: bool = False
    threads_user: int = 0
    threads_system: int = 0


class Kernel:
    """Runs what a test asks for. Process 1 is there from the start and inherits orphans.

    ``used`` is the true CPU time by group; ``lost`` what auto-reaping took away without an account.
    Exit records lack ``record_lack`` microseconds of user time, as they do of each process's end.
    """

    def __init__(self, first_pid: int = 100, record_lack: int = 0) -> None:
        self._record_lack = record_lack
        self.tasks = {pid: Task(pid, OUTSIDE, None, 0, subreaper=True) for pid in (OUTSIDE, INIT)}
        self.used: Counter[str | None] = Counter()
        self.lost: Counter[str | None] = Counter()
        self.records: list[ExitRecord] = []
        self.record_count = 0
        self.now_tick = 1
        self._next_pid = first_pid

    def fork(self, parent: int, group: str | None = None) -> int:
        """A child of ``parent``, in its group unless another is named; each fork happens a tick later."""
        self.now_tick += 1
        pid, self._next_pid = self._next_pid, self._next_pid + 1
        self.tasks[pid] = Task(pid, parent, group or self.tasks[parent].group, self.now_tick)
        return pid

    def burn(self, pid: int, user: int, system: int = 0) -> None:
        """CPU time in microseconds."""
        task = self.tasks[pid]
        task.user += user
        task.system += system
        self.used[task.group] += user + system

    def end_thread(self, pid: int, user: int, system: int = 0) -> None:
        """A thread used so much and ended; its process goes on."""
        task = self.tasks[pid]
        self.burn(pid, user, system)
        task.threads_user += user
        task.threads_system += system
        self._record(task, user, system, last=False)

    def exit(self, pid: int) -> None:
        """The process becomes a zombie and its children go to the nearest subreaper above it."""
        task = self.tasks[pid]
        task.zombie = True
        self._record(task, task.user - task.threads_user, task.system - task.threads_system, last=True)
        heir = self._reaper_above(task)
        for child in [one for one in self.tasks.values() if one.parent == pid]:
            child.parent = heir
            if child.zombie and self.tasks[heir].ignores_sigchld:
                self._release_without_account(child)
        if self.tasks[task.parent].ignores_sigchld:
            self._release_without_account(task)

    def reap(self, pid: int) -> None:
        """The parent waits for a zombie: wait(2) moves its time and that of its children to the parent."""
        task = self.tasks.pop(pid)
        parent = self.tasks[task.parent]
        parent.reaped_user += task.user + task.reaped_user
        parent.reaped_system += task.system + task.reaped_system

    def zombies(self) -> list[int]:
        """Those that wait to be reaped."""
        return [pid for pid, task in self.tasks.items() if task.zombie]

    def running(self) -> list[int]:
        """Those that can do something, process 1 left out."""
        return [pid for pid, task in self.tasks.items() if not task.zombie and pid > INIT]

    def listed(self) -> list[int]:
        """What /proc lists."""
        return [pid for pid in self.tasks if pid != OUTSIDE]

    def stat(self, pid: int) -> bytes:
        """/proc/PID/stat."""
        task = self.tasks[pid]
        times = (task.user, task.system, task.reaped_user, task.reaped_system)
        return stat_line(
            pid,
            parent=task.parent,
            state="Z" if task.zombie else "R",
            ticks=tuple(time // TICK for time in times),
            start_tick=task.start_tick,
        )

    def reading(self, pid: int) -> ProcessReading:
        """/proc/PID/stat as it is read."""
        return parse_stat(self.stat(pid))

    def take_records(self) -> list[ExitRecord]:
        """The exit records since the last call."""
        taken, self.records = self.records, []
        return taken

    def _record(self, task: Task, user: int, system: int, *, last: bool) -> None:
        self.record_count += 1
        self.records.append(
            ExitRecord(
                pid=task.pid,
                tgid=task.pid,
                parent_pid=task.parent,
                name="work",
                user_seconds=max(0, user - self._record_lack) / 1e6,
                system_seconds=system / 1e6,
                certain_seconds=max(0, user + system - 2 * self._record_lack) / 1e6,
                lifetime_seconds=(self.now_tick - task.start_tick) * TICK / 1e6,
                high_water_bytes=4096,
                read_bytes=1,
                write_bytes=2,
                last_of_group=last,
            )
        )

    def _reaper_above(self, task: Task) -> int:
        """The nearest subreaper, but never one beyond the pid namespace."""
        above = self.tasks[task.parent]
        while not above.subreaper or above.zombie:
            above = self.tasks[above.parent]
        return max(INIT, above.pid)

    def _release_without_account(self, task: Task) -> None:
        del self.tasks[task.pid]
        self.lost[task.group] += task.user + task.system + task.reaped_user + task.reaped_system


def stat_line(
    pid: int,
    *,
    name: str = "work",
    state: str = "S",
    parent: int = 1,
    faults: int = 0,
    ticks: tuple[int, ...] = (0, 0, 0, 0),
    threads: int = 1,
    start_tick: int = 0,
    rss_pages: int = 0,
) -> bytes:
    """A line of /proc/PID/stat; ``ticks`` are utime, stime, cutime and cstime."""
    before = f"{parent} {pid} {pid} 0 -1 4194304 {faults} 0 0 0"
    after = f"{' '.join(map(str, ticks))} 20 0 {threads} 0 {start_tick} 8192000 {rss_pages}"
    rest = "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
    return f"{pid} ({name}) {state} {before} {after} {rest}\n".encode()
