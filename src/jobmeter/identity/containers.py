"""Whose job is a container: what its runner and its user wrote into its labels and its name, the environment within.

Who is believed, for each field of the job: ``jobmeter.*`` labels, then what the runner wrote, then the
environment, which a job can change. An environment that tells another job than the runner's labels do is
not looked at. ``GITHUB_*`` comes with each exec: without an environment the ``task_id`` may be all that is known.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.identity import own
from jobmeter.identity.job import FORGES, identify_job
from jobmeter.identity.runner_labels import RUNNER_PREFIXES, Role, Told, ask_runners
from jobmeter.identity.variables import is_true, owner_of, read_text
from jobmeter.model.job import Job

OWN_PREFIX = "jobmeter."
LABEL_PREFIXES = (OWN_PREFIX, *RUNNER_PREFIXES)
"""Where labels and annotations begin that are read here; whoever bounds their number keeps these."""

MAX_FIELD_CHARACTERS = 256
MAX_MATRIX_ENTRIES = 32
MAX_RUNNER_LABELS = 32


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
    told = ask_runners(name or "", labels)
    own_job, role, task_id, problems = _own(labels)
    if told is None and inside in (None, Job()) and own_job is None:
        return None
    vouched = told is not None or (own_job is not None and own_job.repository is not None)
    told = told or Told(job=Job())
    job = _combine(told.job, inside or Job())
    job = bounded_job(_override(job, own_job) if own_job else job)
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
        fields.setdefault("organization", owner_of(fields["repository"]) or job.organization)
    return msgspec.structs.replace(job, **fields)


def bounded_job(job: Job) -> Job:
    """The job with no text, list or matrix longer than is kept."""
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
