"""The variables of the Actions family: one set of suffixes under each forge's prefix.

Sources: GitHub docs "Variables reference"; Forgejo docs "Actions reference"; ``withGithubEnv`` in
act/runner/run_context.go of act_runner (2026-08) and forgejo-runner (2025-12). Neither of these two
tells a job its labels, forgejo-runner not its name either.
"""

from collections.abc import Mapping

from jobmeter.identity.variables import Matrix, parse_matrix, read_positive, read_text, strip_url
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job

_IDENTIFYING = ("REPOSITORY", "REPOSITORY_OWNER", "WORKFLOW", "JOB", "RUN_ID")


def names_a_job(environ: Mapping[str, str], prefix: str) -> bool:
    """Whether a variable of this prefix tells anything of the job (a token alone does not)."""
    return any(read_text(environ, f"{prefix}_{suffix}") for suffix in _IDENTIFYING)


def read_job(environ: Mapping[str, str], prefixes: tuple[str, ...], forge: str | None) -> Job:
    """The job by these variables; an earlier prefix wins for each field."""

    def read(suffix: str) -> str | None:
        return read_text(environ, *(f"{prefix}_{suffix}" for prefix in prefixes))

    attempts = (read_positive(environ, f"{prefix}_RUN_ATTEMPT") for prefix in prefixes)
    return Job(
        forge=forge,
        server_url=strip_url(read("SERVER_URL")),
        organization=read("REPOSITORY_OWNER"),
        repository=read("REPOSITORY"),
        workflow=read("WORKFLOW") or _workflow_file(read("WORKFLOW_REF")),
        job=read("JOB"),
        run_id=read("RUN_ID"),
        attempt=next((attempt for attempt in attempts if attempt), None),
        matrix=_matrix(environ),
        ref=read("REF"),
        base_ref=read("BASE_REF"),
        sha=read("SHA"),
        event=read("EVENT_NAME"),
        runner=read_text(environ, "RUNNER_NAME"),
    )


def _workflow_file(workflow_ref: str | None) -> str | None:
    """``ci.yml`` of ``org/repo/.github/workflows/ci.yml@refs/heads/main``."""
    if workflow_ref is None:
        return None
    return workflow_ref.partition("@")[0].rpartition("/")[2] or None


def _matrix(environ: Mapping[str, str]) -> Matrix | None:
    """No runner tells a job its matrix; ``MATRIX: ${{ toJSON(matrix) }}`` is the customary way to.

    The variable is not ours: what is not a JSON object in it is somebody else's business.
    """
    try:
        return parse_matrix(read_text(environ, "MATRIX") or "null")
    except UsageError:
        return None
