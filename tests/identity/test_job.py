"""Which job is this: real environments of each forge, what overrides what, and any environment at all."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobmeter.identity import own
from jobmeter.identity.job import identify_job
from jobmeter.model.job import Job

# As forgejo-runner 12 sets them (act/runner/run_context.go withGithubEnv) for the recorded job
# captures/forgejo-runner/job-success.jsonl.
_ACTIONS_SUFFIXES = {
    "WORKFLOW": "fr-echo.yaml",
    "RUN_ATTEMPT": "1",
    "RUN_ID": "26",
    "RUN_NUMBER": "26",
    "ACTIONS": "true",
    "ACTOR": "adm",
    "REPOSITORY": "adm/r",
    "EVENT_NAME": "workflow_dispatch",
    "SHA": "e74698392da616c965a75a80ccbc8fc6d374714b",
    "REF": "refs/heads/main",
    "REF_NAME": "main",
    "REF_TYPE": "branch",
    "TOKEN": "not-for-anyone",
    "JOB": "echo",
    "REPOSITORY_OWNER": "adm",
    "BASE_REF": "",
    "HEAD_REF": "",
    "SERVER_URL": "http://127.0.0.1:3000/",
    "API_URL": "http://127.0.0.1:3000/api/v1",
    "WORKFLOW_REF": "adm/r/.forgejo/workflows/fr-echo.yaml@refs/heads/main",
}
GITHUB_COMPATIBLE = {f"GITHUB_{suffix}": value for suffix, value in _ACTIONS_SUFFIXES.items()}
FORGEJO = {
    **GITHUB_COMPATIBLE,
    **{f"FORGEJO_{suffix}": value for suffix, value in _ACTIONS_SUFFIXES.items()},
    "CI": "true",
    "GITEA_ACTIONS": "true",
    "GITEA_ACTIONS_RUNNER_VERSION": "v12.1.2",
}
GITEA = {
    **GITHUB_COMPATIBLE,
    "CI": "true",
    "GITEA_ACTIONS": "true",
    "GITEA_RUN_ID": "26",
    "RUNNER_NAME": "runner-1",
    "RUNNER_ENVIRONMENT": "self-hosted",
}
# GitHub docs "Variables reference", a pull request.
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_BASE_REF": "main",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_HEAD_REF": "feature-branch-1",
    "GITHUB_JOB": "greeting_job",
    "GITHUB_REF": "refs/pull/42/merge",
    "GITHUB_REPOSITORY": "octocat/Hello-World",
    "GITHUB_REPOSITORY_OWNER": "octocat",
    "GITHUB_RUN_ATTEMPT": "3",
    "GITHUB_RUN_ID": "1658821493",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_SHA": "ffac537e6cbbf934b08745a378932722df287a53",
    "GITHUB_WORKFLOW": "My test workflow",
    "GITHUB_WORKFLOW_REF": "octocat/Hello-World/.github/workflows/my.yml@refs/heads/my_branch",
    "RUNNER_NAME": "Hosted Agent",
}
# GitLab docs "Predefined CI/CD variables reference", a merge request pipeline.
GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_COMMIT_REF_NAME": "feature",
    "CI_COMMIT_SHA": "1ecfd275763eff1d6b4844ea3168962458c9f27a",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_JOB_ID": "50",
    "CI_JOB_NAME": "rspec",
    "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_NODE_TOTAL": "1",
    "CI_PIPELINE_ID": "1000",
    "CI_PIPELINE_IID": "10",
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_PROJECT_NAMESPACE": "group/sub",
    "CI_PROJECT_PATH": "group/sub/app",
    "CI_RUNNER_DESCRIPTION": "my runner",
    "CI_RUNNER_ID": "12",
    "CI_RUNNER_TAGS": '["docker", "linux"]',
    "CI_SERVER_URL": "https://gitlab.example.com:8080",
}


def identify(environ: dict[str, str]) -> Job:
    job, warnings = identify_job(environ)
    assert warnings == []
    return job


def test_forgejo() -> None:
    """A job of Forgejo is Forgejo's although its runner sets the markers of Gitea and GitHub too."""
    assert identify(FORGEJO) == Job(
        forge="forgejo",
        server_url="http://127.0.0.1:3000",
        organization="adm",
        repository="adm/r",
        workflow="fr-echo.yaml",
        job="echo",
        run_id="26",
        attempt=1,
        ref="refs/heads/main",
        sha="e74698392da616c965a75a80ccbc8fc6d374714b",
        event="workflow_dispatch",
    )


