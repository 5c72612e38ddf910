"""GitHub Actions, and whoever speaks its variables (GitHub docs "Variables reference").

``GITHUB_REPOSITORY_OWNER``, ``GITHUB_REPOSITORY`` (the full path), ``GITHUB_WORKFLOW``, ``GITHUB_JOB``
and ``GITHUB_RUN_ID`` are also the literal contract of the Forgejo Runner Resource Collector, which
takes them without a marker: then the forge is not known. ``GITHUB_WORKFLOW`` is kept as it stands:
the collector's contract calls it the file name, and Gitea and Forgejo fill in the file name unless
the workflow has a name; on GitHub it is the workflow's name, else the path of its file. Only where it
is not set, the file name is taken from ``GITHUB_WORKFLOW_REF``.
"""

from collections.abc import Mapping

import msgspec

from jobmeter.identity.actions import names_a_job, read_job
from jobmeter.identity.variables import is_true
from jobmeter.model.job import Job

MARKER = "GITHUB_ACTIONS"


def identify(environ: Mapping[str, str]) -> Job | None:
    """The job by ``GITHUB_*``; None without one that tells of a job."""
    if not is_true(environ, MARKER) and not names_a_job(environ, "GITHUB"):
        return None
    job = read_job(environ, ("GITHUB",), None)
    if is_true(environ, MARKER) or job.server_url == "https://github.com":
        job = msgspec.structs.replace(job, forge="github")
    return job
