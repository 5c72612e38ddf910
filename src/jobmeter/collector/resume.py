"""A restarted collector goes on with the run that its journal holds."""

from msgspec import Struct

from jobmeter.model.job import Job
from jobmeter.model.summarize import RunFold
from jobmeter.spool.journal import JournalReader

METER = "collector"
# An orchestrator waits at most some minutes before it starts a killed sidecar again.
MAX_GAP_SECONDS = 900.0


class Unfinished(Struct, frozen=True):
    """The last run of a journal, which has no end: its key, its start on the monotonic clock, what was read."""

    run_uid: str
    monotonic_seconds: float
    fold: RunFold
    names: dict[str, str]


def unfinished_run(
    journal: JournalReader, job: Job, boot_id: str | None, top: int, monotonic_seconds: float
) -> Unfinished | None:
    """The journal's last run if it may be gone on with; None to begin a new one.

    It must be a collector's, of this job and this boot, not ended, and its last record must be from the last
    ``MAX_GAP_SECONDS``.

    Raises JournalError when the journal cannot be read.
    """
    fold: RunFold | None = None
    names: dict[str, str] = {}
    for record in journal:
        if fold is None or fold.start is None or record.run_uid != fold.start.run_uid:
            fold, names = RunFold(top), {}
        fold.add(record)
        container = getattr(record, "container", None)
        if container is not None:
            names[container.key] = container.name
    if fold is None or fold.start is None or fold.ended or boot_id is None:
        return None
    if fold.start.meter != METER or fold.start.job != job or fold.start.boot_id != boot_id:
        return None
    if monotonic_seconds - fold.start.monotonic_seconds - fold.last_elapsed_seconds > MAX_GAP_SECONDS:
        return None
    return Unfinished(fold.start.run_uid, fold.start.monotonic_seconds, fold, names)
