"""GitLab CI (GitLab docs "Predefined CI/CD variables reference").

Decided here: ``organization`` is the project's whole namespace, so that organization/name is the
repository; ``workflow`` is the configuration file (pipeline names change from run to run); ``run_id``
is the pipeline, as a run is on other forges; a retried job is a new job of the same pipeline, so
``attempt`` is not known. A leg of ``parallel: N`` has the matrix ``node_index`` and ``node_total``; a
leg of ``parallel:matrix``, called ``name: [a, b]``, tells values but not their names: they are ``1``,
``2`` and so on. Either suffix is cut from the job's name.
"""

from collections.abc import Mapping

from jobmeter.identity.variables import (
    Matrix,
    is_true,
    parse_labels,
    read_positive,
    read_text,
    strip_url,
)
from jobmeter.model.job import Job

MARKER = "GITLAB_CI"


def identify(environ: Mapping[str, str]) -> Job | None:
    """The job by ``CI_*``; None where GitLab does not show."""
    if not is_true(environ, MARKER) and not read_text(environ, "CI_PROJECT_PATH"):
        return None
    job, matrix = _split_parallel(
        read_text(environ, "CI_JOB_NAME"),
        read_positive(environ, "CI_NODE_INDEX"),
        read_positive(environ, "CI_NODE_TOTAL"),
    )
    return Job(
        forge="gitlab",
        server_url=strip_url(read_text(environ, "CI_SERVER_URL")),
        organization=read_text(environ, "CI_PROJECT_NAMESPACE"),
        repository=read_text(environ, "CI_PROJECT_PATH"),
        workflow=read_text(environ, "CI_CONFIG_PATH"),
        job=job,
        run_id=read_text(environ, "CI_PIPELINE_ID"),
        matrix=matrix,
        ref=_ref(environ),
        base_ref=read_text(
            environ,
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME",
        ),
        sha=read_text(environ, "CI_COMMIT_SHA"),
        event=read_text(environ, "CI_PIPELINE_SOURCE"),
        runner=read_text(environ, "CI_RUNNER_DESCRIPTION", "CI_RUNNER_ID"),
        runner_labels=parse_labels(read_text(environ, "CI_RUNNER_TAGS")),
    )


def _ref(environ: Mapping[str, str]) -> str | None:
    """The full reference, as other forges give it, where GitLab tells its kind; else the short name."""
    if full := read_text(environ, "CI_MERGE_REQUEST_REF_PATH"):
        return full
    if tag := read_text(environ, "CI_COMMIT_TAG"):
        return f"refs/tags/{tag}"
    if branch := read_text(environ, "CI_COMMIT_BRANCH"):
        return f"refs/heads/{branch}"
    return read_text(environ, "CI_COMMIT_REF_NAME")


def _split_parallel(
    name: str | None, index: int | None, total: int | None
) -> tuple[str | None, Matrix | None]:
    """The job's own name and the matrix of its leg; ``CI_NODE_INDEX`` is set for parallel jobs only."""
    if index is None:
        return name, None
    if name is not None and name.endswith("]") and ": [" in name:
        base, _, values = name[:-1].partition(": [")
        return base or name, {str(place): value for place, value in enumerate(values.split(", "), start=1)}
    if name is not None:
        name = name.removesuffix(f" {index}/{total}") or name
    return name, {"node_index": index, "node_total": total}
