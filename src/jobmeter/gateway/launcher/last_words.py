"""The end of what a runner wrote to stdout and stderr, as one line of a log: why it did not start."""

import re
from collections.abc import Iterable
from pathlib import Path

_READ_BYTES = 16 * 1024
_MOST_LINES = 5
_MOST_CHARACTERS = 500
"""Far fewer than are read: a secret that begins before is not shown in part."""
_STYLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_TOKEN = re.compile(r"[0-9a-f]{40}")
"""As those are that runners are given for a task; that of a runner from before a restart is known to nobody."""
_HIDDEN = "[hidden]"


def last_words(output: Path, secrets: Iterable[str | None]) -> str | None:
    """Its last lines without ``secrets`` and control characters; None where there are none, or they cannot be read."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _READ_BYTES))
            text = file.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    lines = [line for one in text.splitlines() if (line := _plain(one))]
    said = " | ".join(lines[-_MOST_LINES:])
    for secret in secrets:
        if secret:
            said = said.replace(secret, _HIDDEN)
    said = _TOKEN.sub(_HIDDEN, said)
    if not said:
        return None
    return said if len(said) <= _MOST_CHARACTERS else f"…{said[-_MOST_CHARACTERS:]}"


def _plain(line: str) -> str:
    return "".join(one if one.isprintable() else " " for one in _STYLE.sub("", line)).strip()
