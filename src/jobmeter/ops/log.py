"""Where a daemon tells its operator what happens."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

SAME_AGAIN_SECONDS = 10.0
_MAX_REMEMBERED = 64


class Log(Protocol):
    """Takes messages; every field is data, never part of the message."""

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        ...


class Notices(Protocol):
    """Takes what was done, in the same form."""

    def info(self, message: str, **fields: object) -> None:
        """Something a reader of the log wants to know."""
        ...


class FullLog(Log, Notices, Protocol):
    """Takes both."""


class Naming:
    """Adds the same ``fields`` to all that is said."""

    def __init__(self, log: FullLog, **fields: object) -> None:
        self._log = log
        self._fields = fields

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        self._log.warn(message, **self._fields, **fields)

    def info(self, message: str, **fields: object) -> None:
        """Something a reader of the log wants to know."""
        self._log.info(message, **self._fields, **fields)


class Sparing:
    """Says the same once in a while: it is for what any client, or each of many requests, can make a daemon say."""

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._said_at: OrderedDict[str, float] = OrderedDict()

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator, unless the same message was said less than SAME_AGAIN_SECONDS ago."""
        now = self._clock()
        if now - self._said_at.get(message, -SAME_AGAIN_SECONDS) < SAME_AGAIN_SECONDS:
            return
        self._said_at[message] = now
        self._said_at.move_to_end(message)
        if len(self._said_at) > _MAX_REMEMBERED:
            self._said_at.popitem(last=False)
        self._log.warn(message, **fields)
