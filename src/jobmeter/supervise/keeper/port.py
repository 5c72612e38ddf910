"""What a launcher needs of keepers; `keepers.py` does it with real processes."""

from typing import Protocol

from jobmeter.model.exits import Survivor
from jobmeter.supervise.keeper.end import Ended, Kept
from jobmeter.supervise.keeper.spec import Spec


class Keepers(Protocol):
    """Starts keepers, and knows those that were started before us."""

    async def start(self, spec: Spec) -> Kept:
        """Start a keeper and its runner.

        What an earlier start has left in the folder is replaced. Raises LaunchError where nothing was started and
        nothing is left, also of a keeper that was killed or not ready in time. A command that cannot be executed is no
        error: its end is "not_started".
        """

    def kept(self, folder: str) -> Kept | None:
        """The keeper that was started for this folder, at work or not; None where none was."""

    def alive(self, kept: Kept) -> bool:
        """Whether it is at work still, or sends what the receiver does not have yet."""

    def end(self, folder: str) -> Ended | None:
        """How the runner of this folder ended; None while it has not, or where its keeper could not tell."""

    def overdue(self, folder: str) -> bool:
        """Whether the runner of this folder takes too long; so from before it is asked to end for that."""

    def want(self, kept: Kept) -> str | None:
        """One sentence if the kernel has killed processes of a job that goes on for want of memory."""

    async def ended(self, folder: str) -> Ended | None:
        """Wait for that; None where the keeper was killed, or could not write: ``clear`` has to do its work then."""

    async def gone(self, folder: str) -> str | None:
        """Wait until the keeper is gone; a sentence for our log, if there is one.

        On what the receiver did not get, or on a fault of ours.
        """

    def stop(self, kept: Kept) -> None:
        """Let it end its runner within 5 s; one that is gone is no error."""

    def open(self) -> None:
        """Be ready, so that the first task does not wait. In a running loop."""

    async def clear(self, name: str, kept: Kept | None = None) -> tuple[Survivor, ...]:
        """End everything in the task's cgroup and remove that; returns what still ran. None is no error.

        ``kept`` tells where it is if we are in another cgroup than who started the keeper was. Raises LaunchError where
        a process does not end, or the cgroup stays.
        """

    def left(self, prefix: str) -> list[str]:
        """Names of the tasks' cgroups that are there, of those that begin so."""

    async def close(self) -> None:
        """Start no more; keepers at work go on."""
