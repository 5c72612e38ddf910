"""Whose job is a container: each runner's names and labels, who is believed, and any text at all."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.identity.containers import (
    LABEL_PREFIXES,
    MAX_FIELD_CHARACTERS,
    MAX_MATRIX_ENTRIES,
    ContainerIdentity,
    identify_container,
    job_within,
)
from jobmeter.identity.job import identify_job
from jobmeter.identity.runner_labels import Role
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


def test_environment_names_the_job_of_a_task() -> None:
    """What each exec brings resolves the task, and nothing but the job's fields is taken from it."""
    identity = identify(SHORT, {}, ACTIONS_ENVIRONMENT)
    assert identity == ContainerIdentity(
        job=ACTIONS_JOB, role="job", task_id="12", execution=SHORT[:63], vouched=True
    )
    assert identity.resolved
    assert b"not-to-be-kept" not in msgspec.json.encode(identity)


@pytest.mark.parametrize(
    "name, markers, forge",
    [
        (SHORT, {"GITHUB_ACTIONS": "true"}, "gitea"),
        (SHORT, {"GITEA_ACTIONS": "true", "FORGEJO_ACTIONS": "true"}, "forgejo"),
        (FORGEJO, {"GITEA_ACTIONS": "true"}, "forgejo"),
        (FORGEJO, {}, "forgejo"),
    ],
)
def test_forge_of_a_task(name: str, markers: dict[str, str], forge: str) -> None:
    """Runners of one family also set the markers of another; the most particular word is believed."""
    identity = identify(name, {}, {"GITHUB_REPOSITORY": "org/tool", **markers})
    assert (identity.job.forge, identity.job.repository) == (forge, "org/tool")


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


@pytest.mark.parametrize("labels", [GITLAB_LABELS, GITLAB_POD])
def test_gitlab_environment(labels: dict[str, str]) -> None:
    """The environment adds the name of the job, its leg and the whole reference."""
    assert identify("", labels, GITLAB_ENVIRONMENT).job == msgspec.structs.replace(
        GITLAB_JOB,
        workflow=".gitlab-ci.yml",
        job="rspec",
        matrix={"node_index": 2, "node_total": 3},
        ref="refs/heads/main",
    )


