"""JOBMETER_* variables: what the user says of the job, each field on its own, over any forge."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jobmeter.identity.variables import (
    parse_labels,
    parse_matrix,
    parse_positive,
    read_text,
    shorten,
    strip_url,
)
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job


class Variable(NamedTuple):
    """One variable: its name, the field of the job that it sets, and its meaning."""

    name: str
    field: str
    help: str


VARIABLES = (
    Variable("JOBMETER_FORGE", "forge", "Kind of forge: forgejo, gitea, github, gitlab or your own word."),
    Variable("JOBMETER_SERVER_URL", "server_url", "Address of the forge, without user name and password."),
    Variable(
        "JOBMETER_ORGANIZATION", "organization", "Owner of the repository; default: what precedes its name."
    ),
    Variable("JOBMETER_REPOSITORY", "repository", "Full path of the repository: organization/name."),
    Variable("JOBMETER_WORKFLOW", "workflow", "File name of the workflow."),
    Variable("JOBMETER_JOB", "job", "Name of the job."),
    Variable("JOBMETER_RUN_ID", "run_id", "The forge's id of the run, any text."),
    Variable("JOBMETER_ATTEMPT", "attempt", "Number of the attempt, from 1."),
    Variable("JOBMETER_MATRIX", "matrix", 'This leg of a matrix as a JSON object: {"os": "linux"}.'),
    Variable("JOBMETER_REF", "ref", "Full git reference: refs/heads/main."),
    Variable("JOBMETER_BASE_REF", "base_ref", "Target branch of a pull or merge request."),
    Variable("JOBMETER_SHA", "sha", "Commit."),
    Variable("JOBMETER_EVENT", "event", "What started the run: push, pull_request, schedule."),
    Variable("JOBMETER_RUNNER", "runner", "Name of the runner."),
    Variable("JOBMETER_RUNNER_LABELS", "runner_labels", "Labels of the runner, with commas between them."),
)


def identify(environ: Mapping[str, str]) -> tuple[Job | None, list[str]]:
    """The job as the user describes it, None if not at all, and a sentence for each value not accepted."""
    fields: dict[str, Any] = {}
    warnings: list[str] = []
    for variable in VARIABLES:
        value = read_text(environ, variable.name)
        if value is None:
            continue
        try:
            fields[variable.field] = _convert(variable.field, value)
        except UsageError as error:
            warnings.append(f"{variable.name} {error}; it is ignored")
    return Job(**fields) if fields else None, warnings


def _convert(field: str, value: str) -> object:
    if field == "matrix":
        return parse_matrix(value)
    if field == "runner_labels":
        return parse_labels(value)
    if field == "server_url":
        return strip_url(value)
    if field == "attempt":
        attempt = parse_positive(value)
        if attempt is None:
            raise UsageError(f"is {shorten(value)}, not a whole number from 1 on")
        return attempt
    return value