def test_gitea() -> None:
    """A job of Gitea has GITHUB_* variables and the runner's name."""
    job = identify(GITEA)
    assert (job.forge, job.repository, job.run_id, job.runner) == ("gitea", "adm/r", "26", "runner-1")


def test_github() -> None:
    """GITHUB_WORKFLOW is kept as it stands although it is the workflow's name there."""
    assert identify(GITHUB) == Job(
        forge="github",
        server_url="https://github.com",
        organization="octocat",
        repository="octocat/Hello-World",
        workflow="My test workflow",
        job="greeting_job",
        run_id="1658821493",
        attempt=3,
        ref="refs/pull/42/merge",
        base_ref="main",
        sha="ffac537e6cbbf934b08745a378932722df287a53",
        event="pull_request",
        runner="Hosted Agent",
    )


def test_gitlab() -> None:
    """A job of GitLab: the namespace and the project's name are the repository."""
    assert identify(GITLAB) == Job(
        forge="gitlab",
        server_url="https://gitlab.example.com:8080",
        organization="group/sub",
        repository="group/sub/app",
        workflow=".gitlab-ci.yml",
        job="rspec",
        run_id="1000",
        ref="refs/merge-requests/1/head",
        base_ref="main",
        sha="1ecfd275763eff1d6b4844ea3168962458c9f27a",
        event="merge_request_event",
        runner="my runner",
        runner_labels=("docker", "linux"),
    )


def test_contract_of_the_forgejo_resource_collector() -> None:
    """The five variables of a sidecar are taken literally; they do not tell the forge."""
    environ = {
        "GITHUB_REPOSITORY_OWNER": "my-org",
        "GITHUB_REPOSITORY": "my-org/my-repo",
        "GITHUB_WORKFLOW": "ci.yml",
        "GITHUB_JOB": "build",
        "GITHUB_RUN_ID": "run-123",
    }
    assert identify(environ) == Job(
        organization="my-org", repository="my-org/my-repo", workflow="ci.yml", job="build", run_id="run-123"
    )


@pytest.mark.parametrize(
    "environ, field, expected",
    [
        ({"GITHUB_REPOSITORY": "o/r"}, "organization", "o"),
        ({"GITHUB_REPOSITORY": "r"}, "organization", None),
        (
            {"GITHUB_JOB": "j", "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/a b.yml@refs/tags/v1"},
            "workflow",
            "a b.yml",
        ),
        ({"GITHUB_JOB": "j", "GITHUB_WORKFLOW": "", "GITHUB_WORKFLOW_REF": "@"}, "workflow", None),
        ({"GITHUB_JOB": "  "}, "job", None),
        ({"GITHUB_JOB": "j", "GITHUB_RUN_ATTEMPT": "two"}, "attempt", None),
        ({"GITHUB_JOB": "j", "GITHUB_RUN_ATTEMPT": "0"}, "attempt", None),
        ({"GITHUB_JOB": "j", "GITHUB_RUN_ATTEMPT": "٣"}, "attempt", None),
        ({"GITHUB_JOB": "j", "GITHUB_RUN_ATTEMPT": "9" * 5000}, "attempt", None),
        (
            {"GITHUB_JOB": "j", "GITHUB_SERVER_URL": "https://me:secret@forge.example/x/"},
            "server_url",
            "https://forge.example/x",
        ),
        ({"GITHUB_JOB": "a\x1b[31mb\n"}, "job", "a [31mb"),
        ({"GITHUB_JOB": "caf\udce9"}, "job", "caf\ufffd"),
        ({"GITHUB_JOB": "j", "MATRIX": '{"os": "linux", "v": 3}'}, "matrix", {"os": "linux", "v": 3}),
        ({"GITHUB_JOB": "j", "MATRIX": "something else"}, "matrix", None),
        ({"GITHUB_JOB": "j", "MATRIX": "null"}, "matrix", None),
        ({"FORGEJO_JOB": "f", "GITHUB_JOB": "g"}, "job", "f"),
        ({"FORGEJO_ACTIONS": "true", "FORGEJO_JOB": "", "GITHUB_JOB": "g"}, "job", "g"),
        ({**GITHUB, "FORGEJO_REPOSITORY": "a/mirror"}, "forge", "github"),
        ({**GITLAB, "GITHUB_REPOSITORY": "a/mirror"}, "repository", "group/sub/app"),
        ({"GITHUB_TOKEN": "t", "GITEA_TOKEN": "t"}, "forge", None),
        ({"GITHUB_JOB": "j", "GITHUB_SERVER_URL": "https://github.com"}, "forge", "github"),
        ({"CI_PROJECT_PATH": "a/b"}, "forge", "gitlab"),
    ],
)
def test_single_field(environ: dict[str, str], field: str, expected: object) -> None:
    """Blank, broken and foreign values: what is not known stays None, nothing is guessed."""
    assert getattr(identify(environ), field) == expected


