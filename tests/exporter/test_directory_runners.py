"""What is known of the containers of each kind of runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.exporter.told import (
    ENVIRON,
    GITLAB_POD,
    OWN,
    TASK,
    TOLD,
    A,
    Host,
    docker,
    hashed,
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


GITLAB = {
    "com.gitlab.gitlab-runner.job.id": "12345",
    "com.gitlab.gitlab-runner.job.url": "https://gitlab.example.com/group/app/-/jobs/12345",
    "com.gitlab.gitlab-runner.pipeline.id": "77",
    "com.gitlab.gitlab-runner.type": "build",
}
GITLAB_ENVIRON = {
    "GITLAB_CI": "true",
    "CI_PROJECT_PATH": "group/app",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_JOB_NAME": "rspec 2/3",
    "CI_NODE_INDEX": "2",
    "CI_NODE_TOTAL": "3",
    "CI_PIPELINE_ID": "77",
}
ARC_POD = {
    "io.kubernetes.pod.name": "arc-set-x7k2p-runner-9qz4d",
    "io.kubernetes.container.name": "runner",
    "app.kubernetes.io/component": "runner",
    "actions.github.com/scale-set-name": "arc-set",
    "actions.github.com/organization": "octo",
}
GITHUB_ENVIRON = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/tool",
    "GITHUB_WORKFLOW": "ci",
    "GITHUB_JOB": "test",
    "GITHUB_RUN_ID": "9",
    "RUNNER_NAME": "arc-set-x7k2p-runner-9qz4d",
}


@pytest.mark.parametrize(
    "name, labels, environ, told, role, task_id",
    [
        ("act_runner", hashed("GITEA-ACTIONS-TASK-7", "WORKFLOW-ci", "JOB-build"), ENVIRON,
         ("gitea", "org/tool", None, "build", "31"), "job", "7"),
        ("gitea-runner", TASK, ENVIRON, ("gitea", "org/tool", None, "build", "31"), "job", "12"),
        ("forgejo-runner", TASK.replace("GITEA", "FORGEJO"), {**ENVIRON, "FORGEJO_ACTIONS": "true"},
         ("forgejo", "org/tool", None, "build", "31"), "job", "12"),
        ("gitlab-runner Docker", GITLAB, GITLAB_ENVIRON,
         ("gitlab", "group/app", ".gitlab-ci.yml", "rspec", "77"), "job", "12345"),
        ("gitlab-runner Kubernetes", GITLAB_POD, {},
         ("gitlab", "group/app", None, "lint", None), "job", "12345"),
        ("actions-runner-controller", ARC_POD, GITHUB_ENVIRON,
         ("github", "octo/tool", "ci", "test", "9"), "runner", None),
        ("actions/runner", {}, GITHUB_ENVIRON, ("github", "octo/tool", "ci", "test", "9"), None, None),
        ("jobmeter", OWN, {}, (None, "me/tool", None, "mine", "5"), None, None),
        ("jobmeter over all", {**GITLAB, **OWN}, GITLAB_ENVIRON,
         ("gitlab", "me/tool", ".gitlab-ci.yml", "mine", "5"), "job", "12345"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)  # fmt: skip
def test_runners(
    host: Host,
    name: str,
    labels: Mapping[str, str] | str,
    environ: Mapping[str, str],
    told: tuple[str | None, ...],
    role: str | None,
    task_id: str | None,
) -> None:
    """Each kind of runner, by its names or labels and the environment of a process that was executed within."""
    called, labels = (labels, {}) if isinstance(labels, str) else (name, labels)
    host.catalog.put(A, called, labels)
    host.begin(docker(A), 10, 11)
    host.proc.put(10, docker(A), parent=5)
    host.proc.put(11, docker(A), parent=6, environ=environ)
    identity = host.identity(docker(A))
    assert identity.attribution == "own"
    assert identity.job is not None
    assert tuple(getattr(identity.job, name) for name in TOLD) == told
    assert (identity.role, identity.task_id, identity.image) == (role, task_id, "bb:1")
    assert dict(identity.labels) == labels
