"""Gitea Actions: the ``GITHUB_*`` variables beside ``GITEA_ACTIONS=true``.

Newer runners repeat a few as ``GITEA_*`` (internal/app/run/runner.go of act_runner).
"""

from collections.abc import Mapping

from jobmeter.identity.actions import names_a_job, read_job
from jobmeter.identity.variables import is_true
from jobmeter.model.job import Job

MARKER = "GITEA_ACTIONS"


def identify(environ: Mapping[str, str]) -> Job | None:
    """The job by ``GITEA_*`` and ``GITHUB_*``; None where Gitea's runner does not show."""
    if not is_true(environ, MARKER) and not names_a_job(environ, "GITEA"):
        return None
    return read_job(environ, ("GITEA", "GITHUB"), "gitea")
