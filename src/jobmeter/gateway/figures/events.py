"""What happened to a runner, as values.

Who passes a request or an answer on tells it by one call, ``tell(identity, event)``. Durations are in seconds;
one that is not known is None.
"""

from typing import Literal, Protocol

from msgspec import Struct

from jobmeter.model.job import Job

FetchOutcome = Literal["task", "empty", "error", "unauthenticated"]
Result = Literal["success", "failure", "cancelled", "skipped", "unknown"]


class Identity(Protocol):
    """One runner that a forge knows; nothing of it is a secret."""

    @property
    def key(self) -> str:
        """What tells it from any other: its uuid, or "token:" and the short name of its token at GitLab."""
        ...

    @property
    def name(self) -> str | None:
        """What it is called."""
        ...


class Declared(Struct, frozen=True, gc=False):
    """The runner said what it is; ``capacity`` is how many jobs it may run at once, None where nothing bounds it."""

    name: str | None
    version: str | None = None
    labels: tuple[str, ...] = ()
    capacity: int | None = None


class Fetched(Struct, frozen=True, gc=False):
    """The forge was asked for a task. ``seconds`` is None where our own time limit ended the wait: that is `empty`."""

    outcome: FetchOutcome
    seconds: float | None


class Waiting(Struct, frozen=True, gc=False):
    """The next request waits so long, before chance is added."""

    base_seconds: float


class Draining(Struct, frozen=True, gc=False):
    """Whether the runner is to get no more tasks."""

    on: bool


class TaskBegan(Struct, frozen=True, gc=False):
    """A task went to the runner ``at`` so many seconds since 1970, or is seen with it for the first time.

    ``closing``: its work was over already when this process began.
    """

    task_id: str
    at: float | None
    job: Job | None = None
    closing: bool = False


class WorkBegan(Struct, frozen=True, gc=False):
    """The first step or script of a task began, so many seconds after the runner got the task."""

    task_id: str
    seconds: float | None


class StepChanged(Struct, frozen=True, gc=False):
    """A step of a task, counted from 0, has ended after so many seconds; None: it has begun."""

    task_id: str
    index: int
    name: str
    seconds: float | None


class StageChanged(Struct, frozen=True, gc=False):
    """Where a job of GitLab's runner is now, in the words of that runner."""

    task_id: str
    stage: str
    state: str
    executor_stage: str


class LogReported(Struct, frozen=True, gc=False):
    """One attempt to hand log rows to the forge; ``rows_left`` it has not taken yet, None where nobody knows."""

    ok: bool
    seconds: float | None
    rows_left: int | None = None
    task_id: str | None = None


class StateReported(Struct, frozen=True, gc=False):
    """One attempt to tell the forge the state of a task."""

    ok: bool
    seconds: float | None


class TaskClosing(Struct, frozen=True, gc=False):
    """The work of a task is over and its last reports are under way."""

    task_id: str


class TaskEnded(Struct, frozen=True, gc=False):
    """The last report of a task has arrived, or it is given up; ``seconds`` are those since the runner got it.

    ``failure_reason`` is GitLab's, of a job that its runner called failed.
    """

    task_id: str
    result: Result
    seconds: float | None
    failure_reason: str | None = None


Event = (
    Declared
    | Fetched
    | Waiting
    | Draining
    | TaskBegan
    | WorkBegan
    | StepChanged
    | StageChanged
    | LogReported
    | StateReported
    | TaskClosing
    | TaskEnded
)
