"""What the gateway says as a runner, held against recordings of real ones; and what it says to launched ones."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from jobmeter.gateway.forges import actions, actions_own, gitlab, gitlab_own, messages
from jobmeter.gateway.forges.own import (
    Asking,
    Credential,
    NotRegistered,
    OwnDialect,
    Registration,
    fresh_credential,
    label_name,
)
from jobmeter.gateway.forges.port import (
    Declare,
    Declared,
    Fetch,
    LogReport,
    Ping,
    StateReport,
    Unauthenticated,
)
from tests.support.captures import Exchange, Scenario

ACTIONS = Registration(
    token="planted-token", uuid="u-1", name="builder-1", id=3, labels=("fr:host", "deb:docker://x")
)
GITLAB = Registration(token="glrt-planted-token", name="builder-2", id=12, labels=("linux",), system_id="s_1")
LAUNCHED = Credential(token="planted-task-token", uuid="u-9")
SECRETS = ("planted-token", "planted-task-token", "planted-job-token", "planted-registration-token")
BOTH: list[Any] = [
    pytest.param(actions_own, actions, ACTIONS, id="actions"),
    pytest.param(gitlab_own, gitlab, GITLAB, id="gitlab"),
]


def recorded(runner: str, scenario: str, path: str) -> Exchange:
    """The first exchange of this call."""
    found: Iterator[Exchange] = Scenario(runner, scenario).exchanges()
    return next(one for one in found if one.request.path.endswith(path))


def body(asking: Asking) -> Any:
    return msgspec.json.decode(asking.call.body)


@pytest.mark.parametrize(
    "label, name",
    [
        ("host", "host"),
        ("here:host", "here"),
        ("deb:docker://node:22", "deb"),
        ("box:lxc://debian", "box"),
        ("team:blue", "team:blue"),
        ("", ""),
    ],
)
def test_names_of_labels(label: str, name: str) -> None:
    """What follows a schema that runners know is theirs; all else is part of the name."""
    assert label_name(label) == name


def test_credentials_are_never_the_same() -> None:
    """As long as those of a forge."""
    one, other = fresh_credential(), fresh_credential()
    assert len(one.token) == 40
    assert one.uuid is not None
    assert len({one.token, one.uuid, other.token, other.uuid}) == 4


@pytest.mark.parametrize("own, dialect, registration", BOTH)
def test_no_secret_is_shown(own: OwnDialect, dialect: ModuleType, registration: Registration) -> None:
    """Neither in a log nor in a failed test."""
    shown = repr(
        [
            registration,
            LAUNCHED,
            own.fetch_call(registration, "1"),
            own.register_call("planted-registration-token", "n", (), "1").call,
            own.report_end(registration, "7", "planted-job-token", "failure", 1.0),
        ]
    )
    assert not [secret for secret in SECRETS if secret in shown]


# --- as a runner -------------------------------------------------------------------------------------------


def test_a_request_for_a_task() -> None:
    """As forgejo-runner's; a key is there for forges that know it."""
    real = recorded("forgejo-runner", "one-job", "/FetchTask").request
    asking = actions_own.fetch_call(ACTIONS, "v12")
    assert (asking.call.method, asking.call.path, asking.call.body) == (real.method, real.path, real.body)
    headers = dict(asking.call.headers)
    assert headers == {name: real.by_name[name] for name in headers} | {
        "x-runner-uuid": "u-1", "x-runner-token": "planted-token"
    }  # fmt: skip
    assert asking.request == Fetch(identity="u-1", encoding="proto")
    again = actions_own.fetch_call(ACTIONS, "v12", tasks_version=34, request_key="k-1")
    assert again.request == Fetch(identity="u-1", encoding="proto", tasks_version=34, request_key="k-1")


def test_a_request_for_a_job() -> None:
    """As gitlab-runner's, but for what only a program of its own can say."""
    real = recorded("gitlab-runner", "run-single-job", "/jobs/request").request
    asking = gitlab_own.fetch_call(GITLAB, "17.9.3")
    said = real.json | {"token": GITLAB.token, "system_id": "s_1"}
    del said["info"]["revision"], said["info"]["architecture"]
    assert body(asking) == said
    assert (asking.call.method, asking.call.path) == (real.method, real.path)
    headers = dict(asking.call.headers)
    assert headers == {name: real.by_name[name] for name in headers} | {"private-token": GITLAB.token}
    assert asking.request == Fetch(
        identity="token:plante", system_id="s_1", executor="shell", version="17.9.3"
    )


