"""What live processes inherited of children that ended: by /proc up to its last reading, by exit records from then on.

The kernel writes an exit record before it takes a process down, so each lacks something. What wait(2)
adds to the parent (cutime, cstime of proc_pid_stat(5)) is whole, but told only of a parent that lives.
"""

from typing import NamedTuple

from msgspec import Struct


class Passed(NamedTuple):
    """Time that a process passes on to its parent: used within the run, and before it."""

    used: float
    before: float


class _Heir(Struct):
    reaped: float
    before: float
    recorded: float = 0.0
    covered: float = 0.0
    corrected: float = 0.0
    reread: bool = True
    alike: bool = True

    @property
    def seconds(self) -> float:
        """Who has inherited nothing does not wait for its children; then their records are all there is."""
        inherited = self.reaped - self.before
        if inherited <= 0 or not self.alike:
            return self.recorded
        return inherited + self.recorded - self.covered


class Inherited:
    """Keeps one share of CPU time (user or system), in seconds, of what each live process inherited."""

    def __init__(self) -> None:
        self._heirs: dict[int, _Heir] = {}
        self._touched: set[int] = set()

    def __contains__(self, pid: int) -> bool:
        return pid in self._heirs

    def join(self, pid: int, reaped: float, before: float) -> None:
        """A process was seen for the first time: ``reaped`` now, of which ``before`` is from before the run."""
        self._heirs[pid] = _Heir(reaped, before)
        self._touched.add(pid)

    def read(self, pid: int, reaped: float) -> None:
        """A process was read again, after the records were taken that the next ``corrections`` knows of."""
        heir = self._heirs.get(pid)
        if heir is not None and reaped > heir.reaped:
            heir.reaped, heir.reread = reaped, True
            self._touched.add(pid)

    def add(self, pid: int, passed: Passed, alike: bool) -> None:
        """A child of ``pid`` ended; ``alike`` says that it belonged to the same group."""
        heir = self._heirs[pid]
        heir.recorded += passed.used
        heir.before += passed.before
        heir.alike = heir.alike and alike
        self._touched.add(pid)

    def leave(self, pid: int) -> Passed:
        """A process ended: what it passes on of its children."""
        heir = self._heirs.pop(pid)
        self._touched.discard(pid)
        return Passed(heir.recorded + heir.corrected, heir.before)

    def corrections(self) -> list[tuple[int, float]]:
        """By how much what each process inherited differs from the records of its children, since the last call."""
        changes = []
        for pid in self._touched:
            heir = self._heirs[pid]
            if heir.reread:
                heir.covered, heir.reread = heir.recorded, False
            corrected = heir.seconds - heir.recorded
            changes.append((pid, corrected - heir.corrected))
            heir.corrected = corrected
        self._touched.clear()
        return changes
