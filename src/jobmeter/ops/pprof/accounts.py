"""What looks at threads mean: who is given how much CPU and wall time, and where.

It is worked out when all looks are over, so that the daemon bears only what it costs to look.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jobmeter.ops.pprof.record import Record
from jobmeter.ops.pprof.stacks import Stack
from jobmeter.ops.pprof.threads import Change, SampledThread


class Look(NamedTuple):
    """The main thread at one moment; times in nanoseconds.

    It was time for it by the main thread's CPU time, which is ``cpu_ns`` without that of the looks, or by the wall time
    (``wall``). Then there is of the others what has changed since the last such look, and who has ended.
    """

    at_ns: int
    cpu_ns: int
    stack: Stack
    wall: bool
    changes: Iterable[Change] = ()
    ended: Iterable[SampledThread] = ()


class _Account:
    """What one thread has used up to ``counted_ns`` of its clock, how much of it is not given yet, and where it is."""

    __slots__ = ("carried_ns", "counted_ns", "stack", "stack_before")

    def __init__(self, counted_ns: int = 0) -> None:
        self.counted_ns = counted_ns
        self.carried_ns = 0
        self.stack: Stack = ()
        self.stack_before: Stack = ()

    def take(self, cpu_ns: int | None) -> int:
        """Carry what was used since, up to this reading; that is returned."""
        if cpu_ns is None:
            return 0
        used_ns = max(cpu_ns - self.counted_ns, 0)
        self.counted_ns = cpu_ns
        self.carried_ns += used_ns
        return used_ns


class Accounts:
    """Gives what is found to a record. ``clocks`` are those of the threads when it all begins, at ``begun_ns``.

    *CPU of the main thread* is given to where it is when it has used so much of it.

    *Wall time*: each thread is given half of the time between two looks to where it was, half to where it is then.

    *CPU of the others*: a thread is given all that it has used since it was given some before, if it runs while it is
    looked at, or has run for half of the time since the last look. Who has used CPU time, but never so, is given it in
    the end, where it was seen last.
    """

    def __init__(
        self, record: Record, main: SampledThread, clocks: Mapping[SampledThread, int], begun_ns: int
    ) -> None:
        self.given_ns = 0
        self._record = record
        self._main = main
        self._begun_ns = self._walled_ns = begun_ns
        self._living = {thread: _Account(cpu_ns) for thread, cpu_ns in clocks.items()}
        self._ended: dict[SampledThread, _Account] = {}

    def add(self, look: Look) -> None:
        """Account for one look; they come in the order of their times."""
        main = self._living[self._main]
        main.take(look.cpu_ns)
        main.stack = look.stack
        if not look.wall:
            self._give(self._main, main, look.at_ns)
            return
        wall_ns = look.at_ns - self._walled_ns
        for thread in look.ended:
            self._ended[thread] = self._living.pop(thread, _Account())
        for change in look.changes:
            account = self._living.setdefault(change.thread, _Account())
            account.stack = change.stack
            if account.take(change.cpu_ns) > wall_ns / 2 or change.runs:
                self._give(change.thread, account, look.at_ns)
        self._give_wall(look.at_ns)

    def close(self, at_ns: int, clocks: Mapping[SampledThread, int]) -> None:
        """Give what is left, up to this reading of the clocks of who is still there."""
        for thread, cpu_ns in clocks.items():
            self._living.setdefault(thread, _Account()).take(cpu_ns)
        for thread, account in (*self._living.items(), *self._ended.items()):
            if account.stack:
                self._give(thread, account, at_ns)
        self._give_wall(at_ns)

    def _give(self, thread: SampledThread, account: _Account, at_ns: int) -> None:
        if account.carried_ns == 0:
            return
        self._record.add(thread, account.stack, at_ns - self._begun_ns, cpu_ns=account.carried_ns)
        self.given_ns += account.carried_ns
        account.carried_ns = 0

    def _give_wall(self, at_ns: int) -> None:
        middle_ns = (self._walled_ns + at_ns) // 2
        for thread, account in self._living.items():
            if account.stack:
                before = account.stack_before or account.stack
                self._give_stay(thread, before, self._walled_ns, middle_ns)
                self._give_stay(thread, account.stack, middle_ns, at_ns)
                account.stack_before = account.stack
        self._walled_ns = at_ns

    def _give_stay(self, thread: SampledThread, stack: Stack, since_ns: int, until_ns: int) -> None:
        self._record.add(thread, stack, since_ns - self._begun_ns, wall_ns=until_ns - since_ns)
