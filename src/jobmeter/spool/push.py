"""Posts the summary of one run, once, in the seed's envelope."""

import msgspec
from msgspec import Struct

from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.transport import Endpoint


class Execution(Struct, frozen=True):
    """The names that the Forgejo collector's receiver files a summary under."""

    organization: str | None
    repository: str | None
    workflow: str | None
    job: str | None
    run_id: str | None


class Envelope(Struct, frozen=True):
    """The body of a push."""

    execution: Execution
    run_summary: Summary


class Push:
    """One POST; the same run again is the same by its ``Idempotency-Key``."""

    def __init__(self, endpoint: Endpoint, summary: Summary) -> None:
        self._endpoint = endpoint
        self._summary = summary
        # True once it was accepted.
        self.finished = False

    def step(self, timeout: float) -> bool:
        """Post it; False, since nothing is left then. Raises SendError."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": self._summary.run_uid}
        self._endpoint.post("", msgspec.json.encode(envelope(self._summary)), headers, timeout=timeout)
        self.finished = True
        return False


def envelope(summary: Summary) -> Envelope:
    """The summary with the names of its job."""
    return Envelope(_execution(summary.job), summary)


def _execution(job: Job) -> Execution:
    return Execution(job.organization, job.repository, job.workflow, job.job, job.run_id)
