"""Whose work a task is, in the words that the exporter uses of the same job."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import islice

from jobmeter.gateway.forges.port import TaskFacts
from jobmeter.identity.variables import printable
from jobmeter.model.job import Job

MAX_CHARACTERS = 256
"""Of any word that a forge, a runner or a job chose: it becomes a label or a line of a log."""

Scalar = str | int | float | bool | None

MAX_TEXTS = 64
"""Labels of a runner, names of outputs, capabilities."""


def bounded(text: str | None) -> str | None:
    """The text on one line and not too long; None if nothing is left of it."""
    return printable((text or "")[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS] or None


def bounded_all(texts: Iterable[str]) -> tuple[str, ...]:
    """The first of these texts, each bounded."""
    return tuple(filter(None, map(bounded, islice(texts, MAX_TEXTS))))


def facts_of(job: Job) -> TaskFacts:
    """What matters of a job here."""
    return TaskFacts(
        server_url=bounded(job.server_url),
        repository=bounded(job.repository),
        organization=bounded(job.organization),
        workflow=bounded(job.workflow),
        job=bounded(job.job),
        run_id=bounded(job.run_id),
        attempt=job.attempt,
        matrix=_bounded_leg(job.matrix),
        ref=bounded(job.ref),
        sha=bounded(job.sha),
        event=bounded(job.event),
    )


def _bounded_leg(matrix: Mapping[str, Scalar] | None) -> Mapping[str, Scalar] | None:
    """Values of a leg of a matrix, as far as their names are texts of any use."""
    if matrix is None:
        return None
    leg = ((bounded(name), value) for name, value in islice(matrix.items(), MAX_TEXTS))
    return {name: bounded(value) if isinstance(value, str) else value for name, value in leg if name}


def digest(*secrets: str | None) -> str:
    """What tells these apart from any others without holding them; tokens are too long to be guessed from it."""
    told = "\0".join("" if secret is None else f"{len(secret)}:{secret}" for secret in secrets)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
