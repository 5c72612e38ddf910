"""Whose job is a container: what runners write into its labels and its name, and the environment within.

Who is believed, for each field of the job: ``jobmeter.*`` labels, then what the runner wrote, then the
environment, which a job can change. An environment that tells another job than the runner's labels do is
not looked at. Names of Gitea's and Forgejo's runners hold the task but no repository, and ``GITHUB_*`` comes
with each exec: without an environment the ``task_id`` is all that is known.

Sources: createContainerName and createSimpleContainerName in act/runner/run_context.go of act_runner (2026-08)
and forgejo-runner (2025-12); executors/docker/internal/labels of gitlab-runner and "Default labels and
annotations for job pods" of its Kubernetes executor; LabelKeyGitHub* of actions-runner-controller;
packages/k8s/src/hooks/constants.ts of runner-container-hooks.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from jobmeter.identity import own
from jobmeter.identity.job import FORGES, identify_job
from jobmeter.identity.variables import is_true, printable, read_text, strip_url
from jobmeter.model.job import Job

Role = Literal["job", "step", "service", "helper", "runner"]

OWN_PREFIX = "jobmeter."
_GITLAB = "com.gitlab.gitlab-runner."
LABEL_PREFIXES = (
    OWN_PREFIX,
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
"""Where labels and annotations begin that are read here; whoever bounds their number keeps these."""

MAX_FIELD_CHARACTERS = 256
MAX_MATRIX_ENTRIES = 32
MAX_RUNNER_LABELS = 32
_MAX_NAME_CHARACTERS = 1024
_ID_DIGITS = 19

_POD_NAME = "io.kubernetes.pod.name"
_CONTAINER_NAME = "io.kubernetes.container.name"


class ContainerIdentity(Struct, frozen=True, kw_only=True):
    """The job that a container belongs to.

    ``task_id`` is the forge's own id of this execution: the task of Gitea and Forgejo, the job of GitLab.
    ``execution`` is what all containers of one execution have in common, by the word of the runner: its task with
    what tells servers apart that count alike, or the pod of the runner that was made for it. ``vouched`` if a
    runner's names or labels, or a label of the repository, tell of the job, not the environment alone;
    ``labelled`` if ``jobmeter.*`` labels do. ``role`` is None where nothing tells it. ``problems`` has a sentence
    for each ``jobmeter.*`` label that was not accepted.
    """

    job: Job
    role: Role | None = None
    task_id: str | None = None
    execution: str | None = None
    vouched: bool = False
    labelled: bool = False
    problems: tuple[str, ...] = ()

    @property
    def resolved(self) -> bool:
        """Whether the repository is known; else the task or the runner is all there is."""
        return self.job.repository is not None


def identify_container(
    name: str | None, labels: Mapping[str, str], inside: Job | None = None
) -> ContainerIdentity | None:
    """The job of the container with this name and these labels; None where nothing tells of one.

    ``labels`` are its own with the labels and annotations of its pod below them, ``inside`` is the job by the
    environment of any of its processes.
    """
    told = _ask_runners(name or "", labels)
    own_job, role, task_id, problems = _own(labels)
    if told is None and inside in (None, Job()) and own_job is None:
        return None
    vouched = told is not None or (own_job is not None and own_job.repository is not None)
    told = told or ContainerIdentity(job=Job())
    job = _combine(told.job, inside or Job())
    job = _bounded(_override(job, own_job) if own_job else job)
    return ContainerIdentity(
        job=job,
        role=role or told.role,
        task_id=task_id or told.task_id,
        execution=_labelled_execution(own_job, task_id) or told.execution,
        vouched=vouched,
        labelled=own_job is not None,
        problems=problems,
    )


def job_within(environ: Mapping[str, str]) -> Job | None:
    """The job by the environment of a process in a container; None where it does not come from a runner.

    An image often has variables of the job that built it, but not a runner's marker, nor ``JOBMETER_*``.
    """
    marked = any(is_true(environ, marker) for marker, _ in FORGES)
    if not marked and own.identify(environ)[0] is None:
        return None
    return identify_job(environ)[0]


def _labelled_execution(job: Job | None, task_id: str | None) -> str | None:
    """The same number may be another server's or another repository's: alone it tells nothing."""
    if task_id is None or job is None or not (job.server_url or job.repository):
        return None
    return f"{job.server_url or ''}/{job.repository or ''}/{task_id}"


def _ask_runners(name: str, labels: Mapping[str, str]) -> ContainerIdentity | None:
    for read in _RUNNERS:
        identity = read(labels)
        if identity is not None:
            return identity
    return _actions_task(name)


# --- Gitea and Forgejo


_TASK = re.compile(r"/?(GITEA|FORGEJO)-ACTIONS-TASK-(\d{1,19})([-_])(.*)")
_DIGEST = re.compile(r"-[0-9a-f]{64}$")
_COMMON_CHARACTERS = 63
"""A service's name begins as that of its job, of which so many characters are kept: task, workflow, and maybe job."""