def test_gitlab_below_a_path() -> None:
    """A server's own path is told from a group by the environment."""
    labels = {
        **GITLAB_LABELS,
        "com.gitlab.gitlab-runner.job.url": "https://git.example/gl/group/sub/app/-/jobs/1",
    }
    environ = {**GITLAB_ENVIRONMENT, "CI_SERVER_URL": "https://git.example/gl"}
    assert identify("", labels).job.repository == "gl/group/sub/app"
    job = identify("", labels, environ).job
    assert (job.server_url, job.organization, job.repository) == (
        "https://git.example/gl",
        "group/sub",
        "group/sub/app",
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


def test_environment_alone() -> None:
    """A container without names and labels of a runner is known by its environment."""
    assert identify("build-1", {"a": "b"}, ACTIONS_ENVIRONMENT) == ContainerIdentity(job=ACTIONS_JOB)


@pytest.mark.parametrize("environ", [{}, {"HOME": "/root", "GITHUB_TOKEN": "t", "GITEA_ACTIONS": "true"}])
def test_nothing_told(environ: dict[str, str]) -> None:
    """A container of no job is of no job."""
    labels = {"com.docker.compose.project": "shop", "maintainer": "me"}
    assert identify_container("web", labels) is None
    assert identify_container("web", labels, Job()) is None
    assert (job_within(environ) or Job()).repository is None


@pytest.mark.parametrize(
    "environ, repository",
    [
        (ACTIONS_ENVIRONMENT, "org/tool"),
        (GITLAB_ENVIRONMENT, "group/sub/app"),
        ({"JOBMETER_REPOSITORY": "me/tool"}, "me/tool"),
        ({"GITHUB_REPOSITORY": "org/tool", "GITHUB_SHA": SHA, "GITHUB_RUN_ID": "1"}, None),
        ({"CI": "true", "CI_PROJECT_PATH": "group/app", "CI_COMMIT_SHA": SHA}, None),
        ({"GITHUB_ACTIONS": "false", "GITHUB_REPOSITORY": "org/tool"}, None),
    ],
)
def test_environment_of_an_image(environ: dict[str, str], repository: str | None) -> None:
    """What an image kept of the job that built it is told from the job that runs by the runner's marker."""
    job = job_within(environ)
    assert (job.repository if job else None) == repository


@pytest.mark.parametrize(
    "variable, value",
    [
        ("CI_PROJECT_PATH", "other/app"),
        ("CI_PROJECT_PATH", "sub/app"),
        ("CI_PROJECT_NAMESPACE", "other"),
        ("CI_PIPELINE_ID", "78"),
        ("CI_COMMIT_SHA", "0" * 40),
    ],
)
def test_environment_of_another_job(variable: str, value: str) -> None:
    """An environment that contradicts the runner's labels is not looked at."""
    environ = {**GITLAB_ENVIRONMENT, variable: value}
    assert identify("", GITLAB_LABELS, environ).job == GITLAB_JOB


def test_environment_of_another_forge() -> None:
    """A job that plays another forge's job is still the one that the runner's labels tell."""
    assert identify("", GITLAB_LABELS, ACTIONS_ENVIRONMENT).job == GITLAB_JOB
    assert identify(SHORT, {}, GITLAB_ENVIRONMENT).job == Job(forge="gitea")


def test_own_labels_win() -> None:
    """What jobmeter.* labels say stands over labels of runners and environments, field by field."""
    labels = {
        **GITLAB_LABELS,
        "jobmeter.repository": "me/tool",
        "jobmeter.job": "mine",
        "jobmeter.attempt": "2",
        "jobmeter.matrix": '{"os": "linux"}',
        "jobmeter.role": "service",
        "jobmeter.task_id": "t-1",
    }
    identity = identify("", labels, GITLAB_ENVIRONMENT)
    assert (identity.role, identity.task_id, identity.problems) == ("service", "t-1", ())
    job = identity.job
    assert (job.organization, job.repository, job.job, job.attempt, job.matrix, job.run_id) == (
        "me",
        "me/tool",
        "mine",
        2,
        {"os": "linux"},
        "77",
    )


def test_own_labels_alone() -> None:
    """They are enough, for a container of any engine."""
    identity = identify("", {"jobmeter.repository": "org/tool", "jobmeter.run_id": "5"})
    assert identity.job == Job(organization="org", repository="org/tool", run_id="5")


@pytest.mark.parametrize(
    "name, labels, execution",
    [
        (SHORT, {}, SHORT[:63]),
        (hashed(SHORT, "redis"), {}, SHORT[:63]),
        (hashed(LONG, "redis"), {}, LONG[:63]),
        (hashed(FORGEJO.replace("_", "-"), "postgres"), {}, FORGEJO.replace("_", "-")[:63]),
        (FORGEJO + "_STEP-3", {}, FORGEJO.replace("_", "-")[:63]),
        (SHORT, {"jobmeter.repository": "me/tool"}, SHORT[:63]),
        (SHORT, {"jobmeter.task_id": "t-1"}, SHORT[:63]),
        (SHORT, {"jobmeter.repository": "me/tool", "jobmeter.task_id": "t-1"}, "/me/tool/t-1"),
        ("", {"jobmeter.job": "build"}, None),
        ("", {"jobmeter.job": "build", "jobmeter.task_id": "t-1"}, None),
        ("", GITLAB_POD, "https://gitlab.example.com/12345"),
        ("", {**GITLAB_POD, "job.runner.gitlab.com/id": "x"}, None),
        ("", {**GITLAB_LABELS, "com.gitlab.gitlab-runner.job.url": ""}, "test-toke/12345"),
        ("", ARC_POD, "github/arc-set-x7k2p-runner-9qz4d"),
    ],
)
def test_execution(name: str, labels: dict[str, str], execution: str | None) -> None:
    """All containers of one execution have it in common, and only those."""
    assert identify(name, labels).execution == execution


@pytest.mark.parametrize(
    "name, labels, vouched",
    [
        (SHORT, {}, True),
        ("", GITLAB_LABELS, True),
        ("", {"jobmeter.repository": "me/tool"}, True),
        ("", {"jobmeter.job": "build"}, False),
        ("web", {}, False),
    ],
)
def test_vouched(name: str, labels: dict[str, str], vouched: bool) -> None:
    """A repository that the environment alone tells is told from one that an engine's word stands behind."""
    assert identify(name, labels, ACTIONS_ENVIRONMENT).vouched == vouched


def test_own_label_not_accepted() -> None:
    """A value that is not accepted gives one sentence that names the label."""
    identity = identify("", {"jobmeter.job": "build", "jobmeter.attempt": "two", "jobmeter.role": "king"})
    assert identity == ContainerIdentity(
        job=Job(job="build"),
        labelled=True,
        problems=("the label jobmeter.attempt is 'two', not a whole number from 1 on; it is ignored",),
    )


@pytest.mark.parametrize(
    "value, expected",
    [
        ("a\nb", "a b"),
        ("caf\udce9", "caf\ufffd"),
        ("\x1b[31mred\x00", "[31mred"),
        ("x" * 10240, "x" * MAX_FIELD_CHARACTERS),
    ],
)
def test_hostile_value(value: str, expected: str) -> None:
    """Values come out on one line, without control characters, in valid UTF-8 and bounded."""
    assert identify("", {"jobmeter.repository": value}).job.repository == expected
    assert identify("", {"jobmeter.task_id": value, "jobmeter.job": "x"}).task_id == expected
    assert identify("", {}, {**ACTIONS_ENVIRONMENT, "GITHUB_JOB": value}).job.job == expected


def test_many_values() -> None:
    """A leg of a matrix and the labels of a runner are bounded in number."""
    labels = {
        "jobmeter.matrix": msgspec.json.encode({str(number): "v" for number in range(99)}).decode(),
        "jobmeter.runner_labels": ",".join(map(str, range(99))),
    }
    job = identify("", labels).job
    assert job.matrix is not None
    assert (len(job.matrix), len(job.runner_labels)) == (MAX_MATRIX_ENTRIES, MAX_MATRIX_ENTRIES)


_KEYS = sorted({*GITLAB_LABELS, *GITLAB_POD, *ARC_POD, *HOOK_POD, "jobmeter.job", "jobmeter.matrix"})
_VALUES = st.text(max_size=40) | st.sampled_from([*GITLAB_LABELS.values(), *ARC_POD.values(), SHORT, FORGEJO])


def test_what_is_read_is_kept() -> None:
    """Every label that tells something begins as those do that are kept when there are too many."""
    assert all(key.startswith(LABEL_PREFIXES) for key in _KEYS)


@given(
    _VALUES,
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=8),
    st.dictionaries(
        st.sampled_from(sorted({*ACTIONS_ENVIRONMENT, *GITLAB_ENVIRONMENT})), _VALUES, max_size=6
    ),
)
def test_any_text(name: str, labels: dict[str, str], environ: dict[str, str]) -> None:
    """Whatever a container is called and labelled: nothing, or a job that can be stored and read back."""
    identity = identify_container(name, labels, job_within(environ))
    if identity is not None:
        assert msgspec.json.decode(msgspec.json.encode(identity), type=ContainerIdentity) == identity
        assert all(sentence.isprintable() for sentence in identity.problems)
