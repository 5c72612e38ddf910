"""Which run is meant where no file was named: the newest one of the job that the environment names.

Runners of one user share a directory of journals, so the newest run there may be one of another job.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from jobmeter.apps.outputs import default_journals
from jobmeter.identity.job import identify_job
from jobmeter.model import wire
from jobmeter.model.errors import JournalError
from jobmeter.model.job import Job
from jobmeter.report.notes import job_identity
from jobmeter.spool.journal import JournalReader

_NAMED = ("server_url", "repository", "workflow", "job", "matrix", "run_id", "attempt", "runner")
"""What tells executions of jobs apart, as far as the environment says it: legs often by their runner alone."""
_NO_NAME = "a job without a name"


class Newest(NamedTuple):
    """A journal; ``remark`` says what is to be known of the choice, None where it is simply the newest.

    ``is_other`` where the run is not one of the job that the environment names.
    """

    path: str
    remark: str | None = None
    is_other: bool = False


def newest(environ: Mapping[str, str]) -> Newest:
    """The newest run of the job that the environment names, else the newest of all. Raises JournalError."""
    paths = default_journals(environ)
    named, _ = identify_job(environ)
    if not any(getattr(named, field) for field in _NAMED):
        return Newest(paths[0])
    wanted = f"{_described(named)}, which the environment names"
    found = next((path for path in paths if _is_of(_job_of(path), named)), None)
    if found == paths[0]:
        return Newest(found)
    other = _described(_job_of(paths[0]) or Job()) or _NO_NAME
    if found is None:
        where = os.path.dirname(paths[0])
        remark = f"{where} has no run of {wanted}; the newest one is of {other}"
        return Newest(paths[0], remark, is_other=True)
    return Newest(found, f"the newest run is of {other}; taken is the newest one of {wanted}")


def _job_of(path: str) -> Job | None:
    """The job of a journal's first run; None where that cannot be read."""
    try:
        return next((record.job for record in JournalReader(path) if isinstance(record, wire.Start)), None)
    except JournalError:
        return None


def _is_of(job: Job | None, named: Job) -> bool:
    if job is None:
        return False
    told = {field: value for field in _NAMED if (value := getattr(named, field))}
    return all(getattr(job, field) == value for field, value in told.items())


def _described(job: Job) -> str:
    """Without its branch and commit."""
    identity = job_identity(Job(**{field: getattr(job, field) for field in _NAMED}))
    return f"{identity} on {job.runner}" if identity and job.runner else identity
