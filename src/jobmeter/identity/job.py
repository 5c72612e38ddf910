"""Asks every forge's module which job this is, and merges their answers."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jobmeter.identity import forgejo, gitea, github, gitlab, own
from jobmeter.identity.variables import is_true, owner_of
from jobmeter.model.job import Job

# Forgejo's runner also sets Gitea's marker, and both also set GitHub's marker and variables.
FORGES: tuple[tuple[str, Callable[[Mapping[str, str]], Job | None]], ...] = (
    (forgejo.MARKER, forgejo.identify),
    (gitea.MARKER, gitea.identify),
    (github.MARKER, github.identify),
    (gitlab.MARKER, gitlab.identify),
)


def identify_job(environ: Mapping[str, str]) -> tuple[Job, list[str]]:
    """The job of this environment, and one sentence for each variable that was not accepted.

    The first forge in the order Forgejo, Gitea, GitHub, GitLab whose marker is set answers; without any
    marker the first that finds a variable of its own. ``JOBMETER_*`` variables override single fields.
    """
    own_job, warnings = own.identify(environ)
    job = _ask_forges(environ)
    if own_job is not None:
        said = {name: getattr(own_job, name) for name in Job.__struct_fields__}
        overrides: dict[str, Any] = {name: value for name, value in said.items() if value not in (None, ())}
        if "repository" in overrides:
            # The forge's owner does not belong to another repository.
            overrides.setdefault("organization", owner_of(overrides["repository"]) or job.organization)
        job = msgspec.structs.replace(job, **overrides)
    if job.organization is None and job.repository is not None:
        job = msgspec.structs.replace(job, organization=owner_of(job.repository))
    return job, warnings


def _ask_forges(environ: Mapping[str, str]) -> Job:
    marked = [forge for forge in FORGES if is_true(environ, forge[0])]
    for _, identify in marked or FORGES:
        job = identify(environ)
        if job is not None:
            return job
    return Job()
