"""Whatever bytes come, only the forges' own error is raised, and it tells nothing of them."""

from __future__ import annotations

from traceback import format_exception
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.forges import actions, gitlab, messages
from jobmeter.gateway.forges.port import Dialect, Fetch, Other, Request, StateReport, Unreadable

SERVICE = "/api/actions/runner.v1.RunnerService/"
CALLS = [f"{SERVICE}{name}" for name in (
    "Register", "Declare", "FetchTask", "FetchSingleTask", "UpdateLog", "UpdateTask",
)] + ["/api/actions/ping.v1.PingService/Ping"]  # fmt: skip
ROUTES = [
    ("POST", "/api/v4/jobs/request"),
    ("POST", "/api/v4/runners"),
    ("POST", "/api/v4/runners/verify"),
    ("PUT", "/api/v4/jobs/7"),
    ("PATCH", "/api/v4/jobs/7/trace"),
]
KEYS = [
    *("state", "id", "token", "rows", "tasksVersion", "tasks_version", "task", "context", "additionalTasks"),
    *("steps", "startedAt", "outputs", "labels", "runner", "uuid", "name", "ackIndex", "taskId", "later"),
    *("info", "last_update", "variables", "job_info", "git_info", "repo_url", "key", "value", "tag_list"),
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)
BODIES = (
    st.binary(max_size=200) | VALUES.map(msgspec.json.encode) | VALUES.map(lambda said: repr(said).encode())
)
HEADER_VALUES = st.text(max_size=30) | st.sampled_from(
    ["application/json", "application/proto", "0-9", "0-0", "canceled", "canceling", "gzip"]
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "x-runner-uuid", "x-runner-request-key", "content-range", "range", "job-status",
                     "private-token", "runner-token", "x-gitlab-last-update", "x-gitea-actions-capabilities"]),
    HEADER_VALUES,
)  # fmt: skip
STATUSES = st.sampled_from([200, 201, 202, 204, 400, 401, 403, 404, 412, 416, 500, 502]) | st.integers(0, 999)


def read(dialect: Dialect, method: str, path: str, headers: dict[str, str], body: bytes) -> Request | None:
    """The request; None for a body that is none."""
    try:
        return dialect.read_request(method, path, headers, body)
    except Unreadable:
        return None


def use(
    dialect: Dialect, request: Request, body: bytes, status: int, headers: dict[str, str], said: bytes
) -> None:
    """All that is done with a request that was understood."""
    msgspec.json.encode(request)
    for each in (
        dialect.refuse(request, "No."),
        *([dialect.nothing(request)] if isinstance(request, Fetch) else []),
    ):
        again = dialect.read_answer(request, each.status, dict(each.headers), each.body)
        assert type(again).__name__ in ("Failed", "Empty", "Passed")
    if isinstance(request, Fetch):
        assert dialect.ask(request, body) == body
    try:
        answer = dialect.read_answer(request, status, headers, said)
    except Unreadable:
        return
    repr(answer)


@pytest.mark.parametrize("path", CALLS)
@given(headers=HEADERS, body=BODIES, status=STATUSES, said=BODIES)
def test_actions(path, headers, body, status, said):
    """Every call of Actions, with any type, body and answer."""
    request = read(actions, "POST", path, headers, body)
    if request is not None:
        use(actions, request, body, status, headers, said)


@pytest.mark.parametrize("path", CALLS)
@given(encoding=st.sampled_from(["json", "proto"]), said=BODIES)
def test_answers_of_actions(path, encoding, said):
    """Answers of the right type with any body."""
    headers = {"content-type": f"application/{encoding}"}
    body = b"{}" if encoding == "json" else b""
    request = read(actions, "POST", path, headers, body)
    assert request is not None
    use(actions, request, body, 200, headers, said)


@pytest.mark.parametrize("method, path", ROUTES)
@given(headers=HEADERS, body=BODIES, status=STATUSES, said=BODIES)
def test_gitlab(method, path, headers, body, status, said):
    """Every call of GitLab's job API, with any body and answer."""
    request = read(gitlab, method, path, headers, body)
    if request is not None:
        use(gitlab, request, body, status, headers, said)


@given(st.text(), st.text() | st.sampled_from(CALLS), HEADERS, BODIES)
def test_any_path(method, path, headers, body):
    """What is no call is passed."""
    for dialect in (actions, gitlab):
        request = read(dialect, method, path, headers, body)
        assert request is None or isinstance(request, Other) or dialect.wants_body(method, path, headers)


@pytest.mark.parametrize("name", [name for name in messages.MESSAGES if not name.startswith("outline")])
@given(body=st.binary(max_size=100))
def test_messages_keep_all_bytes(name, body):
    """What can be decoded means the same after encoding, unknown fields included."""
    try:
        message = messages.decode(name, "proto", body)
    except Unreadable:
        return
    assert messages.decode(name, "proto", messages.encode(message, "proto")) == message


@pytest.mark.parametrize(
    "body", [b'{"token":"secret","name":7}', b'{"info":"secret"}', b"\x0a\x0fsecret", b"secret"]
)
@pytest.mark.parametrize("encoding", ["json", "proto"])
def test_nothing_of_the_body_is_told(encoding, body):
    """Neither in the sentence nor in what is printed with a traceback."""
    for dialect, path in ((actions, CALLS[0]), (gitlab, "/api/v4/runners")):
        with pytest.raises(Unreadable) as raised:
            dialect.read_request("POST", path, {"content-type": f"application/{encoding}"}, body + b"}")
        assert "secret" not in "".join(format_exception(raised.value))


MANY = 4 * 1024 * 1024 // 2
SMALL_PARTS = [
    pytest.param("UpdateTask", "application/proto", b"\x12\x00" * MANY + b"\x12\x00", id="outputs"),
    pytest.param("Declare", "application/proto", b"\x12\x00" * MANY + b"\x12\x00", id="labels"),
    pytest.param("UpdateLog", "application/json", b'{"rows":[' + b"0," * MANY + b"0]}", id="rows"),
]


@pytest.mark.parametrize("call,encoding,body", SMALL_PARTS)
def test_messages_of_very_many_small_parts_are_not_read(call: str, encoding: str, body: bytes) -> None:
    """They would take many times their bytes."""
    with pytest.raises(Unreadable, match="more than 4194304 bytes"):
        actions.read_request("POST", SERVICE + call, {"content-type": encoding}, body)


def test_of_a_task_a_thousand_steps_are_looked_at() -> None:
    """Each is counted; nobody has so many."""
    body = b"\x0a\x02\x08\x07" + b"\x0a\x02\x2a\x00" * 2000
    request = actions.read_request(
        "POST", SERVICE + "UpdateTask", {"content-type": "application/proto"}, body
    )
    assert isinstance(request, StateReport)
    assert (request.task_id, len(request.steps)) == ("7", 1000)
