"""Names, labels and environments as each runner makes them, and the jobs that they tell of."""

from __future__ import annotations

import hashlib

from jobmeter.identity.containers import ContainerIdentity, identify_container
from jobmeter.identity.job import identify_job
from jobmeter.model.job import Job

SHA = "1989c02f32ea5d2a2d06630711c5a3b895e0ad1e"
DIGEST = "9" * 64

ACTIONS_ENVIRONMENT = {
    "GITEA_ACTIONS": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "org/tool",
    "GITHUB_REPOSITORY_OWNER": "org",
    "GITHUB_WORKFLOW": "ci.yml",
    "GITHUB_JOB": "build",
    "GITHUB_RUN_ID": "31",
    "GITHUB_TOKEN": "not-to-be-kept",
}
ACTIONS_JOB = Job(
    forge="gitea",
    server_url="https://git.example",
    organization="org",
    repository="org/tool",
    workflow="ci.yml",
    job="build",
    run_id="31",
)
GITLAB_LABELS = {
    "com.gitlab.gitlab-runner.job.id": "12345",
    "com.gitlab.gitlab-runner.job.url": "https://gitlab.example.com/group/sub/app/-/jobs/12345",
    "com.gitlab.gitlab-runner.job.sha": SHA,
    "com.gitlab.gitlab-runner.job.before_sha": "0" * 40,
    "com.gitlab.gitlab-runner.job.ref": "main",
    "com.gitlab.gitlab-runner.job.timeout": "2h0m0s",
    "com.gitlab.gitlab-runner.project.id": "123",
    "com.gitlab.gitlab-runner.pipeline.id": "77",
    "com.gitlab.gitlab-runner.runner.id": "test-toke",
    "com.gitlab.gitlab-runner.managed": "true",
    "com.gitlab.gitlab-runner.type": "build",
}
GITLAB_ENVIRONMENT = {
    "GITLAB_CI": "true",
    "CI_SERVER_URL": "https://gitlab.example.com",
    "CI_PROJECT_NAMESPACE": "group/sub",
    "CI_PROJECT_PATH": "group/sub/app",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_JOB_NAME": "rspec 2/3",
    "CI_NODE_INDEX": "2",
    "CI_NODE_TOTAL": "3",
    "CI_PIPELINE_ID": "77",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": SHA,
}
GITLAB_JOB = Job(
    forge="gitlab",
    server_url="https://gitlab.example.com",
    organization="group/sub",
    repository="group/sub/app",
    run_id="77",
    ref="main",
    sha=SHA,
)
GITLAB_POD = {
    "io.kubernetes.pod.name": "runner-3lj4ihzt1-project-123-concurrent-0-shpvdimu",
    "io.kubernetes.container.name": "build",
    "project.runner.gitlab.com/id": "123",
    "job.runner.gitlab.com/pod": "runner-3lj4ihzt1-project-123-concurrent-0",
    "job.runner.gitlab.com/id": "12345",
    "job.runner.gitlab.com/url": "https://gitlab.example.com/group/sub/app/-/jobs/12345",
    "job.runner.gitlab.com/sha": SHA,
    "job.runner.gitlab.com/ref": "main",
    "job.runner.gitlab.com/name": "rspec 2/3",
}
ARC_POD = {
    "io.kubernetes.pod.name": "arc-set-x7k2p-runner-9qz4d",
    "io.kubernetes.container.name": "runner",
    "actions-ephemeral-runner": "True",
    "app.kubernetes.io/component": "runner",
    "actions.github.com/scale-set-name": "arc-set",
    "actions.github.com/organization": "octo",
    "actions.github.com/repository": "tool",
}
HOOK_POD = {
    "io.kubernetes.pod.name": "arc-set-x7k2p-runner-9qz4d-workflow",
    "io.kubernetes.container.name": "job",
    "runner-pod": "arc-set-x7k2p-runner-9qz4d",
}


def identify(
    name: str = "", labels: dict[str, str] | None = None, environ: dict[str, str] | None = None
) -> ContainerIdentity:
    identity = identify_container(name, labels or {}, identify_job(environ or {})[0])
    assert identity is not None
    return identity


def hashed(*parts: str) -> str:
    """A name as createContainerName of act makes it of parts that hold letters, digits and single dashes."""
    whole = "-".join(parts)
    return f"{whole[:63].strip('-')}-{hashlib.sha256(whole.encode()).hexdigest()}"


SHORT = hashed("GITEA-ACTIONS-TASK-12", "WORKFLOW-ci", "JOB-build")
LONG = hashed("GITEA-ACTIONS-TASK-12", "WORKFLOW-" + "w" * 60, "JOB-build")
FORGEJO = f"FORGEJO-ACTIONS-TASK-12_WORKFLOW-{DIGEST}_JOB-build-1"
