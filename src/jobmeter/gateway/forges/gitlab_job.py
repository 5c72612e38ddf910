"""A job as GitLab hands it out: its JSON, and whose work it is."""

from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.facts import bounded, facts_of
from jobmeter.gateway.forges.port import Task, TaskFacts, Unreadable
from jobmeter.identity import gitlab as predefined


class _Variable(Struct):
    key: str
    value: Any = None


class _JobInfo(Struct):
    name: str | None = None
    pipeline_id: int | None = None
    project_full_path: str | None = None


class _GitInfo(Struct):
    repo_url: str | None = None
    ref: str | None = None
    ref_type: str | None = None
    sha: str | None = None


class _Job(Struct):
    id: int
    token: str
    job_info: _JobInfo | None = None
    git_info: _GitInfo | None = None
    variables: list[_Variable] | None = None


_Read = TypeVar("_Read", bound=Struct)


def decode(kind: type[_Read], body: bytes) -> _Read:
    """A body of GitLab's job API; Unreadable if it is none of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # What the library says may quote the body.
        raise Unreadable(f"A body is not what GitLab's job API tells of it ({kind.__name__[1:]}).") from None


def read_task(body: bytes) -> Task:
    """A job by its JSON."""
    job = decode(_Job, body)
    return Task(id=str(job.id), body=body, encoding="json", facts=_facts(job))


def token_of(task: Task) -> str:
    """The job's own token."""
    return decode(_Job, task.body).token


def _facts(job: _Job) -> TaskFacts:
    """By the variables that the job will see, as the exporter does, and by what GitLab says beside them."""
    environ = {
        each.key: each.value
        for each in job.variables or ()
        if each.key.startswith("CI_") and isinstance(each.value, str)
    }
    info, git = job.job_info or _JobInfo(), job.git_info or _GitInfo()
    path = info.project_full_path or environ.get("CI_PROJECT_PATH") or _project_path(git.repo_url)
    told = {
        "CI_PROJECT_PATH": path,
        "CI_PROJECT_NAMESPACE": (path or "").rpartition("/")[0],
        "CI_JOB_NAME": info.name,
        "CI_PIPELINE_ID": str(info.pipeline_id or ""),
        "CI_COMMIT_SHA": git.sha,
    }
    if not environ.keys() & {"CI_COMMIT_BRANCH", "CI_COMMIT_TAG", "CI_COMMIT_REF_NAME"}:
        told["CI_COMMIT_TAG" if git.ref_type == "tag" else "CI_COMMIT_BRANCH"] = git.ref
    environ.update({name: value for name, value in told.items() if value})
    found = predefined.identify(environ)
    return facts_of(found) if found else TaskFacts(job=bounded(info.name))


def _project_path(url: str | None) -> str | None:
    """``group/name`` of ``https://forge.example/group/name.git``; a sub-path of the forge cannot be told apart."""
    try:
        return urlsplit(url or "").path.strip("/").removesuffix(".git") or None
    except ValueError:
        return None
