"""Which process belongs to which group: by descent, or because only those of the group are looked at."""

from collections.abc import Iterable

from jobmeter.model.readings import ProcessReading

JOB = "job"


class Descent:
    """The one group of all descendants of a process, that process itself excluded or not.

    A descendant stays a member when its parent ends and another process takes it over.
    """

    def __init__(self, ancestor_pid: int, *, include_ancestor: bool = False, group: str = JOB) -> None:
        self._ancestor_pid = ancestor_pid
        self._include_ancestor = include_ancestor
        self._group = group
        self._members: set[int] = set()

    def admit(self, reading: ProcessReading) -> bool:
        """True for a child of the ancestor or of a member."""
        if reading.pid == self._ancestor_pid:
            member = self._include_ancestor
        else:
            member = reading.parent_pid == self._ancestor_pid or reading.parent_pid in self._members
        if member:
            self._members.add(reading.pid)
        return member

    def group(self, reading: ProcessReading) -> str:
        """The one group there is."""
        return self._group

    def regroup(self, reading: ProcessReading) -> str:
        """Descent does not change."""
        return self._group

    def forget(self, pid: int) -> None:
        """A member is gone; its pid may be given to a stranger."""
        self._members.discard(pid)

    def ancestry(self, group: str) -> Iterable[str]:
        """A group lies in itself only."""
        return (group,)

    def adopt(self, pid: int, child: str) -> str | None:
        """Only members have members for children."""
        return None


class Everyone:
    """The one group of all processes that are looked at."""

    def admit(self, reading: ProcessReading) -> bool:
        """True."""
        return True

    def group(self, reading: ProcessReading) -> str:
        """The one group there is."""
        return JOB

    def regroup(self, reading: ProcessReading) -> str:
        """Nobody leaves it."""
        return JOB

    def forget(self, pid: int) -> None:
        """Nothing is kept."""

    def ancestry(self, group: str) -> Iterable[str]:
        """A group lies in itself only."""
        return (group,)

    def adopt(self, pid: int, child: str) -> str | None:
        """A process that is not looked at has no children here."""
        return None
