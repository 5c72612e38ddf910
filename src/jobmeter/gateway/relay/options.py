"""What one forge's relay is told; the names are the keys of ``[[forge]]``."""

from typing import Literal

from msgspec import Struct

from jobmeter.gateway.keeping.finals import QUIET_SECONDS
from jobmeter.gateway.polling.backoff import INTERVAL_MAX_SECONDS, INTERVAL_SECONDS
from jobmeter.gateway.polling.slots import LOST_AFTER_SECONDS

Kind = Literal["forgejo", "gitea", "gitlab"]
ACTIONS_FETCH_SECONDS = 5.0
SIGN_SECONDS = 10.0
"""Runners report what they have got after about 3 s at the latest, and ask for more at once if they do several."""
ACTIONS_DONE_SECONDS = 10.0
"""Runners report each second, those of Gitea from 0.5 on at least each five, unless they are told otherwise."""
GITLAB_DONE_SECONDS = 75.0
"""Its runners report each minute if nobody looks at a log in which nothing happens, else each half."""
GITLAB_FETCH_SECONDS = 60.0
"""GitLab holds a request for about 50 s."""
ACTIONS_ANSWER_SECONDS = 60.0
"""So long forgejo-runner waits for an answer to a report, without saying so; others say how long."""


class ForgeOptions(Struct, frozen=True, kw_only=True):
    """One forge: ``url`` is where it is, a path below it too, ``public_url`` what its runners were given if that is
    another address, ``place`` where all this is written; durations in seconds, sizes in bytes.

    ``fetch_timeout`` None is the usual one of the forge's kind; so is ``answer_seconds``, how long a runner waits for
    an answer to a report if it does not say so, and ``sign_seconds``, after which a task has not reached a runner that
    asks on without a report of it. Without ``capacity`` no runner is held back.
    ``park_seconds`` is how long a task waits for its runner to ask again, ``quiet_seconds`` how long a runner has not
    tried its last report before it is delivered for it. A request's body of more than ``read_bytes``, packed or not,
    and what would make all of them that are held more than ``held_bytes``, passes without being read: 100,000 rows of
    a log are 7 MiB, and the smallest rows take 17 times their bytes while they are counted.
    """

    name: str
    kind: Kind
    url: str
    place: str = ""
    public_url: str | None = None
    fetch_interval: float = INTERVAL_SECONDS
    fetch_interval_max: float = INTERVAL_MAX_SECONDS
    fetch_timeout: float | None = None
    capacity: int | None = None
    lost_after: float = LOST_AFTER_SECONDS
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False
    park_seconds: float = 60.0
    quiet_seconds: float = QUIET_SECONDS
    answer_seconds: float | None = None
    sign_seconds: float | None = None
    read_bytes: int = 16 * 1024 * 1024
    held_bytes: int = 256 * 1024 * 1024

    @property
    def fetch_seconds(self) -> float:
        """How long one request for a task may take."""
        if self.fetch_timeout is not None:
            return self.fetch_timeout
        return GITLAB_FETCH_SECONDS if self.kind == "gitlab" else ACTIONS_FETCH_SECONDS

    @property
    def unreported_seconds(self) -> float:
        """After so long without a report a task has not reached a runner that asks on."""
        if self.sign_seconds is not None:
            return self.sign_seconds
        return max(self.fetch_interval, SIGN_SECONDS)

    @property
    def done_seconds(self) -> float:
        """After so long without a report the task is over of a runner that asks and has one slot, here and itself."""
        return GITLAB_DONE_SECONDS if self.kind == "gitlab" else ACTIONS_DONE_SECONDS

    @property
    def patient_seconds(self) -> float:
        """How long a runner waits that names no limit; GitLab's, which tries on for hours, need not wait."""
        if self.answer_seconds is not None:
            return self.answer_seconds
        return 0.0 if self.kind == "gitlab" else ACTIONS_ANSWER_SECONDS
