"""What runners write into the names and the labels of the containers that they make.

Names of Gitea's and Forgejo's runners hold the task but no repository.

Sources: createContainerName and createSimpleContainerName in act/runner/run_context.go of act_runner (2026-08)
and forgejo-runner (2025-12); executors/docker/internal/labels of gitlab-runner and "Default labels and
annotations for job pods" of its Kubernetes executor; LabelKeyGitHub* of actions-runner-controller;
packages/k8s/src/hooks/constants.ts of runner-container-hooks.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from jobmeter.identity.variables import owner_of, printable, read_text, strip_url
from jobmeter.model.job import Job

Role = Literal["job", "step", "service", "helper", "runner"]

_GITLAB = "com.gitlab.gitlab-runner."
RUNNER_PREFIXES = (
    _GITLAB,
    "io.kubernetes.",
    "job.runner.gitlab.com/",
    "project.runner.gitlab.com/",
    "manager.runner.gitlab.com/",
    "actions.github.com/",
    "actions-ephemeral-runner",
    "app.kubernetes.io/component",
    "runner-pod",
)
"""Where labels and annotations begin that are read here."""

_MAX_NAME_CHARACTERS = 1024
_ID_DIGITS = 19
_POD_NAME = "io.kubernetes.pod.name"
_CONTAINER_NAME = "io.kubernetes.container.name"


class Told(NamedTuple):
    """What a runner says of a container; None where it says nothing of it.

    ``task_id`` and ``execution`` are as of ContainerIdentity.
    """

    job: Job
    role: Role | None = None
    task_id: str | None = None
    execution: str | None = None


def ask_runners(name: str, labels: Mapping[str, str]) -> Told | None:
    """What the runner that made it says of a container; None where none did, or it does not say."""
    for read in _RUNNERS:
        told = read(labels)
        if told is not None:
            return told
    return _actions_task(name)


# --- Gitea and Forgejo


_TASK = re.compile(r"/?(GITEA|FORGEJO)-ACTIONS-TASK-(\d{1,19})([-_])(.*)")
_DIGEST = re.compile(r"-[0-9a-f]{64}$")
_COMMON_CHARACTERS = 63
"""A service's name begins as that of its job, of which so many characters are kept: task, workflow, and maybe job."""


def _actions_task(name: str) -> Told | None:
    """``FORGEJO-ACTIONS-TASK-12_WORKFLOW-…_JOB-build``, ``GITEA-ACTIONS-TASK-12-WORKFLOW-…-<SHA-256>``."""
    match = _TASK.fullmatch(printable(name[:_MAX_NAME_CHARACTERS]))
    if match is None:
        return None
    forge, task_id, separator, rest = match.groups()
    role: Role | None = None
    if "_STEP-" in rest:
        role = "step"
    elif separator == "_":
        role = "job"
    elif _DIGEST.search(rest):
        role = _role_by_digest(match[0].lstrip("/"), forge)
    common = match[0].lstrip("/").replace("_", "-")[:_COMMON_CHARACTERS]
    return Told(job=Job(forge=forge.lower()), role=role, task_id=task_id, execution=common)


def _role_by_digest(name: str, forge: str) -> Role | None:
    """The digest is of the whole name, of which 63 characters are kept: a job's fits what is seen if it is short.

    What a job's name gets appended is always cut off. Only Forgejo's runner uses this form for services alone.
    """
    whole, digest = name[:-65], name[-64:]
    if hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest() == digest:
        return "job"
    return "service" if forge == "FORGEJO" else None


# --- GitLab


_GITLAB_ROLES: dict[str | None, Role] = {"build": "job", "predefined": "helper", "service": "service"}


def _gitlab_container(labels: Mapping[str, str]) -> Told | None:
    """The Docker executor's containers."""
    if f"{_GITLAB}job.id" not in labels:
        return None
    kind = read_text(labels, f"{_GITLAB}type")
    job = _gitlab_job(labels, f"{_GITLAB}job.", run_id=_number(labels, f"{_GITLAB}pipeline.id"))
    runner = read_text(labels, f"{_GITLAB}runner.id")
    return _gitlab_identity(
        job, _GITLAB_ROLES.get(kind, "helper"), _number(labels, f"{_GITLAB}job.id"), runner
    )


