"""What a runner's request and the forge's answer mean, whichever wire they came on.

A dialect (``actions``, ``gitlab``) turns method, path, headers and body into one of the requests below, and the
answer to it into one of the answers. It is pure, and what it does not understand is ``Other`` or ``Passed``.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from jobmeter.model.errors import JobmeterError

Encoding = Literal["proto", "json"]
Result = Literal["success", "failure", "cancelled", "skipped", "unknown"]
Headers = Mapping[str, str]
"""By their names in lower case, or a mapping that does not care for case."""

CREDENTIAL_HEADERS = frozenset(
    {
        "x-runner-uuid",
        "x-runner-token",
        "runner-token",
        "private-token",
        "job-token",
        "authorization",
        "cookie",
    }
)
"""Headers by which a forge knows a runner or a job, in lower case; what is reported later must repeat them."""


class Unreadable(JobmeterError):
    """A body that is not what its path and type promise; nothing of the body is in the message."""


class Identity(Struct, frozen=True, kw_only=True):
    """One registered runner. ``key`` is its uuid, or at GitLab ``token:`` and a short name of its token."""

    key: str
    name: str | None = None
    labels: tuple[str, ...] = ()
    version: str | None = None


class TaskFacts(Struct, frozen=True, kw_only=True):
    """Whose work a task is; None is not known. Words and forms are those of ``model.job.Job``."""

    server_url: str | None = None
    repository: str | None = None
    organization: str | None = None
    workflow: str | None = None
    job: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    matrix: Mapping[str, str | int | float | bool | None] | None = None
    ref: str | None = None
    sha: str | None = None
    event: str | None = None


class Task(Struct, frozen=True, kw_only=True):
    """One job that the forge handed out: ``body`` is byte for byte what it sent, with its secrets."""

    id: str
    body: bytes
    encoding: Encoding
    facts: TaskFacts = TaskFacts()

    def __repr__(self) -> str:
        """Without the body, which holds the job's secrets."""
        return f"Task(id={self.id!r}, facts={self.facts!r}, body of {len(self.body)} bytes)"


# --- what a runner asks ------------------------------------------------------------------------------------


class Request(Struct, frozen=True, kw_only=True):
    """``identity`` is the key of the runner that asks; None where the request does not tell (GitLab's jobs)."""

    identity: str | None = None
    encoding: Encoding = "json"


class Ping(Request, frozen=True, kw_only=True):
    """Whether anybody is there."""


class Register(Request, frozen=True, kw_only=True):
    """A new runner; the token that allows it is not kept."""

    name: str | None = None
    labels: tuple[str, ...] = ()
    version: str | None = None
    ephemeral: bool = False


class Declare(Request, frozen=True, kw_only=True):
    """A runner has started, or asks whether its token is still good."""

    labels: tuple[str, ...] = ()
    version: str | None = None
    capabilities: tuple[str, ...] = ()


class Fetch(Request, frozen=True, kw_only=True):
    """Is there work?

    ``tasks_version`` is Actions', ``last_update`` GitLab's word for what the runner knows already. ``capacity`` is
    how many tasks it takes at once (None: it did not say, so one), ``request_key`` what makes the request the same
    when it is sent again, ``single`` a FetchSingleTask, of the job ``handle`` if that is not None. At GitLab one
    token may serve several machines, told apart by ``system_id``, and ``executor`` is how they run jobs.
    """

    tasks_version: int = 0
    last_update: str | None = None
    capacity: int | None = None
    request_key: str | None = None
    single: bool = False
    handle: str | None = None
    system_id: str | None = None
    executor: str | None = None
    version: str | None = None


class LogReport(Request, frozen=True, kw_only=True):
    """``count`` more of the log from ``start`` on: rows, or at GitLab bytes. ``last`` if no more will come."""

    task_id: str
    start: int
    count: int
    last: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """One step of a task; times in seconds since the epoch, None where it has not begun or not ended."""

    index: int
    result: Result | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    log_rows: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if self.started_at is None or self.stopped_at is None:
            return None
        return max(0.0, self.stopped_at - self.started_at)


class StateReport(Request, frozen=True, kw_only=True):
    """How a task goes: ``result`` is None until it is over."""

    task_id: str
    result: Result | None = None
    failure_reason: str | None = None
    exit_code: int | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    steps: tuple[Step, ...] = ()
    outputs: tuple[str, ...] = ()


class Other(Request, frozen=True, kw_only=True):
    """Everything else: nobody here needs to read its body, or its answer's."""


# --- what the forge answers --------------------------------------------------------------------------------


