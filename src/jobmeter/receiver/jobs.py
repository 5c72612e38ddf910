"""What a run and its job may be called, however they are sent."""

from typing import Annotated

import msgspec
from msgspec import Meta

from jobmeter.model.job import Job
from jobmeter.ops.problems import Problem

RunUid = Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,64}$")]
_MAX_JOB_BYTES = 64 * 1024
_ENCODER = msgspec.json.Encoder()


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