def _gitlab_pod(labels: Mapping[str, str]) -> Told | None:
    """The Kubernetes executor's pods: containers ``build``, ``helper``, ``init-permissions`` and services."""
    job_id = _number(labels, "job.runner.gitlab.com/id")
    if job_id is None and "project.runner.gitlab.com/id" not in labels:
        return None
    container = read_text(labels, _CONTAINER_NAME) or ""
    role: Role | None = "service" if container else None
    if container == "build":
        role = "job"
    elif container == "helper" or container.startswith("init-"):
        role = "helper"
    runner = read_text(labels, "manager.runner.gitlab.com/id-short")
    return _gitlab_identity(_gitlab_job(labels, "job.runner.gitlab.com/", run_id=None), role, job_id, runner)


def _gitlab_identity(job: Job, role: Role | None, job_id: str | None, runner: str | None) -> Told:
    """Runners of several servers may work on one host, each with ids of its own."""
    place = job.server_url or runner
    execution = f"{place}/{job_id}" if place and job_id else None
    return Told(job=job, role=role, task_id=job_id, execution=execution)


def _gitlab_job(labels: Mapping[str, str], prefix: str, run_id: str | None) -> Job:
    server_url, repository = _split_job_url(read_text(labels, f"{prefix}url"))
    return Job(
        forge="gitlab",
        server_url=server_url,
        organization=owner_of(repository),
        repository=repository,
        job=read_text(labels, f"{prefix}name"),
        run_id=run_id,
        ref=read_text(labels, f"{prefix}ref"),
        sha=read_text(labels, f"{prefix}sha"),
    )


def _split_job_url(url: str | None) -> tuple[str | None, str | None]:
    """Server and project of ``https://gitlab.example.com/group/project/-/jobs/12``.

    A server below a path looks like one with another group; the environment tells them apart.
    """
    project, separator, _ = (strip_url(url) or "").partition("/-/jobs/")
    scheme, has_scheme, rest = project.partition("://")
    host, slash, path = rest.partition("/")
    if not (separator and has_scheme and host and slash and "/" in path):
        return None, None
    return f"{scheme}://{host}", path


# --- GitHub on Kubernetes


_ARC_ROLES: dict[str | None, Role | None] = {"runner": "runner", "dind": "service", None: None}
_CUT_LABEL_LENGTH = 63
_CUT_LABEL = "-trim"


def _arc_pod(labels: Mapping[str, str]) -> Told | None:
    """A runner of actions-runner-controller: its scale set belongs to a repository or an organization."""
    is_runner = read_text(labels, "app.kubernetes.io/component") == "runner"
    if not is_runner and "actions-ephemeral-runner" not in labels:
        return None
    if "actions.github.com/scale-set-name" not in labels:
        return None
    owner = _whole(labels, "actions.github.com/organization")
    repository = _whole(labels, "actions.github.com/repository")
    runner = read_text(labels, _POD_NAME)
    job = Job(
        forge="github",
        organization=owner,
        repository=f"{owner}/{repository}" if owner and repository else None,
        runner=runner,
    )
    return Told(
        job=job,
        role=_ARC_ROLES.get(read_text(labels, _CONTAINER_NAME), "helper"),
        execution=f"github/{runner}" if runner else None,
    )


def _whole(labels: Mapping[str, str], name: str) -> str | None:
    """A label's value, unless the controller had to cut it."""
    value = read_text(labels, name)
    return None if value and len(value) >= _CUT_LABEL_LENGTH and value.endswith(_CUT_LABEL) else value


def _hook_pod(labels: Mapping[str, str]) -> Told | None:
    """A job's or a container action's own pod, made by runner-container-hooks."""
    runner = read_text(labels, "runner-pod")
    pod, container = read_text(labels, _POD_NAME), read_text(labels, _CONTAINER_NAME)
    if runner is None or pod is None or not pod.startswith(runner[:40]):
        return None
    role: Role | None = "service" if container else None
    if container == "job":
        role = "step" if pod.rpartition("-")[0].endswith("-step") else "job"
    return Told(job=Job(forge="github", runner=runner), role=role, execution=f"github/{runner}")


_RUNNERS: tuple[Callable[[Mapping[str, str]], Told | None], ...] = (
    _gitlab_container,
    _gitlab_pod,
    _hook_pod,
    _arc_pod,
)


def _number(labels: Mapping[str, str], name: str) -> str | None:
    """An id of GitLab; a label without one is empty or 0."""
    text = read_text(labels, name) or ""
    return text if text.isascii() and text.isdigit() and text.strip("0") and len(text) <= _ID_DIGITS else None
