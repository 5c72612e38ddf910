"""What is known of a task that the forge has handed out, until it is over; a restart needs it too."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from jobmeter.gateway.forges.port import Identity, Result, Task
from jobmeter.model.job import Job

MAX_NAMES = 2000
"""So many runners' names are remembered, the latest ones."""
_MAX_DOUBTED = 1000
_MAX_DRAINED = 2000


class Known(Struct, kw_only=True):
    """One task. ``proof`` is that of the runner that asked for it, times are seconds since the epoch.

    ``task`` is kept until the runner has shown a sign of it, since it may have to be handed out again; ``key`` is
    the request key by which alone that is done, None if any request of the runner will do. ``parked`` is since when
    it waits for the runner to ask. ``acknowledged`` is how much of its log the forge has.
    """

    id: str
    proof: str
    identity: str | None
    at: float
    task: Task | None = None
    key: str | None = None
    parked: float | None = None
    job: Job | None = None
    acknowledged: int = 0
    result: Result | None = None
    failure_reason: str | None = None
    token: str | None = None
    """A digest of the token that a job of GitLab's is reported with."""
    run_uid: str | None = None
    """Under which a runner that was launched for it is metered."""
    signed: bool = False
    adopted: bool = False
    work_began: bool = False
    closing: bool = False
    """Its log is whole; only its result is to come."""


def whose(known: Known | None) -> dict[str, str]:
    """Of which repository and job a task is, as far as that is known, for a log."""
    job = known.job if known is not None else None
    told = {} if job is None else {"repository": job.repository, "job": job.job}
    return {name: value for name, value in told.items() if value is not None}


class Memory:
    """All tasks and names of one forge. ``changed`` is called when there is something to be kept."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.tasks: dict[str, Known] = {}
        self.names: dict[str, Identity] = {}
        self.drained: dict[str, str] = {}
        """Runners that are to get no more tasks, by their proofs: the key of each, the latest ones last."""
        self.changes = 0
        """How often something has changed."""
        self._tell = changed
        self._doubted = OrderedDict[str, Known]()

    def add(self, known: Known) -> None:
        """A task was handed out, or is seen for the first time."""
        self._doubted.pop(known.id, None)
        self.tasks[known.id] = known
        self._changed()

    def drop(self, task_id: str) -> Known | None:
        """It is over."""
        known = self.tasks.pop(task_id, None)
        if known is not None:
            self._changed()
        return known

    def doubt(self, task_id: str) -> Known | None:
        """It is taken to be over, and nobody has said so: a report may still show that it is not."""
        known = self.drop(task_id)
        if known is not None:
            known.task = None
            self._doubted[task_id] = known
            if len(self._doubted) > _MAX_DOUBTED:
                self._doubted.popitem(last=False)
        return known

    def find(self, task_id: str) -> Known | None:
        """What is known of a task, also of one that is only taken to be over."""
        return self.tasks.get(task_id) or self._doubted.get(task_id)

    def take_back(self, task_id: str, proof: str) -> Known | None:
        """It is not over: the runner with this proof works on it still. None if nothing is known of that."""
        known = self._doubted.get(task_id)
        if known is None or known.proof != proof:
            return None
        self.add(known)
        return known

    def call(self, identity: Identity) -> None:
        """A runner has said what it is called."""
        if self.names.get(identity.key) == identity:
            return
        self.names.pop(identity.key, None)
        self.names[identity.key] = identity
        if len(self.names) > MAX_NAMES:
            # Runners that are made for one job each never come back.
            busy = {known.identity for known in self.tasks.values()}
            del self.names[next((key for key in self.names if key not in busy), identity.key)]
        self._changed()

    def drain(self, proof: str, key: str, on: bool) -> None:
        """A runner is to get no more tasks, or to get them again, whenever it comes."""
        if (proof in self.drained) == on:
            return
        if on:
            self.drained[proof] = key
            if len(self.drained) > _MAX_DRAINED:
                del self.drained[next(iter(self.drained))]
        else:
            del self.drained[proof]
        self._changed()

    def touch(self) -> None:
        """Something of a task that a restart must know has changed."""
        self._changed()

    def _changed(self) -> None:
        self.changes += 1
        self._tell()

    def of(self, proof: str) -> list[Known]:
        """The tasks of one runner, the oldest first."""
        return [known for known in self.tasks.values() if known.proof == proof]

    def restore(
        self, tasks: Iterable[Known], names: Iterable[Identity], drained: Mapping[str, str] = {}
    ) -> None:
        """What was known before a restart."""
        self.tasks = {known.id: known for known in tasks}
        self.names = {identity.key: identity for identity in names}
        self.drained = dict(drained)
