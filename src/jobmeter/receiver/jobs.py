"""What a run and its job may be called, however they are sent."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from jobmeter.model.job import Job
from jobmeter.ops.problems import Problem

_UID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RunUid = Annotated[str, Meta(pattern=f"^{_UID.pattern}$")]
_MAX_JOB_BYTES = 64 * 1024
_ENCODER = msgspec.json.Encoder()


def path_uid(run_uid: str) -> str:
    """The key of a run in a path. Raises a problem 400 for one that no run can have."""
    if not _UID.fullmatch(run_uid):
        raise Problem(400, "The path's {run_uid} is not accepted; accepted are 1 to 64 of A-Z a-z 0-9 . _ -")
    return run_uid


def encoded_job(job: Job) -> bytes:
    """The job as JSON. Raises a problem 400 for one so large that a list of runs would be, too, or with a NUL."""
    encoded = _ENCODER.encode(job)
    if len(encoded) > _MAX_JOB_BYTES:
        raise Problem(
            400,
            f"The field `job` has {len(encoded)} bytes as JSON; accepted are up to {_MAX_JOB_BYTES}.",
        )
    if b"\\u0000" in encoded:
        raise Problem(400, "A name of the job has the character NUL in it, which is not accepted.")
    return encoded
