"""Whose job is a container: who is believed, and any text at all."""

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
from jobmeter.model.job import Job
from tests.identity.told import (
    ACTIONS_ENVIRONMENT,
    ACTIONS_JOB,
    ARC_POD,
    FORGEJO,
    GITLAB_ENVIRONMENT,
    GITLAB_JOB,
    GITLAB_LABELS,
    GITLAB_POD,
    HOOK_POD,
    LONG,
    SHA,
    SHORT,
    hashed,
    identify,
)


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
