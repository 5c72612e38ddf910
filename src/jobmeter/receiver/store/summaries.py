"""A summary as it was sent, which is what a receiver is given most."""

from typing import NamedTuple


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


COLUMNS = (*NewSummary._fields, "state", "pushed", "received_at", "heard_at")
"""The columns of a run of which nothing else is known."""
