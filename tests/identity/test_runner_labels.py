"""What each runner tells of its containers, by their names and labels."""

from __future__ import annotations

import msgspec
import pytest

from jobmeter.identity.containers import ContainerIdentity, identify_container
from jobmeter.identity.runner_labels import Role
from jobmeter.model.job import Job
from tests.identity.told import (
    ARC_POD,
    DIGEST,
    FORGEJO,
    GITLAB_JOB,
    GITLAB_LABELS,
    GITLAB_POD,
    HOOK_POD,
    LONG,
    SHORT,
    hashed,
    identify,
)


@pytest.mark.parametrize(
    "name, forge, role",
    [
        (SHORT, "gitea", "job"),
        ("/" + SHORT, "gitea", "job"),
        (LONG, "gitea", None),
        (hashed(SHORT, "redis"), "gitea", None),
        (hashed(LONG, "redis"), "gitea", None),
        (f"GITEA-ACTIONS-TASK-12_WORKFLOW-{DIGEST}_JOB-build", "gitea", "job"),
        (FORGEJO, "forgejo", "job"),
        (FORGEJO.replace("_", "-") + "_STEP-3", "forgejo", "step"),
        (hashed(FORGEJO.replace("_", "-"), "postgres"), "forgejo", "service"),
        ("FORGEJO-ACTIONS-TASK-12-anything", "forgejo", None),
    ],
)
def test_task_by_name(name: str, forge: str, role: Role | None) -> None:
    """The name of Gitea's and Forgejo's runners holds the task, and the role where its form is one's own."""
    identity = identify(name)
    assert identity == ContainerIdentity(
        job=Job(forge=forge),
        role=role,
        task_id="12",
        execution=name.lstrip("/").replace("_", "-")[:63],
        vouched=True,
    )
    assert not identity.resolved


@pytest.mark.parametrize(
    "name",
    [
        "",
        "web",
        "GITEA-ACTIONS-TASK-push-WORKFLOW-ci",
        "GITEA-ACTIONS-TASK-12",
        "my-GITEA-ACTIONS-TASK-12_WORKFLOW-x",
        "GITEA-ACTIONS-TASK-" + "1" * 20 + "_WORKFLOW-x",
        "gitea-actions-task-12_WORKFLOW-x",
    ],
)
def test_no_task_by_name(name: str) -> None:
    """What looks like a task's name without being one tells nothing."""
    assert identify_container(name, {}) is None


@pytest.mark.parametrize(
    "kind, role",
    [
        ("build", "job"),
        ("predefined", "helper"),
        ("service", "service"),
        ("cache", "helper"),
        ("", "helper"),
    ],
)
def test_gitlab_container(kind: str, role: Role) -> None:
    """gitlab-runner's labels tell repository, pipeline, commit and the id of the job, but not its name."""
    labels = {**GITLAB_LABELS, "com.gitlab.gitlab-runner.type": kind}
    assert identify("runner-x", labels) == ContainerIdentity(
        job=GITLAB_JOB,
        role=role,
        task_id="12345",
        execution="https://gitlab.example.com/12345",
        vouched=True,
    )


@pytest.mark.parametrize(
    "url",
    ["", "/-/jobs/0", "https://gitlab.example.com/-/jobs/1", "https://gitlab.example.com/group/app", "x://"],
)
def test_gitlab_url_of_another_form(url: str) -> None:
    """An address without a project gives no repository; id and pipeline stay."""
    identity = identify("", {**GITLAB_LABELS, "com.gitlab.gitlab-runner.job.url": url})
    assert (identity.job.repository, identity.job.run_id, identity.task_id) == (None, "77", "12345")


@pytest.mark.parametrize(
    "container, role",
    [
        ("build", "job"),
        ("helper", "helper"),
        ("init-permissions", "helper"),
        ("svc-0", "service"),
        (None, None),
    ],
)
def test_gitlab_pod(container: str | None, role: str | None) -> None:
    """Labels and annotations of the pod; the container's name tells its role."""
    labels = dict(GITLAB_POD)
    labels.pop("io.kubernetes.container.name")
    if container:
        labels["io.kubernetes.container.name"] = container
    identity = identify("", labels)
    assert (identity.role, identity.task_id) == (role, "12345")
    assert identity.job == msgspec.structs.replace(GITLAB_JOB, run_id=None, job="rspec 2/3")


@pytest.mark.parametrize(
    "changes, role, organization, repository",
    [
        ({}, "runner", "octo", "octo/tool"),
        ({"io.kubernetes.container.name": "dind"}, "service", "octo", "octo/tool"),
        ({"io.kubernetes.container.name": "init-dind-externals"}, "helper", "octo", "octo/tool"),
        ({"actions.github.com/repository": ""}, "runner", "octo", None),
        ({"actions.github.com/repository": "r" * 58 + "-trim"}, "runner", "octo", None),
        ({"actions.github.com/organization": "", "actions.github.com/repository": "x"}, "runner", None, None),
    ],
)
def test_arc_pod(
    changes: dict[str, str], role: str, organization: str | None, repository: str | None
) -> None:
    """A scale set of a repository tells the repository of each of its jobs, unless the label was cut."""
    identity = identify("", {**ARC_POD, **changes})
    assert identity.role == role
    assert identity.job == Job(
        forge="github",
        organization=organization,
        repository=repository,
        runner="arc-set-x7k2p-runner-9qz4d",
    )


def test_arc_listener() -> None:
    """What listens for the scale set runs no job."""
    labels = {**ARC_POD, "app.kubernetes.io/component": "runner-scale-set-listener"}
    labels.pop("actions-ephemeral-runner")
    assert identify_container("", labels) is None


@pytest.mark.parametrize(
    "changes, role",
    [
        ({}, "job"),
        ({"io.kubernetes.container.name": "redis"}, "service"),
        ({"io.kubernetes.pod.name": "arc-set-x7k2p-runner-9qz4d-step-1a2b3c4d"}, "step"),
    ],
)
def test_hook_pod(changes: dict[str, str], role: Role) -> None:
    """A pod of runner-container-hooks names its runner."""
    assert identify("", {**HOOK_POD, **changes}) == ContainerIdentity(
        job=Job(forge="github", runner="arc-set-x7k2p-runner-9qz4d"),
        role=role,
        execution="github/arc-set-x7k2p-runner-9qz4d",
        vouched=True,
    )


def test_pod_of_somebody_else() -> None:
    """A label with a common name is believed only in a pod that is called after its runner."""
    assert identify_container("", {**HOOK_POD, "io.kubernetes.pod.name": "web-1"}) is None
