"""What every place for evidence offers, and how evidence is called there."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

_REFUSED = frozenset('\\/":<>|*?')
"""What no artifact may have in its name, with all that is not printable."""
_MAX_JOB_BYTES = 120
_MAX_TASK_BYTES = 60


class Attachment(NamedTuple):
    """A file to be attached to a job. ``name`` is the artifact's, ``file`` the one within."""

    name: str
    file: str
    content: bytes


class Place(Protocol):
    """Takes attachments."""

    async def upload(self, attachment: Attachment) -> str:
        """Attach it whole or not at all; returns where it is, to stand after "the evidence is".

        Raises SendError, without any secret.
        """


def artifact_name(job: str | None, task: str) -> str:
    """``jobmeter-<job>-<task>``: the legs of a matrix share the job's name, no two of them the task.

    What an artifact's name may not have becomes ``_``. A task is never cut, so that two never become one.
    """
    kept = _kept(task)
    if kept != task or len(kept.encode()) > _MAX_TASK_BYTES:
        kept = hashlib.sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    named = _kept(job or "job").encode()[:_MAX_JOB_BYTES].decode(errors="ignore")
    return f"jobmeter-{named}-{kept}"


def _kept(text: str) -> str:
    return "".join("_" if sign in _REFUSED or not sign.isprintable() else sign for sign in text)


def file_name(form: str) -> str:
    """Of evidence in one of the forms of `--format`."""
    return _FILES[form]


_FILES: Mapping[str, str] = {
    "full": "evidence.json",
    "compat": "metrics_referee.json",
    "markdown": "evidence.md",
    "html": "evidence.html",
}
