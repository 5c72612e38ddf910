"""How a run ended, and what was still running then."""

from typing import Literal

from msgspec import Struct

ExitReason = Literal["success", "failure", "signal", "oom", "timeout", "cancelled", "lost", "unknown"]
Certainty = Literal["certain", "probable"]


class Exit(Struct, frozen=True, kw_only=True):
    """The end of a job: ``code`` as the shell sees it, ``signal`` by name, ``detail`` one sentence.

    ``certainty`` is "certain" when an account of the kernel or the exit status proves the reason,
    "probable" when it is inferred, null when there is nothing to prove.
    """

    reason: ExitReason = "unknown"
    code: int | None = None
    signal: str | None = None
    detail: str | None = None
    certainty: Certainty | None = None


class Survivor(Struct, frozen=True):
    """A process of the job that was still running when the command had ended."""

    pid: int
    name: str
