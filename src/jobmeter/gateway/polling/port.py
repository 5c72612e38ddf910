"""What a poller needs of others: who asks the forge, who runs a task, and who says when there is a use in asking."""

from typing import Protocol

from jobmeter.gateway.forges.port import Outcome, Task


class Fetcher(Protocol):
    """Asks the forge for tasks of one runner."""

    async def fetch(self, slots: int | None, tasks_version: int) -> Outcome:
        """Ask once, for at most so many tasks (None: no limit), with the version that the poller keeps.

        It keeps to a time limit of its own. When the poller is told to stop, a request under way is let finish,
        since a task in its answer would be lost; one that may be broken off at any moment is for the fetcher to end.
        """
        ...


class TaskRunner(Protocol):
    """Has a task done: by a runner that asked for one, or by one that it starts."""

    async def run(self, task: Task) -> None:
        """Return once the task is over; when cancelled, have it reported to the forge as cancelled.

        The slot is free when this returns or raises, or earlier if the slot's end is heard of earlier.
        """
        ...


class Availability(Protocol):
    """Says when a task could be run, a free slot apart."""

    async def available(self) -> None:
        """Return when there is a use in asking: a runner waits for a task, or the machine has room for one.

        Cancelled when the poller is told to stop.
        """
        ...


class Idle(Protocol):
    """Has something to do now and then while there is no task."""

    async def idle(self) -> None:
        """Called after each request without a task, before the wait; cancelled when the poller is told to stop."""
        ...