@pytest.mark.parametrize(
    "environ, job, matrix",
    [
        (
            {"CI_JOB_NAME": "rspec 2/3", "CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"},
            "rspec",
            {"node_index": 2, "node_total": 3},
        ),
        (
            {"CI_JOB_NAME": "deploy: [aws, monitoring]", "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"},
            "deploy",
            {"1": "aws", "2": "monitoring"},
        ),
        (
            {"CI_JOB_NAME": "rspec:test: [ruby]", "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "1"},
            "rspec:test",
            {"1": "ruby"},
        ),
        ({"CI_JOB_NAME": "rspec 2/3", "CI_NODE_TOTAL": "1"}, "rspec 2/3", None),
        ({"CI_JOB_NAME": "odd", "CI_NODE_INDEX": "2"}, "odd", {"node_index": 2, "node_total": None}),
        ({"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}, None, {"node_index": 2, "node_total": 3}),
    ],
)
def test_gitlab_parallel(environ: dict[str, str], job: str | None, matrix: object) -> None:
    """A parallel job's leg is told in its name; a job merely named like one is left alone."""
    identified = identify({"GITLAB_CI": "true", **environ})
    assert (identified.job, identified.matrix) == (job, matrix)


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({"CI_COMMIT_TAG": "v1", "CI_COMMIT_REF_NAME": "v1"}, "refs/tags/v1"),
        ({"CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"}, "refs/heads/main"),
        ({"CI_COMMIT_REF_NAME": "main"}, "main"),
        ({}, None),
    ],
)
def test_gitlab_ref(environ: dict[str, str], expected: str | None) -> None:
    """The reference is full where GitLab tells its kind."""
    assert identify({"GITLAB_CI": "true", **environ}).ref == expected


@pytest.mark.parametrize(
    "tags, expected",
    [
        ('["a", "b c"]', ("a", "b c")),
        ("a, b", ("a", "b")),
        ("[a, b]", ("a", "b")),
        ("[]", ()),
        ('["a", 1, ""]', ("a",)),
        ("[" * 5000, ()),
    ],
)
def test_gitlab_runner_tags(tags: str, expected: tuple[str, ...]) -> None:
    """Tags are a JSON array today, a plain list in old runners."""
    assert identify({"GITLAB_CI": "true", "CI_RUNNER_TAGS": tags}).runner_labels == expected


def test_own_variables_override_single_fields() -> None:
    """JOBMETER_* wins field by field; what it does not say stays the forge's."""
    job = identify({**GITHUB, "JOBMETER_JOB": "mine", "JOBMETER_MATRIX": '{"os": "linux"}'})
    assert (job.forge, job.job, job.matrix, job.run_id) == ("github", "mine", {"os": "linux"}, "1658821493")


def test_own_repository_brings_its_owner() -> None:
    """Another repository is not put under the forge's organization."""
    assert identify({**GITHUB, "JOBMETER_REPOSITORY": "me/tool"}).organization == "me"
    assert identify({**GITHUB, "JOBMETER_REPOSITORY": "tool"}).organization == "octocat"
    assert identify({"JOBMETER_REPOSITORY": "me/tool", "JOBMETER_ORGANIZATION": "us"}).organization == "us"


def test_every_own_variable_sets_its_field() -> None:
    """The table of variables covers every field of a job once, and each of them works alone."""
    assert sorted(variable.field for variable in own.VARIABLES) == sorted(Job.__struct_fields__)
    values = {
        "attempt": "2",
        "matrix": '{"a": 1}',
        "runner_labels": "x, y",
        "server_url": "https://f.example",
    }
    expected = {"attempt": 2, "matrix": {"a": 1}, "runner_labels": ("x", "y")}
    for variable in own.VARIABLES:
        value = values.get(variable.field, "word")
        job = identify({variable.name: value})
        assert getattr(job, variable.field) == expected.get(variable.field, value)
        assert variable.help.endswith(".")


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        (
            "JOBMETER_MATRIX",
            "[1]",
            'JOBMETER_MATRIX is \'[1]\', not a JSON object such as {"os": "linux"}; it is ignored',
        ),
        (
            "JOBMETER_MATRIX",
            "{",
            'JOBMETER_MATRIX is \'{\', not a JSON object such as {"os": "linux"}; it is ignored',
        ),
        (
            "JOBMETER_MATRIX",
            '"' + "x" * 70000,
            "JOBMETER_MATRIX is 70001 characters long; at most 65536 are accepted; it is ignored",
        ),
        (
            "JOBMETER_MATRIX",
            "[" * 5000,
            "JOBMETER_MATRIX is '"
            + "[" * 59
            + '…\', not a JSON object such as {"os": "linux"}; it is ignored',
        ),
        ("JOBMETER_ATTEMPT", "-1", "JOBMETER_ATTEMPT is '-1', not a whole number from 1 on; it is ignored"),
    ],
)
def test_own_variable_not_accepted(name: str, value: str, sentence: str) -> None:
    """A value of the user's own that is not accepted gives one sentence; the other fields stay."""
    assert identify_job({name: value, "JOBMETER_JOB": "build"}) == (Job(job="build"), [sentence])