def test_a_job_in_containers() -> None:
    """A runner with another executor can do more; what GitLab said last is said back."""
    docker = msgspec.structs.replace(GITLAB, executor="docker-autoscaler", system_id=None)
    asking = gitlab_own.fetch_call(docker, "17.9.3", last_update="v2")
    said = body(asking)
    assert said["info"]["features"]["services"]
    assert said["info"]["features"]["image"]
    assert (said["last_update"], "system_id" in said) == ("v2", False)


def test_a_runner_is_there() -> None:
    """As forgejo-runner says it, and gitlab-runner."""
    real = recorded("forgejo-runner", "one-job", "/Declare").request
    asking = actions_own.declare_call(
        msgspec.structs.replace(ACTIONS, labels=("fr:docker://x",)), real.json["version"]
    )
    assert (asking.call.path, asking.call.body) == (real.path, real.body)
    newer = actions_own.declare_call(ACTIONS, "1", ["cancelling"]).request
    assert newer == Declare(
        identity="u-1", encoding="proto", labels=("fr", "deb"), version="1", capabilities=("cancelling",)
    )
    verify = recorded("gitlab-runner", "verify", "/verify").request
    asking = gitlab_own.declare_call(GITLAB, "1")
    assert (asking.call.method, asking.call.path) == (verify.method, verify.path)
    assert body(asking) == verify.json | {"token": GITLAB.token, "system_id": "s_1"}


@pytest.mark.parametrize("runner", ["forgejo-runner", "act_runner"])
def test_a_registration_with_forgejo_and_gitea(runner: str) -> None:
    """Byte for byte as their runners ask for it, and read from what those were answered."""
    exchange = recorded(runner, "register", "/Register")
    said = exchange.request.json
    asking = actions_own.register_call(
        said["token"], said["name"], [f"{said['labels'][0]}:host"], said["version"]
    )
    assert (asking.call.path, asking.call.body) == (exchange.request.path, exchange.request.body)
    assert "x-runner-token" not in dict(asking.call.headers)
    answer = exchange.response
    assert answer is not None
    told = answer.json["runner"]
    made = actions_own.read_registration("n", ["fr:host"], answer.status, answer.by_name, answer.body)
    assert made == Registration(
        token=told["token"], uuid=told["uuid"], name=told["name"], id=int(told["id"]), labels=("fr:host",)
    )


def test_a_registration_with_gitlab() -> None:
    """A registration token makes a runner; that of a runner which was made there is only tried."""
    asking = gitlab_own.register_call("GR1348941planted", "builder", ("a", "b"), "1")
    assert (asking.call.method, asking.call.path) == ("POST", "/api/v4/runners")
    assert body(asking) == {
        "token": "GR1348941planted", "description": "builder", "tag_list": "a,b", "info": {"version": "1"}
    }  # fmt: skip
    asking = gitlab_own.register_call("glrt-planted-token", "builder", (), "1")
    assert (asking.call.path, body(asking)) == ("/api/v4/runners/verify", {"token": "glrt-planted-token"})
    said = b'{"id": 12, "token": "glrt-new", "token_expires_at": null}'
    for status in (200, 201):
        assert gitlab_own.read_registration("n", ["a"], status, {}, said) == Registration(
            token="glrt-new", name="n", id=12, labels=("a",)
        )


@pytest.mark.parametrize(
    "own, status, answer, sentence",
    [
        (actions_own, 500, b'{"code":"unknown","message":"runner registration token not found"}',
         "the forge does not register it: runner registration token not found"),
        (actions_own, 404, b"<html>", "the forge does not register it: The answer has HTTP status 404."),
        (actions_own, 200, b"<html>", "what answers there is no forge of this kind"),
        (gitlab_own, 403, b"{}", "the forge does not register it: it does not accept this token"),
        (gitlab_own, 502, b"", "the forge does not register it: it answered with HTTP status 502"),
        (gitlab_own, 200, b"<html>", "what answers there is no forge of this kind"),
        (gitlab_own, 201, b'{"id": 1}', "what answers there is no forge of this kind"),
    ],
)  # fmt: skip
def test_no_registration(own: OwnDialect, status: int, answer: bytes, sentence: str) -> None:
    """One sentence on why."""
    with pytest.raises(NotRegistered) as raised:
        own.read_registration("n", (), status, {"content-type": "text/html"}, answer)
    assert str(raised.value) == sentence


def test_an_answer_without_a_token() -> None:
    """Nobody could work with it."""
    said = messages.MESSAGES["runner.v1.RegisterResponse"]()
    said.runner.uuid = "u-1"
    with pytest.raises(NotRegistered, match="no uuid or no token"):
        actions_own.read_registration(
            "n", (), 200, {"content-type": "application/proto"}, said.SerializeToString()
        )


