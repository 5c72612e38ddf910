"""What GitLab's runners ask, where no recording shows it, and what is said to them."""

from __future__ import annotations

import msgspec
import pytest

from jobmeter.gateway.forges import gitlab
from jobmeter.gateway.forges.gitlab_job import read_task
from jobmeter.gateway.forges.port import (
    Declare,
    Declared,
    Empty,
    Failed,
    Fetch,
    Identity,
    LogReport,
    LogTaken,
    Other,
    Passed,
    Register,
    StateReport,
    StateTaken,
    TaskFacts,
    Tasks,
    Unauthenticated,
    Unreadable,
)

JOB = {"id": 7, "token": "glcbt-64_abcdefghijklmnop"}
TOKEN = "glrt-abcdefghijklmnopqrst"


@pytest.mark.parametrize(
    "token, eight, nine",
    [
        ("abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("glrt-abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("glrt-t1_abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("glrt-t3_abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("glrt-t4_abcdefghijklmnopqrst", "t4_abcde", "t4_abcdef"),
        ("glrtr-abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("glcbt-abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("GR1348941abcdefghijklmnopqrst", "abcdefgh", "abcdefghi"),
        ("GR134894abcdefghijklmnopqrst", "bcdefghi", "bcdefghij"),
        ("abcdefghijkl", "abcdef", "abcdef"),
        ("glrt-ab", "a", "a"),
        ("x", "", ""),
        ("", "", ""),
    ],
)
def test_short_names(token, eight, nine):
    """Prefixes go, 8 or 9 characters stay, and never more than half of what is secret."""
    assert gitlab.short_name(token, 8) == eight
    assert gitlab.short_name(token, 9) == nine


@pytest.mark.parametrize(
    "method, path, kind",
    [
        ("POST", "/api/v4/jobs/request", Fetch),
        ("POST", "/gitlab/api/v4/jobs/request", Fetch),
        ("POST", "/api/v4/runners/verify", Declare),
        ("POST", "/api/v4/runners", Register),
        ("PATCH", "/api/v4/jobs/7/trace?debug_trace=true", LogReport),
        ("PUT", "/api/v4/jobs/7", StateReport),
        ("GET", "/api/v4/jobs/7", Other),
        ("GET", "/api/v4/jobs/7/trace", Other),
        ("DELETE", "/api/v4/runners", Other),
        ("POST", "/api/v4/jobs/7/artifacts?artifact_type=archive", Other),
        ("GET", "/api/v4/jobs/7/artifacts", Other),
        ("PUT", "/api/v4/jobs/x", Other),
        ("PUT", "/api/v4/jobs/\u0667", Other),
        ("PUT", "/api/v4/projects/1/jobs/7", Other),
        ("POST", "/api/v4/runners/reset_authentication_token", Other),
    ],
)
def test_paths(method, path, kind):
    """Below any prefix; uploads and all that jobs do themselves are passed unread."""
    body = b'{"state":"running"}'
    headers = {"content-range": f"0-{len(body) - 1}"} if kind is LogReport else {}
    assert type(gitlab.read_request(method, path, headers, body)) is kind
    assert gitlab.wants_body(method, path, {}) == (kind is not Other)
    assert gitlab.read_answer(Other(), 500, {}, b"") == Passed()


@pytest.mark.parametrize(
    "headers, body, identity",
    [
        ({}, {"token": TOKEN}, "token:abcdefgh"),
        ({"private-token": TOKEN}, {}, "token:abcdefgh"),
        ({"runner-token": TOKEN}, {"token": ""}, "token:abcdefgh"),
        ({"job-token": TOKEN}, {}, None),
        ({}, {}, None),
    ],
)
def test_who_asks(headers, body, identity):
    """By the body or by either header; the job's token is nobody's name."""
    request = gitlab.read_request("POST", "/api/v4/jobs/request", headers, msgspec.json.encode(body))
    assert request == Fetch(identity=identity)


def test_a_fetch():
    """Old runners send less, new ones fields that nobody here knows."""
    body = {"token": TOKEN, "last_update": "u1", "system_id": "s_1", "session": None,
            "info": {"version": "19.4", "executor": "docker", "features": {"later": True}}}  # fmt: skip
    request = gitlab.read_request("POST", "/api/v4/jobs/request", {}, msgspec.json.encode(body))
    assert request == Fetch(
        identity="token:abcdefgh", last_update="u1", system_id="s_1", executor="docker", version="19.4"
    )


@pytest.mark.parametrize(
    "said, report",
    [
        ({"state": "pending"}, StateReport(task_id="7")),
        ({"state": "running"}, StateReport(task_id="7")),
        ({"state": "success", "exit_code": None}, StateReport(task_id="7", result="success")),
        (
            {"state": "failed", "failure_reason": "script_failure", "exit_code": 3},
            StateReport(task_id="7", result="failure", failure_reason="script_failure", exit_code=3),
        ),
        ({"state": "later"}, StateReport(task_id="7", result="unknown")),
    ],
)
def test_states(said, report):
    """A job that runs has no result yet."""
    assert gitlab.read_request("PUT", "/api/v4/jobs/7", {}, msgspec.json.encode(said)) == report


@pytest.mark.parametrize("content_range", [None, "", "0", "0-2", "1-3/4", "bytes 0-3", "a-b", "4-0", "-1-2"])
def test_a_part_of_a_trace_must_be_placed(content_range):
    """Its range is first and last byte, and as long as the body."""
    headers = {} if content_range is None else {"content-range": content_range}
    with pytest.raises(Unreadable, match="Content-Range"):
        gitlab.read_request("PATCH", "/api/v4/jobs/7/trace", headers, b"four")


@pytest.mark.parametrize(
    "status, headers, answer",
    [
        (202, {"range": "0-9", "job-status": "running"}, LogTaken(acknowledged=9)),
        (202, {}, LogTaken()),
        (202, {"range": "0-9", "job-status": "canceling"}, LogTaken(acknowledged=9, canceling=True)),
        (202, {"range": "0-9", "job-status": "canceled"}, LogTaken(acknowledged=9, over="cancelled")),
        (202, {"range": "0-9", "job-status": "failed"}, LogTaken(acknowledged=9, over="failure")),
        (416, {"range": "0-9"}, LogTaken(acknowledged=9, taken=False)),
        (416, {"range": "bytes 0-9"}, LogTaken(acknowledged=0, taken=False)),
        (416, {"range": "0-9", "job-status": "canceled"}, LogTaken(acknowledged=9, taken=False, over="cancelled")),
        (403, {}, LogTaken(acknowledged=0, taken=False, over="unknown")),
        (404, {}, Failed(sentence="GitLab answered with HTTP status 404.", code="404", status=404)),
        (500, {}, Failed(sentence="GitLab answered with HTTP status 500.", code="500", status=500)),
        (401, {}, Unauthenticated(sentence="GitLab answered with HTTP status 401.")),
    ],
)  # fmt: skip
def test_answers_to_a_trace(status, headers, answer):
    """Where to go on, whether the job is over, and whether it shall end."""
    assert gitlab.read_answer(LogReport(task_id="7", start=0, count=4), status, headers, b"") == answer


@pytest.mark.parametrize(
    "status, headers, answer",
    [
        (200, {"job-status": "running"}, StateTaken()),
        (202, {}, StateTaken(complete=False)),
        (412, {}, StateTaken(complete=False)),
        (200, {"job-status": "canceled"}, StateTaken(over="cancelled")),
        (200, {"job-status": "canceling"}, StateTaken(canceling=True)),
        (200, {"job-status": "failed"}, StateTaken(over="failure")),
        (403, {}, StateTaken(complete=False, over="unknown")),
        (404, {}, StateTaken(complete=False, over="unknown")),
        (502, {}, Failed(sentence="GitLab answered with HTTP status 502.", code="502", status=502)),
    ],
)
def test_answers_to_a_state(status, headers, answer):
    """Taken, to be sent again, over, or failed."""
    assert gitlab.read_answer(StateReport(task_id="7"), status, headers, b"") == answer


@pytest.mark.parametrize(
    "status, answer",
    [
        (204, Empty(last_update="u2")),
        (401, Unauthenticated(sentence="GitLab answered with HTTP status 401.")),
        (403, Unauthenticated(sentence="GitLab answered with HTTP status 403.")),
        (409, Failed(sentence="GitLab answered with HTTP status 409.", code="409", status=409)),
        (503, Failed(sentence="GitLab answered with HTTP status 503.", code="503", status=503)),
    ],
)
def test_answers_to_a_fetch(status, answer):
    """No job, a token that is not known, and all that may pass."""
    assert gitlab.read_answer(Fetch(), status, {"x-gitlab-last-update": "u2"}, b"{}") == answer


def test_verify_and_register():
    """A runner is known by its token's short name; the forge tells no more."""
    identity = Identity(key="token:abcdefgh")
    verified = Declare(identity="token:abcdefgh")
    assert gitlab.read_answer(verified, 200, {}, b"") == Declared(identity=identity)
    assert isinstance(gitlab.read_answer(verified, 403, {}, b""), Unauthenticated)
    body = {"token": "registration", "description": "r", "tag_list": "a, b", "info": {"version": "10.0"}}
    request = gitlab.read_request("POST", "/api/v4/runners", {}, msgspec.json.encode(body))
    assert request == Register(name="r", labels=("a", "b"), version="10.0")
    said = msgspec.json.encode({"id": 1, "token": TOKEN})
    assert gitlab.read_answer(request, 201, {}, said) == Declared(
        identity=Identity(key="token:abcdefgh", name="r", labels=("a", "b"), version="10.0")
    )
    assert isinstance(gitlab.read_answer(request, 400, {}, b""), Failed)


@pytest.mark.parametrize(
    "job, facts",
    [
        ({}, TaskFacts()),
        (
            {"job_info": {"name": "test 1/2", "pipeline_id": 5, "project_full_path": "g/h/p"},
             "git_info": {"ref": "v1", "ref_type": "tag", "sha": "abc"}},
            TaskFacts(repository="g/h/p", organization="g/h", job="test 1/2", run_id="5", ref="refs/tags/v1",
                      sha="abc"),
        ),
        (
            {"git_info": {"repo_url": "https://u:secret@forge.example/g/p.git", "ref": "b", "ref_type": "branch"}},
            TaskFacts(repository="g/p", organization="g", ref="refs/heads/b"),
        ),
        (
            {"job_info": {"name": "lint"},
             "git_info": {"ref": "refs/merge-requests/3/head", "ref_type": "branch"},
             "variables": [
                 {"key": "CI_PROJECT_PATH", "value": "g/p"},
                 {"key": "CI_COMMIT_REF_NAME", "value": "topic"},
                 {"key": "CI_MERGE_REQUEST_REF_PATH", "value": "refs/merge-requests/3/head"},
                 {"key": "CI_CONFIG_PATH", "value": ".gitlab-ci.yml"},
                 {"key": "CI_PIPELINE_SOURCE", "value": "merge_request_event"},
                 {"key": "CI_JOB_TOKEN", "value": "secret"},
                 {"key": "CI_NODE_INDEX", "value": None},
                 {"key": "OTHER", "value": 7},
             ]},
            TaskFacts(repository="g/p", organization="g", workflow=".gitlab-ci.yml", job="lint",
                      ref="refs/merge-requests/3/head", event="merge_request_event"),
        ),
        (
            {"job_info": {"name": "test 1/2"},
             "variables": [{"key": "CI_PROJECT_PATH", "value": "g/p"}, {"key": "CI_NODE_INDEX", "value": "1"},
                           {"key": "CI_NODE_TOTAL", "value": "2"}]},
            TaskFacts(repository="g/p", organization="g", job="test", matrix={"node_index": 1, "node_total": 2}),
        ),
        (
            {"job_info": {"name": "test: [%s, b]" % ("long" * 99)},
             "variables": [{"key": "CI_PROJECT_PATH", "value": "g/p"}, {"key": "CI_NODE_INDEX", "value": "1"}]},
            TaskFacts(repository="g/p", organization="g", job="test", matrix={"1": "long" * 64, "2": "b"}),
        ),
        ({"job_info": {"name": "alone"}, "git_info": {"repo_url": "http://[", "sha": None}}, TaskFacts(job="alone")),
    ],
)  # fmt: skip
def test_whose_a_job_is(job, facts):
    """The variables of the job and what stands beside them; no secret is among the facts."""
    body = msgspec.json.encode(JOB | job)
    answer = gitlab.read_answer(Fetch(), 201, {}, body)
    assert isinstance(answer, Tasks)
    (task,) = answer.tasks
    assert (task.id, task.facts, task.body) == ("7", facts, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":"x","token":"t"}', b"[" * 9999, b"\xff"])
def test_a_job_that_is_none(body):
    """One sentence that says nothing of the body."""
    with pytest.raises(Unreadable) as raised:
        gitlab.read_answer(Fetch(), 201, {}, body)
    assert str(raised.value) == "A body is not what GitLab's job API tells of it (Job)."
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("last_update", [None, "u1"])
def test_our_own_answers(last_update):
    """What the runner knows is said back; a job that was kept is read as GitLab sent it."""
    fetch = Fetch(last_update=last_update)
    reply = gitlab.nothing(fetch)
    read = gitlab.read_answer(fetch, reply.status, dict(reply.headers), reply.body)
    assert read == Empty(last_update=last_update)
    assert reply.body == b""
    task = read_task(msgspec.json.encode(JOB))
    reply = gitlab.hand_out(fetch, [task])
    answer = gitlab.read_answer(fetch, reply.status, dict(reply.headers), reply.body)
    assert answer == Tasks(tasks=(task,), last_update=last_update)
    with pytest.raises(ValueError, match="too many"):
        gitlab.hand_out(fetch, [task, task])


def test_refuse():
    """A runner tries again; it is no answer that counts against its token."""
    reply = gitlab.refuse(Fetch(), "The forge does not answer.")
    assert (reply.status, msgspec.json.decode(reply.body)) == (503, {"message": "The forge does not answer."})


@pytest.mark.parametrize(
    "body, last_update, asked",
    [
        (b'{"token": "t"}', None, b'{"token": "t"}'),
        (b'{"token": "t", "last_update": ""}', None, b'{"token": "t", "last_update": ""}'),
        (b'{"last_update": "u1", "x": 1.50}', "u1", b'{"last_update": "u1", "x": 1.50}'),
        (b'{"last_update": "u1", "x": 1.50}', "u2", b'{"last_update":"u2","x":1.50}'),
        (b'{"last_update": "u1"}', None, b'{"last_update":""}'),
    ],
)
def test_ask(body, last_update, asked):
    """The runner's bytes as they are where nothing changes; all else stays, known or not."""
    assert gitlab.ask(Fetch(last_update=last_update), body) == asked


@pytest.mark.parametrize(
    "result, read", [("success", "success"), ("cancelled", "failure"), ("unknown", "failure")]
)
def test_report_end(result, read):
    """The job is over for GitLab, by its own token."""
    assert gitlab.report_end("7", None, result, 1.0) is None
    token = gitlab.task_token(read_task(msgspec.json.encode(JOB)))
    call = gitlab.report_end("7", token, result, 1.0)
    assert call is not None
    reason = None if read == "success" else "runner_system_failure"
    assert gitlab.read_request(call.method, call.path, dict(call.headers), call.body) == StateReport(
        task_id="7", result=read, failure_reason=reason
    )
    assert dict(call.headers)["job-token"] == msgspec.json.decode(call.body)["token"] == JOB["token"]
    assert "glcbt" not in repr(call)