def test_matrix_is_flattened() -> None:
    """Nested objects become dotted names, lists and what is deeper stay as JSON text."""
    text = (
        '{"info": {"version": "v1", "n": null}, "list": [1, "a"], "on": true,'
        ' "a": {"b": {"c": {"d": {"e": 1}}}}}'
    )
    assert identify({"JOBMETER_MATRIX": text}).matrix == {
        "info.version": "v1",
        "info.n": None,
        "list": '[1,"a"]',
        "a.b.c.d": '{"e":1}',
        "on": True,
    }


def test_matrix_with_a_huge_number() -> None:
    """A number of any length does no harm."""
    job, _ = identify_job({"JOBMETER_MATRIX": '{"a": ' + "9" * 6000 + "}"})
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


def test_matrix_with_too_many_keys() -> None:
    """A matrix is bounded."""
    text = msgspec.json.encode({str(number): number for number in range(101)}).decode()
    assert identify_job({"JOBMETER_MATRIX": text}) == (
        Job(),
        ["JOBMETER_MATRIX has more than 100 keys; it is ignored"],
    )


def test_no_forge() -> None:
    """Outside of CI nothing is known and nothing is said."""
    assert identify_job({"HOME": "/root", "CI": "true"}) == (Job(), [])


_NAMES = sorted(
    {*FORGEJO, *GITEA, *GITHUB, *GITLAB, *(variable.name for variable in own.VARIABLES), "MATRIX"}
)
_VALUES = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text('\ud800\udcff\x00\n/:@[]{}",1 ', max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: msgspec.json.encode(value).decode()),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=12))
def test_any_environment(environ: dict[str, str]) -> None:
    """Whatever the variables hold: a job that can be stored and read back, without an exception."""
    job, warnings = identify_job(environ)
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job
    assert all(sentence.isprintable() for sentence in warnings)
    assert len(warnings) <= 2
