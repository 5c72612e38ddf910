"""What live processes inherited of children that ended: by /proc up to its last reading, by exit records from then on.

The kernel writes an exit record before it takes a process down, so each lacks something. What wait(2)
adds to the parent (cutime, cstime of proc_pid_stat(5)) is whole, but told only of a parent that lives,
and lacks the children that nobody waited for. So what a parent inherited between two readings takes the
place of the records that came meanwhile, unless these prove that not all of them arrived.
"""

from typing import NamedTuple

from msgspec import Struct

# cutime and cstime come in clock ticks of 10 ms, each cut.
_CUT_SECONDS = 0.02
# Records are estimates, but of many tasks never so far above what was used.
_LEAST_SHARE = 0.9


class Times(NamedTuple):
    """User and system CPU time, in seconds."""

    user: float = 0.0
    system: float = 0.0

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def plus(self, other: "Times") -> "Times":
        """The sum."""
        return Times(self.user + other.user, self.system + other.system)

    def minus(self, other: "Times") -> "Times":
        """The difference."""
        return Times(self.user - other.user, self.system - other.system)


ZERO = Times()


class Passed(NamedTuple):
    """Time that a process passes on: used within the run, before it, and how much was used for certain, in seconds."""

    used: Times = ZERO
    before: Times = ZERO
    certain_seconds: float = 0.0

    def plus(self, other: "Passed") -> "Passed":
        """The sum."""
        return Passed(
            self.used.plus(other.used),
            self.before.plus(other.before),
            self.certain_seconds + other.certain_seconds,
        )


class _Heir(Struct):
    reaped: Times
    taken: Times  # Of what it reaped, so much is in `settled` or from before the run.
    settled: Times = ZERO
    certain_seconds: float = 0.0
    before: Times = ZERO
    pending: Passed = Passed()
    corrected: Times = ZERO
    recorded: Times = ZERO
    owed_seconds: float = 0.0
    reread: bool = True
    alike: bool = True

    def settle(self) -> None:
        """Take over what it inherited since the last time, or where that cannot be all, the records."""
        came = self.reaped.minus(self.taken).minus(self.pending.before)
        self.taken = self.reaped
        used, certain = self.pending.used, self.pending.certain_seconds
        more = came.total - used.total
        if more > 0 and self.owed_seconds > 0:
            # Late arrivals, which were counted by their records.
            paid = min(more, self.owed_seconds)
            self.owed_seconds -= paid
            share = 1 - paid / came.total
            came = Times(came.user * share, came.system * share)
        whole = came.total + _CUT_SECONDS >= max(certain, _LEAST_SHARE * used.total)
        if not (whole and self.alike):
            self.owed_seconds += max(0.0, used.total - came.total)
            came = used
        self.settled = self.settled.plus(came)
        self.certain_seconds += certain if whole else 0.0
        self.pending = Passed()


class Inherited:
    """Keeps what each live process inherited within the run."""

    def __init__(self) -> None:
        self._heirs: dict[int, _Heir] = {}
        self._touched: set[int] = set()

    def __contains__(self, pid: int) -> bool:
        return pid in self._heirs

    def join(self, pid: int, reaped: Times, before: Times) -> None:
        """A process was seen for the first time: ``reaped`` now, of which ``before`` is from before the run."""
        self._heirs[pid] = _Heir(reaped, taken=before, before=before)
        self._touched.add(pid)

    def read(self, pid: int, reaped: Times) -> None:
        """A process was read again, after the records were made that the next ``corrections`` knows of."""
        heir = self._heirs.get(pid)
        if heir is not None and reaped.total > heir.reaped.total:
            heir.reaped, heir.reread = reaped, True
            self._touched.add(pid)

    def add(self, pid: int, passed: Passed, alike: bool) -> None:
        """A child of ``pid`` ended; ``alike`` says that it belonged to the same group."""
        heir = self._heirs[pid]
        heir.pending = heir.pending.plus(passed)
        heir.recorded = heir.recorded.plus(passed.used)
        heir.before = heir.before.plus(passed.before)
        heir.alike = heir.alike and alike
        self._touched.add(pid)

    def leave(self, pid: int) -> Passed:
        """A process ended: what it passes on of its children. What of them it never reaped is not certain to arrive."""
        heir = self._heirs.pop(pid)
        self._touched.discard(pid)
        return Passed(heir.recorded.plus(heir.corrected), heir.before, heir.certain_seconds)

    def corrections(self) -> list[tuple[int, Times]]:
        """By how much what each process inherited differs from the records of its children, since the last call."""
        changes = []
        for pid in self._touched:
            heir = self._heirs[pid]
            if heir.reread:
                heir.settle()
                heir.reread = False
            corrected = heir.settled.plus(heir.pending.used).minus(heir.recorded)
            changes.append((pid, corrected.minus(heir.corrected)))
            heir.corrected = corrected
        self._touched.clear()
        return changes
