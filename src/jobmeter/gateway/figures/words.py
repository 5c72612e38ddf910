"""What labels may say: text from outside is cut and cleaned, words of a runner are those that are known."""

from jobmeter.identity.variables import printable

MAX_CHARACTERS = 1024
"""As long a label may be; the exporter cuts its own there too, so that both say the same of a job."""

STAGES = frozenset((
    "prepare_script", "get_sources", "restore_cache", "download_artifacts", "build_script", "after_script",
    "archive_cache", "upload_artifacts", "resolve_secrets", "prepare_executor", "clear_worktree",
    "archive_cache_on_failure", "upload_artifacts_on_success", "upload_artifacts_on_failure", "cleanup_file_variables",
))  # fmt: skip
"""Of AlloyCI's runner and of GitLab's, which has `step_…` beside them: a job's own sections of the trace are none."""
STEP = "step_"
STATES = frozenset((
    "pending", "running", "finished", "success", "failed", "canceled", "timedout", "terminated",
))  # fmt: skip
EXECUTOR_STAGES = frozenset((
    "created", "prepare", "finish", "cleanup", "docker_prepare", "docker_run", "docker_cleanup",
    "docker_creating_build_volumes", "docker_creating_services", "docker_creating_user_volumes",
    "docker_pulling_image", "docker_bootstrap", "docker_machine_use_machine", "docker_machine_release_machine",
))  # fmt: skip
FAILURE_REASONS = frozenset((
    "script_failure", "runner_system_failure", "job_execution_timeout", "image_pull_failure", "unknown_failure",
    "runner_configuration_error", "runner_external_dependency_failure", "runner_interrupted", "job_canceled",
))  # fmt: skip


def shown(text: str | None) -> str:
    """What a label says of a text: on one line, what is no Unicode as U+FFFD, cut when long; empty for None."""
    text = printable((text or "")[: MAX_CHARACTERS + 1])
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def known(word: str, words: frozenset[str], before: str) -> str:
    """The word if it is one of these, else what was said ``before``."""
    return word if word in words else before


def known_stage(stage: str, before: str) -> str:
    """The stage if a runner has it, else where the job was before; a step of the script may have any name."""
    return shown(stage) if stage.startswith(STEP) else known(stage, STAGES, before)


def failure_reason(reason: str | None) -> str:
    """Why a job failed; a runner that gives no reason means its script."""
    return known(reason or "script_failure", FAILURE_REASONS, "unknown_failure")
