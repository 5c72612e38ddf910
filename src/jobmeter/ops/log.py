"""Where a daemon tells its operator what happens."""

from typing import Protocol


class Log(Protocol):
    """Takes messages; every field is data, never part of the message."""

    def warn(self, message: str, **fields: object) -> None:
        """Something that needs the operator."""
        ...