# --- a task's end ------------------------------------------------------------------------------------------


def test_the_last_lines_of_a_task() -> None:
    """Rows with the time, after those that the forge has, as a runner of that name."""
    call = actions_own.report_log(ACTIONS, "34", None, 12, ["killed", "it used 4 GiB"], 1_700_000_000.5)
    headers = dict(call.headers)
    assert actions.read_request(call.method, call.path, headers, call.body) == LogReport(
        identity="u-1", encoding="proto", task_id="34", start=12, count=2, last=True
    )
    assert headers["x-runner-token"] == "planted-token"
    said = messages.decode("runner.v1.UpdateLogRequest", "proto", call.body)
    assert [(row.content, row.time.ToNanoseconds()) for row in said.rows] == [
        ("killed", 1_700_000_000_500_000_000), ("it used 4 GiB", 1_700_000_000_500_000_000)
    ]  # fmt: skip
    assert not messages.decode(
        "runner.v1.UpdateLogRequest",
        "proto",
        actions_own.report_log(ACTIONS, "34", None, 0, [], 1.0, last=False).body,
    ).no_more


def test_the_last_lines_of_a_job() -> None:
    """Bytes behind those that GitLab has, on lines of their own; nothing without the job's token."""
    call = gitlab_own.report_log(GITLAB, "101", "planted-job-token", 100, ["killed", "4 GiB \udc80"], 1.0)
    assert call is not None
    assert call.body == b"\nkilled\n4 GiB ?\n"
    headers = dict(call.headers)
    assert gitlab.read_request(call.method, call.path, headers, call.body) == LogReport(
        task_id="101", start=100, count=16
    )
    assert headers["job-token"] == "planted-job-token"
    assert gitlab_own.report_log(GITLAB, "101", None, 100, ["killed"], 1.0) is None


@pytest.mark.parametrize("timed_out", [False, True])
def test_the_end_of_a_task(timed_out: bool) -> None:
    """A failure of the runner called so; Forgejo and Gitea have no words for why, GitLab has one for too late."""
    call = actions_own.report_end(ACTIONS, "34", None, "failure", 9.0, timed_out=timed_out)
    headers = dict(call.headers)
    assert actions.read_request(call.method, call.path, headers, call.body) == StateReport(
        identity="u-1", encoding="proto", task_id="34", result="failure", stopped_at=9.0
    )
    assert headers["x-runner-token"] == "planted-token"
    told = gitlab_own.report_end(GITLAB, "101", "planted-job-token", "failure", 9.0, timed_out=timed_out)
    assert told is not None
    assert gitlab.read_request(told.method, told.path, dict(told.headers), told.body) == StateReport(
        task_id="101",
        result="failure",
        failure_reason="job_execution_timeout" if timed_out else "runner_system_failure",
    )
    assert gitlab_own.report_end(GITLAB, "101", None, "failure", 9.0, timed_out=timed_out) is None


# --- to a launched runner ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, headers, body, credential",
    [
        (actions_own, {"x-runner-uuid": "u-9", "x-runner-token": "t"}, b"", Credential(token="t", uuid="u-9")),
        (actions_own, {"x-runner-token": "t"}, b"", Credential(token="t")),
        (actions_own, {"x-runner-uuid": "u-9"}, b'{"token":"t"}', None),
        (gitlab_own, {"private-token": "t"}, b'{"token":"t"}', Credential(token="t")),
        (gitlab_own, {"private-token": "job"}, b'{"token":"job","state":"success"}', None),
        (gitlab_own, {"runner-token": "t"}, b"{}", Credential(token="t")),
        (gitlab_own, {}, b'{"token":"t","info":{}}', Credential(token="t")),
        (gitlab_own, {}, b'{"token":"job","state":"failed"}', None),
        (gitlab_own, {"job-token": "job"}, b'{"token":"job"}', None),
        (gitlab_own, {}, b'{"token":7}', None),
        (gitlab_own, {}, b"no json", None),
        (gitlab_own, {}, b"", None),
    ],
)  # fmt: skip
def test_what_a_runner_shows(
    own: OwnDialect, headers: dict[str, str], body: bytes, credential: object
) -> None:
    """By whatever of the ways of its release; the token of a job is no runner's."""
    assert own.shown(headers, body) == credential


