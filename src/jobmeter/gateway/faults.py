"""What is said of an error: to people its reason; to the log, of a fault of ours, where it was."""

import asyncio
import errno
import traceback

from jobmeter.model.errors import JobmeterError

_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def reason_of(error: BaseException) -> str:
    """Without a full stop; of errors that nobody expected only the kind, since their text may quote a secret."""
    said = str(error) if isinstance(error, JobmeterError) else None
    if isinstance(error, OSError):
        said = error.strerror
    return (said or "").rstrip(".") or type(error).__name__


def fault_of(error: BaseException) -> dict[str, object]:
    """Fields of a line in the log: the reason and the lines of code, without the error's own text."""
    return {"fault": reason_of(error), "trace": "".join(traceback.format_tb(error.__traceback__))}


def may_pass(error: OSError) -> bool:
    """Whether it is a want of descriptors or memory, and says nothing of what was asked for."""
    return error.errno in _PASSING


def is_cancelled() -> bool:
    """Whether it is this task of ours that is cancelled, and not only something that it waits for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
