"""Forgejo Actions: ``FORGEJO_*`` since runner 7, each also as ``GITHUB_*``.

Beside them stand ``FORGEJO_ACTIONS=true`` and ``GITEA_ACTIONS=true`` (internal/app/run/runner.go of
forgejo-runner). An older runner of Forgejo that does not mark itself cannot be told from Gitea's.
"""

from collections.abc import Mapping

from jobmeter.identity.actions import names_a_job, read_job
from jobmeter.identity.variables import is_true
from jobmeter.model.job import Job

MARKER = "FORGEJO_ACTIONS"


def identify(environ: Mapping[str, str]) -> Job | None:
    """The job by ``FORGEJO_*`` and ``GITHUB_*``; None where Forgejo's runner does not show."""
    if not is_true(environ, MARKER) and not names_a_job(environ, "FORGEJO"):
        return None
    return read_job(environ, ("FORGEJO", "GITHUB"), "forgejo")