def _actions_task(name: str) -> ContainerIdentity | None:
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
    return ContainerIdentity(job=Job(forge=forge.lower()), role=role, task_id=task_id, execution=common)


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


def _gitlab_container(labels: Mapping[str, str]) -> ContainerIdentity | None:
    """The Docker executor's containers."""
    if f"{_GITLAB}job.id" not in labels:
        return None
    kind = read_text(labels, f"{_GITLAB}type")
    job = _gitlab_job(labels, f"{_GITLAB}job.", run_id=_number(labels, f"{_GITLAB}pipeline.id"))
    runner = read_text(labels, f"{_GITLAB}runner.id")
    return _gitlab_identity(
        job, _GITLAB_ROLES.get(kind, "helper"), _number(labels, f"{_GITLAB}job.id"), runner
    )


def _gitlab_pod(labels: Mapping[str, str]) -> ContainerIdentity | None:
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


def _gitlab_identity(
    job: Job, role: Role | None, job_id: str | None, runner: str | None
) -> ContainerIdentity:
    """Runners of several servers may work on one host, each with ids of its own."""
    place = job.server_url or runner
    execution = f"{place}/{job_id}" if place and job_id else None
    return ContainerIdentity(job=job, role=role, task_id=job_id, execution=execution)


def _gitlab_job(labels: Mapping[str, str], prefix: str, run_id: str | None) -> Job:
    server_url, repository = _split_job_url(read_text(labels, f"{prefix}url"))
    return Job(
        forge="gitlab",
        server_url=server_url,
        organization=_owner(repository),
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


def _arc_pod(labels: Mapping[str, str]) -> ContainerIdentity | None:
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
    return ContainerIdentity(
        job=job,
        role=_ARC_ROLES.get(read_text(labels, _CONTAINER_NAME), "helper"),
        execution=f"github/{runner}" if runner else None,
    )


def _whole(labels: Mapping[str, str], name: str) -> str | None:
    """A label's value, unless the controller had to cut it."""
    value = read_text(labels, name)
    return None if value and len(value) >= _CUT_LABEL_LENGTH and value.endswith(_CUT_LABEL) else value


def _hook_pod(labels: Mapping[str, str]) -> ContainerIdentity | None:
    """A job's or a container action's own pod, made by runner-container-hooks."""
    runner = read_text(labels, "runner-pod")
    pod, container = read_text(labels, _POD_NAME), read_text(labels, _CONTAINER_NAME)
    if runner is None or pod is None or not pod.startswith(runner[:40]):
        return None
    role: Role | None = "service" if container else None
    if container == "job":
        role = "step" if pod.rpartition("-")[0].endswith("-step") else "job"
    return ContainerIdentity(job=Job(forge="github", runner=runner), role=role, execution=f"github/{runner}")


_RUNNERS: tuple[Callable[[Mapping[str, str]], ContainerIdentity | None], ...] = (
    _gitlab_container,
    _gitlab_pod,
    _hook_pod,
    _arc_pod,
)


# --- jobmeter.*


_OWN_LABELS = {
    variable.name: OWN_PREFIX + variable.name.removeprefix("JOBMETER_").lower() for variable in own.VARIABLES
}
_OWN_ROLES: dict[str | None, Role] = {
    "job": "job",
    "step": "step",
    "service": "service",
    "helper": "helper",
    "runner": "runner",
}


def _own(labels: Mapping[str, str]) -> tuple[Job | None, Role | None, str | None, tuple[str, ...]]:
    """``jobmeter.repository``, ``jobmeter.run_id`` … as the variables JOBMETER_*; also role and task_id."""
    environ = {variable: labels[label] for variable, label in _OWN_LABELS.items() if label in labels}
    job, warnings = own.identify(environ)
    problems = tuple(_about_label(sentence) for sentence in warnings)
    role = _OWN_ROLES.get(read_text(labels, f"{OWN_PREFIX}role"))
    return job, role, _cut(read_text(labels, f"{OWN_PREFIX}task_id")), problems


def _about_label(sentence: str) -> str:
    variable, blank, rest = sentence.partition(" ")
    return f"the label {_OWN_LABELS.get(variable, variable)}{blank}{rest}"


# --- who is believed


_DISTINCT = ("forge", "organization", "repository", "run_id", "sha")
_MORE_EXACT_WITHIN = frozenset({"job", "ref"})
_ACTIONS = ("github", "gitea", "forgejo")


def _combine(told: Job, inside: Job) -> Job:
    """What the runner told, with the environment's word for the rest and for fields that it has in full."""
    told, inside = _agree_on_forge(told, inside)
    if _is_below_path(told, inside):
        told = msgspec.structs.replace(told, server_url=None, organization=None, repository=None)
    if any(_differ(getattr(told, name), getattr(inside, name)) for name in _DISTINCT):
        return told
    fields: dict[str, Any] = {}
    for name in Job.__struct_fields__:
        first, second = (inside, told) if name in _MORE_EXACT_WITHIN else (told, inside)
        value = getattr(first, name)
        fields[name] = getattr(second, name) if value in (None, ()) else value
    return Job(**fields)


def _agree_on_forge(told: Job, inside: Job) -> tuple[Job, Job]:
    """Forgejo's runners once used Gitea's names, and both set GitHub's marker: the most particular is meant."""
    if told.forge in _ACTIONS[1:] and inside.forge in _ACTIONS:
        forge = max(told.forge, inside.forge, key=_ACTIONS.index)
        return msgspec.structs.replace(told, forge=forge), msgspec.structs.replace(inside, forge=forge)
    return told, inside


def _is_below_path(told: Job, inside: Job) -> bool:
    """Whether the server's own path was taken for the outermost group: together the addresses are the same."""
    if not (told.repository and inside.repository) or told.repository == inside.repository:
        return False
    return f"{told.server_url}/{told.repository}" == f"{inside.server_url}/{inside.repository}"


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.casefold() != other.casefold()


def _override(job: Job, said: Job) -> Job:
    """The user's word over all else; another repository brings its owner."""
    fields = {name: getattr(said, name) for name in Job.__struct_fields__}
    fields = {name: value for name, value in fields.items() if value not in (None, ())}
    if "repository" in fields:
        fields.setdefault("organization", _owner(fields["repository"]) or job.organization)
    return msgspec.structs.replace(job, **fields)


# --- forms


def _owner(repository: str | None) -> str | None:
    return (repository or "").rpartition("/")[0] or None


def _number(labels: Mapping[str, str], name: str) -> str | None:
    """An id of GitLab; a label without one is empty or 0."""
    text = read_text(labels, name) or ""
    return text if text.isascii() and text.isdigit() and text.strip("0") and len(text) <= _ID_DIGITS else None


def _bounded(job: Job) -> Job:
    fields: dict[str, Any] = {}
    for name in Job.__struct_fields__:
        value = getattr(job, name)
        if isinstance(value, dict):
            value = {_cut(key): _cut(item) for key, item in list(value.items())[:MAX_MATRIX_ENTRIES]}
        elif isinstance(value, tuple):
            value = tuple(_cut(label) for label in value[:MAX_RUNNER_LABELS])
        fields[name] = _cut(value)
    return Job(**fields)


def _cut(value: Any) -> Any:
    return value[:MAX_FIELD_CHARACTERS] if isinstance(value, str) else value
