"""What the gateway itself says to a forge as a registered runner, and to the runners that it launches.

The real credentials are a ``Registration``'s, and never leave the gateway. A launched runner gets a ``Credential`` of
its own, good for one task; what it says with it is passed on as the registration's.
"""

import secrets
import uuid
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from jobmeter.gateway.forges.port import Call, Headers, LogReport, Reply, Request, Result
from jobmeter.model.errors import JobmeterError

Pairs = Sequence[tuple[bytes, bytes]]

_SCHEMAS = frozenset({"host", "docker", "lxc", "vm"})
_TOKEN_BYTES = 20


class NotRegistered(JobmeterError):
    """A forge did not register a runner; the message says why, without the token."""


class Credential(Struct, frozen=True, kw_only=True):
    """What a runner shows: ``uuid`` is None at GitLab, where a token is enough."""

    token: str
    uuid: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Credential(uuid={self.uuid!r})"


class Registration(Struct, frozen=True, kw_only=True):
    """A runner that a forge knows; ``id`` is the forge's number of it.

    ``labels`` are as official runners write them: ``name:schema:argument``, or ``name``. ``system_id`` and ``executor``
    are GitLab's words for the machine and for how jobs are run.
    """

    token: str
    name: str
    uuid: str | None = None
    id: int | None = None
    labels: tuple[str, ...] = ()
    system_id: str | None = None
    executor: str = "shell"

    def __repr__(self) -> str:
        """Without the token."""
        return f"Registration(name={self.name!r}, uuid={self.uuid!r}, labels={self.labels!r})"

    @property
    def credential(self) -> Credential:
        """The real one."""
        return Credential(token=self.token, uuid=self.uuid)

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the forge is told of the labels."""
        return tuple(map(label_name, self.labels))


class Asking(NamedTuple):
    """A call with all credentials that it needs, and the request by which ``Dialect.read_answer`` reads its answer."""

    call: Call
    request: Request


def fresh_credential() -> Credential:
    """One that nobody else has."""
    return Credential(token=secrets.token_hex(_TOKEN_BYTES), uuid=str(uuid.uuid4()))


def label_name(label: str) -> str:
    """``ubuntu`` of ``ubuntu:docker://node:22``; a label whose schema is none of the runners' is all name."""
    name, _, rest = label.partition(":")
    return name if rest.partition(":")[0] in _SCHEMAS else label


class OwnDialect(Protocol):
    """The gateway's own part in one wire. Whatever the bytes are, only ``Unreadable`` is raised, but where said."""

    def fetch_call(
        self,
        registration: Registration,
        version: str,
        *,
        tasks_version: int = 0,
        last_update: str | None = None,
        request_key: str | None = None,
    ) -> Asking:
        """Ask for one task.

        ``version`` is the runner's. ``tasks_version`` (Actions) and ``last_update`` (GitLab) are the forge's last
        answer's. ``request_key`` stays the same until an answer has arrived: a forge that knows it (newer Forgejo)
        gives the same task again.
        """
        ...

    def declare_call(
        self, registration: Registration, version: str, capabilities: Sequence[str] = ()
    ) -> Asking:
        """Say that the runner is here; the answer is ``Declared``, or that the forge does not know it."""
        ...

    def register_call(self, token: str, name: str, labels: Sequence[str], version: str) -> Asking:
        """Have a new runner registered by a registration token; at GitLab also by a runner's own, made there."""
        ...

    def read_registration(
        self, name: str, labels: Sequence[str], status: int, headers: Headers, body: bytes
    ) -> Registration:
        """The answer to that. Raises NotRegistered with what the forge said."""
        ...

    def report_log(
        self,
        registration: Registration,
        task_id: str,
        token: str | None,
        start: int,
        lines: Sequence[str],
        at: float,
        *,
        last: bool = True,
    ) -> Call | None:
        """Add lines to a task's log from ``start`` on, which is what the forge has acknowledged: rows, or bytes.

        ``token`` is the task's own (``Dialect.task_token``), ``at`` in seconds since the epoch; None if a token is
        missing.
        """
        ...

    def with_line(self, report: LogReport, body: bytes, line: str, at: float) -> tuple[bytes, Reply] | None:
        """A runner's last report of a log with one line of ours behind it, and what it is told once that is taken.

        ``body`` is without content coding; None where nobody else may add to a log.
        """
        ...

    def report_end(
        self,
        registration: Registration,
        task_id: str,
        token: str | None,
        result: Result,
        at: float,
        *,
        timed_out: bool = False,
    ) -> Call | None:
        """Say that a task is over, as ``Dialect.report_end`` with the credentials; ``timed_out``: it took too long."""
        ...

    def shown(self, headers: Headers, body: bytes) -> Credential | None:
        """The credential of a runner's request; None if it shows none, as reports of GitLab's jobs."""
        ...

    def replaced(self, pairs: Pairs, registration: Registration) -> list[tuple[bytes, bytes]]:
        """A report's headers with the registration's credentials where the runner's own stand."""
        ...

    def is_service(self, method: str, path: str) -> bool:
        """Whether runners ask there, and not their jobs: with a launched one's credential nothing passes unread."""
        ...

    def is_in_place(self, path: str) -> bool:
        """Whether credentials of the registration may go there: to a call of the forge, not to what ends like one."""
        ...

    def welcome(self, request: Request, registration: Registration, shown: Credential) -> Reply | None:
        """The answer of our own to Ping, Declare and verify of a launched runner; None: it is another request."""
        ...

    def reject(self, request: Request) -> Reply:
        """The credential is not known, or not any more: as the forge says so."""
        ...
