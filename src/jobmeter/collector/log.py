"""Messages of the collector on stderr, as JSON lines or as text."""

import sys
import time
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warn", "error"]
_ORDER: tuple[Level, ...] = ("debug", "info", "warn", "error")


class Log:
    """Writes messages of at least ``level``; every field is data, never part of the message."""

    def __init__(self, level: Level, form: Literal["json", "text"]) -> None:
        self._least = _ORDER.index(level)
        self._form = form

    def info(self, message: str, **fields: object) -> None:
        """Something a reader of the log wants to know."""
        self._write("info", message, fields)

    def warn(self, message: str, **fields: object) -> None:
        """Something that is missing from the numbers."""
        self._write("warn", message, fields)

    def debug(self, message: str, **fields: object) -> None:
        """What was read."""
        self._write("debug", message, fields)

    def _write(self, level: Level, message: str, fields: dict[str, object]) -> None:
        if _ORDER.index(level) < self._least:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._form == "json":
            line = msgspec.json.encode({"time": stamp, "level": level, "msg": message, **fields}).decode()
        else:
            pairs = "".join(f" {name}={value!r}" for name, value in fields.items())
            line = f"{stamp} {level.upper()} {message}{pairs}"
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except OSError:
            return  # Nobody reads.