@pytest.mark.parametrize(
    "runner, scenario",
    [("forgejo-runner", "one-job"), ("act_runner", "daemon-once"), ("gitlab-runner", "run-single-job")],
)
def test_what_real_runners_show(runner: str, scenario: str) -> None:
    """Each request of a runner that does one job but reports to GitLab, which show the job's token alone."""
    own: OwnDialect = gitlab_own if runner == "gitlab-runner" else actions_own
    for exchange in Scenario(runner, scenario).exchanges():
        asked = exchange.request
        shown = own.shown(asked.by_name, asked.body)
        assert (shown is None) == (asked.method in ("PATCH", "PUT"))
        assert own.is_service(asked.method, asked.path)


def test_credentials_are_replaced() -> None:
    """Where they stand, in whatever letters, and nothing else."""
    launched = [
        (b"X-Runner-Uuid", b"u-9"), (b"x-runner-token", b"planted-task-token"), (b"authorization", b"of the job")
    ]  # fmt: skip
    assert actions_own.replaced(launched, ACTIONS) == [
        (b"X-Runner-Uuid", b"u-1"), (b"x-runner-token", b"planted-token"), (b"authorization", b"of the job")
    ]  # fmt: skip
    reports = [(b"private-token", b"planted-job-token"), (b"job-token", b"planted-job-token")]
    assert gitlab_own.replaced(reports, GITLAB) == reports


@pytest.mark.parametrize(
    "own, method, path, service",
    [
        (actions_own, "POST", "/api/actions/runner.v1.RunnerService/FetchTask", True),
        (actions_own, "POST", "/git/api/actions/runner.v1.RunnerService/Later?x", True),
        (actions_own, "GET", "/api/actions/runner.v2.RunnerService/FetchTask", True),
        (actions_own, "POST", "/api/actions/ping.v1.PingService/Ping", True),
        (actions_own, "POST", "/api/actions_pipeline/_apis/pipelines/workflows/1/artifacts", False),
        (actions_own, "GET", "/api/v1/repos/o/r", False),
        (actions_own, "GET", "/o/r?x=/api/actions/runner.v1.", False),
        (gitlab_own, "POST", "/api/v4/jobs/request", True),
        (gitlab_own, "DELETE", "/api/v4/runners", True),
        (gitlab_own, "POST", "/api/v4/runners/reset_authentication_token", True),
        (gitlab_own, "PUT", "/api/v4/jobs/7", True),
        (gitlab_own, "PATCH", "/api/v4/jobs/7/trace?debug_trace=false", True),
        (gitlab_own, "POST", "/api/v4/jobs/7/artifacts", False),
        (gitlab_own, "GET", "/api/v4/job", False),
        (gitlab_own, "GET", "/api/v4/projects/7/runners", False),
    ],
)
def test_what_only_runners_ask(own: OwnDialect, method: str, path: str, service: bool) -> None:
    """Below any prefix, calls of later releases too; what jobs ask is theirs."""
    assert own.is_service(method, path) == service


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_a_launched_runner_is_welcome(encoding: Any) -> None:
    """It hears its own uuid, and the name that the forge knows."""
    declare = Declare(identity="u-9", encoding=encoding, labels=("fr",), version="v12")
    reply = actions_own.welcome(declare, ACTIONS, LAUNCHED)
    assert reply is not None
    answer = actions.read_answer(declare, reply.status, dict(reply.headers), reply.body)
    assert isinstance(answer, Declared)
    assert answer.identity is not None
    assert (answer.identity.key, answer.identity.name) == ("u-9", "builder-1")
    assert (answer.identity.labels, answer.identity.version) == (("fr",), "v12")
    pong = actions_own.welcome(Ping(encoding=encoding), ACTIONS, LAUNCHED)
    assert pong is not None
    assert pong.status == 200
    assert actions_own.welcome(Fetch(), ACTIONS, LAUNCHED) is None


def test_a_launched_runner_of_gitlab_is_welcome() -> None:
    """Its token is good; it is never told the real one."""
    declare = Declare(identity="token:x")
    reply = gitlab_own.welcome(declare, GITLAB, LAUNCHED)
    assert reply is not None
    assert msgspec.json.decode(reply.body) == {
        "id": 12, "token": "planted-task-token", "token_expires_at": None
    }  # fmt: skip
    assert isinstance(gitlab.read_answer(declare, reply.status, dict(reply.headers), reply.body), Declared)
    assert gitlab_own.welcome(Fetch(), GITLAB, LAUNCHED) is None


@pytest.mark.parametrize("own, dialect, registration", BOTH)
def test_a_stranger_is_rejected(own: OwnDialect, dialect: Any, registration: Registration) -> None:
    """As the forge does with a runner that it does not know."""
    request = Fetch(encoding="json")
    reply = own.reject(request)
    answer = dialect.read_answer(request, reply.status, dict(reply.headers), reply.body)
    assert isinstance(answer, Unauthenticated)
