"""How a run ended and why, and what was still running then."""

import signal
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

# Words, not enumerations: a reader of version 1 must be able to read one that a later release adds.
ExitReason = str  # "success", "failure", "signal", "oom", "timeout", "cancelled", "lost", "unknown"
Certainty = str  # "certain", "probable"

_KILLED = 128 + 9


class Exit(Struct, frozen=True, kw_only=True):
    """How a job ended, and why."""

    reason: Annotated[
        ExitReason, Meta(description="success, failure, signal, oom, timeout, cancelled, lost or unknown.")
    ] = "unknown"
    code: Annotated[
        int | None, Meta(description="The exit code as a shell sees it; null when it is not known.")
    ] = None
    signal: Annotated[str | None, Meta(description="The name of the signal that ended it.")] = None
    detail: Annotated[str | None, Meta(description="One sentence about it.")] = None
    certainty: Annotated[
        Certainty | None,
        Meta(
            description="certain: an account of the kernel or the exit status proves the reason; "
            "probable: it is inferred; null: there is nothing to prove."
        ),
    ] = None


class Survivor(Struct, frozen=True):
    """A process of the job that was still running when the command had ended."""

    pid: Annotated[int, Meta(description="Its number.")]
    name: Annotated[str, Meta(description="Its name.")]


class OutOfMemory(NamedTuple):
    """What is known of OOM kills: how many, whether the account is the job's alone, and the circumstances."""

    kills: int
    certain: bool
    limit: str | None = None
    biggest: str | None = None

    def sentence(self) -> str:
        """One sentence for the report."""
        what = "a process" if self.kills == 1 else f"{self.kills} processes"
        limit = f"the memory limit is {self.limit}" if self.limit else "no memory limit was readable"
        biggest = f", the biggest process was {self.biggest}" if self.biggest else ""
        return f"The kernel killed {what} of the job for want of memory: {limit}{biggest}."


def from_wait_status(
    status: int,
    *,
    out_of_memory: OutOfMemory | None = None,
    memory_sufficed: bool = False,
    cancelled_by: str | None = None,
) -> Exit:
    """The exit of a command by its wait(2) status.

    A command that succeeded in spite of an OOM kill has succeeded; one that was itself killed, or says
    137 as a shell does of a killed child, died of it; of any other failure it is the probable cause.
    ``memory_sufficed`` says that the kernel counted its kills to the end, and there was none.
    ``cancelled_by`` names the signal that another process sent the wrapper.
    """
    killed_by = status & 0x7F
    code = 128 + killed_by if killed_by else status >> 8
    name = _signal_name(killed_by) if killed_by else None
    if code == 0:
        return Exit(reason="success", code=0, certainty="certain")
    if out_of_memory is not None:
        certainty: Certainty = "certain" if out_of_memory.certain and code == _KILLED else "probable"
        return Exit(
            reason="oom", code=code, signal=name, detail=out_of_memory.sentence(), certainty=certainty
        )
    if cancelled_by is not None:
        detail = f"The job was asked to stop by {cancelled_by}."
        return Exit(reason="cancelled", code=code, signal=name, detail=detail, certainty="certain")
    if name is not None:
        detail = killed_sentence(name, memory_sufficed=memory_sufficed)
        return Exit(reason="signal", code=code, signal=name, detail=detail, certainty="certain")
    return Exit(reason="failure", code=code, certainty="certain")


def killed_sentence(signal_name: str, *, memory_sufficed: bool = False) -> str:
    """By which signal; SIGKILL is also what the kernel sends for want of memory, so that is ruled out where it is."""
    but = ", not by the kernel for lack of memory" if memory_sufficed and signal_name == "SIGKILL" else ""
    return f"Killed by {signal_name}{but}."


def not_started(code: int, reason: str) -> Exit:
    """The exit of a command that could not be started; codes as in timeout(1)."""
    return Exit(reason="failure", code=code, detail=reason, certainty="certain")


def exit_code(status: int) -> int:
    """What the shell shows for a wait(2) status: the code, or 128 + N for signal N."""
    killed_by = status & 0x7F
    return 128 + killed_by if killed_by else status >> 8


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