class Empty(Struct, frozen=True, kw_only=True):
    """No work."""

    tasks_version: int = 0
    last_update: str | None = None


class Tasks(Struct, frozen=True, kw_only=True):
    """Work: at least one task."""

    tasks: tuple[Task, ...]
    tasks_version: int = 0
    last_update: str | None = None


class Failed(Struct, frozen=True, kw_only=True):
    """The forge, or what stands before it, refused; ``code`` is Connect's word, at GitLab the HTTP status."""

    sentence: str
    code: str
    status: int = 0


class Unauthenticated(Struct, frozen=True, kw_only=True):
    """The forge does not know the runner (any more)."""

    sentence: str


class TimedOut(Struct, frozen=True):
    """No answer within our own time limit; no dialect says this."""


class Declared(Struct, frozen=True, kw_only=True):
    """The runner as the forge knows it; None where it does not tell who it is. ``ephemeral``: for one task only."""

    identity: Identity | None = None
    ephemeral: bool = False
    capabilities: str | None = None


class LogTaken(Struct, frozen=True, kw_only=True):
    """The forge has ``acknowledged`` of the log (rows, or bytes; None: it did not say).

    ``taken`` is False where the runner must send again from there. ``over`` is how the forge closed the job meanwhile,
    ``canceling`` asks the runner to end it.
    """

    acknowledged: int | None = None
    taken: bool = True
    over: Result | None = None
    canceling: bool = False


class StateTaken(Struct, frozen=True, kw_only=True):
    """The forge has the state; ``complete`` is False where a final report must be sent again."""

    complete: bool = True
    over: Result | None = None
    canceling: bool = False
    sent_outputs: tuple[str, ...] = ()


class Passed(Struct, frozen=True):
    """An answer that tells nothing of interest here."""


Outcome = Empty | Tasks | Failed | TimedOut | Unauthenticated
Answer = Empty | Tasks | Failed | Unauthenticated | Declared | LogTaken | StateTaken | Passed


# --- what we say ourselves ---------------------------------------------------------------------------------


class Reply(Struct, frozen=True, kw_only=True):
    """An answer of our own to a runner."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Without the body, which may hold a task."""
        return f"Reply(status={self.status}, body of {len(self.body)} bytes)"


class Call(Struct, frozen=True, kw_only=True):
    """A request of our own to the forge: ``path`` is below its address, the runner's credentials are to be added."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Without headers and body, which may hold a job's token."""
        return f"Call({self.method} {self.path})"


class Dialect(Protocol):
    """One wire. A path is a request's target, with any prefix and query; a body is without content coding.

    Whatever the bytes are, only ``Unreadable`` is raised.
    """

    def wants_body(self, method: str, path: str, headers: Headers) -> bool:
        """Whether this request and its answer must be read whole; else ``read_request`` would say ``Other``."""
        ...

    def read_request(self, method: str, path: str, headers: Headers, body: bytes) -> Request:
        """What the runner asks."""
        ...

    def read_answer(self, request: Request, status: int, headers: Headers, body: bytes) -> Answer:
        """What the forge, or what stands before it, answered to ``request``."""
        ...

    def nothing(self, fetch: Fetch) -> Reply:
        """There is no work: what the runner knows already is said back to it, in its encoding."""
        ...

    def hand_out(self, fetch: Fetch, tasks: Sequence[Task]) -> Reply:
        """Tasks that were fetched earlier, at least one, in the encoding of ``fetch``; its version is said back."""
        ...

    def refuse(self, request: Request, sentence: str) -> Reply:
        """The forge cannot be asked now; a runner takes it for a failure that may pass."""
        ...

    def proof(self, headers: Headers, body: bytes) -> str:
        """What only the same runner shows again with a request for work: a digest of its credentials."""
        ...

    def task_token(self, task: Task) -> str | None:
        """The token that a task is reported with; None where that is its runner's."""
        ...

    def runtime_token(self, task: Task) -> str | None:
        """The token by which a job of Actions attaches artifacts; None if it has none."""
        ...

    def report_token(self, headers: Headers, body: bytes) -> str | None:
        """The same token as a report shows it; None if it shows none."""
        ...

    def ask(self, fetch: Fetch, body: bytes) -> bytes:
        """The runner's own ``body``, with versions and capacity as in ``fetch`` and all else as it was."""
        ...

    def report_end(self, task_id: str, token: str | None, result: Result, at: float) -> Call | None:
        """Tell the forge that a task is over, at this time in seconds since the epoch; None if a token is missing."""
        ...
