"""A summary as it was sent, which is what a receiver is given most."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jobmeter.receiver.store.scopes import Scopes


class NewSummary(NamedTuple):
    """A summary as it was sent, and what is looked for by: columns of the table of the same names."""

    run_uid: str
    forge: str | None
    organization: str | None
    repository: str | None
    workflow: str | None
    job: str | None
    run_id: str | None
    ref: str | None
    start_time: int | None
    job_json: bytes
    summary: bytes

    @property
    def size(self) -> int:
        """Bytes of memory it takes while it waits."""
        return len(self.summary) + len(self.job_json) + 1024


class ScopedSummary(NewSummary):
    """One whose sender may store runs within ``scopes`` only: it is within them, and so must be what it replaces."""

    scopes: Scopes = None

    @classmethod
    def of(cls, summary: NewSummary, scopes: Scopes) -> "ScopedSummary":
        """The same summary."""
        made = cls._make(summary)
        made.scopes = scopes
        return made


def scopes_of(summary: NewSummary) -> Scopes:
    """What its sender may store."""
    return summary.scopes if isinstance(summary, ScopedSummary) else None


def one_replaces_another(summaries: Sequence[NewSummary]) -> bool:
    """Whether some are of one run and a sender is limited: then each must be looked at after the one before."""
    if all(scopes_of(summary) is None for summary in summaries):
        return False
    return max(Counter(summary.run_uid for summary in summaries).values()) > 1


COLUMNS = (*NewSummary._fields, "state", "pushed", "received_at", "heard_at")
"""The columns of a run of which nothing else is known."""
