"""Every recorded exchange of real runners is understood as what its decoded body says, in both encodings."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format

from jobmeter.gateway.forges import actions, gitlab, messages
from jobmeter.gateway.forges.port import (
    Answer,
    Declare,
    Declared,
    Dialect,
    Empty,
    Failed,
    Fetch,
    Identity,
    LogReport,
    LogTaken,
    Other,
    Passed,
    Ping,
    Register,
    Request,
    StateReport,
    StateTaken,
    Step,
    Tasks,
    Unauthenticated,
    Unreadable,
)
from tests.support.captures import Answered, Exchange, Scenario, scenarios

ACTIONS, GITLAB = scenarios("act_runner", "forgejo-runner"), scenarios("gitlab-runner")
RESULTS = {"SUCCESS": "success", "FAILURE": "failure", "CANCELLED": "cancelled", "SKIPPED": "skipped"}


def dialect_of(scenario: Scenario) -> Dialect:
    return gitlab if scenario.runner == "gitlab-runner" else actions


def read_request(dialect: Dialect, exchange: Exchange) -> Request:
    asked = exchange.request
    return dialect.read_request(asked.method, asked.path, asked.by_name, asked.body)


def read_answer(dialect: Dialect, request: Request, answered: Answered) -> Answer:
    return dialect.read_answer(request, answered.status, answered.by_name, answered.body)


def seconds(text: str | None) -> float | None:
    """Of RFC 3339 with up to nine digits, as the decoded bodies have it."""
    if text is None:
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def result(state: dict[str, Any]) -> str | None:
    said = state.get("result")
    return RESULTS[said.removeprefix("RESULT_")] if said else None


def close(left: float | None, right: float | None) -> bool:
    return left == right if left is None or right is None else abs(left - right) < 1e-6


# --- Actions: what the decoded body says --------------------------------------------------------------------


def expected_request(call: str, said: dict[str, Any]) -> dict[str, Any]:
    """The facts of a request, by its decoded body alone."""
    if call == "FetchTask":
        return {"tasks_version": int(said.get("tasksVersion", 0)), "capacity": None, "single": False}
    if call == "UpdateLog":
        return {
            "task_id": said["taskId"],
            "start": int(said.get("index", 0)),
            "count": len(said.get("rows", ())),
            "last": said.get("noMore", False),
        }
    if call == "UpdateTask":
        state = said["state"]
        return {
            "task_id": state["id"],
            "result": result(state),
            "outputs": tuple(said.get("outputs", ())),
            "failure_reason": None,
        }
    if call == "Register":
        return {"name": said["name"], "labels": tuple(said["labels"]), "version": said["version"],
                "ephemeral": said.get("ephemeral", False)}  # fmt: skip
    return {"labels": tuple(said["labels"]), "version": said["version"]} if call == "Declare" else {}


KINDS: dict[str, type[Request]] = {
    "FetchTask": Fetch,
    "UpdateLog": LogReport,
    "UpdateTask": StateReport,
    "Register": Register,
    "Declare": Declare,
    "Ping": Ping,
}


def assert_steps(steps: tuple[Step, ...], said: list[dict[str, Any]]) -> None:
    assert [step.index for step in steps] == [int(each.get("id", 0)) for each in said]
    for step, each in zip(steps, said, strict=True):
        assert step.result == result(each)
        assert close(step.started_at, seconds(each.get("startedAt")))
        assert close(step.stopped_at, seconds(each.get("stoppedAt")))
        assert step.log_rows == int(each.get("logLength", 0))


def assert_answer(request: Request, answer: Answer, answered: Answered) -> None:
    """By the status and the decoded body of an answer to an Actions runner."""
    said = answered.json
    if answered.status == 404:
        assert answer == Failed(sentence="The answer has HTTP status 404.", code="unimplemented", status=404)
    elif answered.status == 502:
        assert answer == Failed(sentence="The answer has HTTP status 502.", code="unavailable", status=502)
    elif answered.status == 500:
        assert answer == Unauthenticated(sentence=said["message"])
    elif isinstance(request, Fetch):
        version = int(said.get("tasksVersion", 0))
        if "task" not in said:
            assert answer == Empty(tasks_version=version)
            return
        assert isinstance(answer, Tasks)
        assert answer.tasks_version == version
        (task,) = answer.tasks
        context = said["task"]["context"]
        assert (task.id, task.facts.repository, task.facts.organization, task.facts.job) == (
            said["task"]["id"], context["repository"], context["repository_owner"], context["job"],
        )  # fmt: skip
        assert (task.facts.workflow, task.facts.run_id, task.facts.attempt, task.facts.ref) == (
            context["workflow"], context["run_id"], int(context["run_attempt"]), context["ref"],
        )  # fmt: skip
        assert (task.facts.sha, task.facts.event) == (context["sha"], context["event_name"])
        assert task.facts.server_url == context["server_url"].rstrip("/")
        assert task.body in answered.body
    elif isinstance(request, LogReport):
        assert answer == LogTaken(acknowledged=int(said.get("ackIndex", 0)))
    elif isinstance(request, StateReport):
        sent = tuple(said.get("sentOutputs", ()))
        assert answer == StateTaken(over=result(said["state"]), sent_outputs=sent)  # type: ignore[arg-type]
    elif isinstance(request, Register | Declare):
        runner = said["runner"]
        assert isinstance(answer, Declared)
        assert answer.identity == Identity(
            key=runner["uuid"], name=runner["name"], labels=tuple(runner["labels"]), version=runner["version"]
        )
        assert answer.ephemeral == runner.get("ephemeral", False)
    else:
        assert answer == Passed()


@pytest.mark.parametrize("scenario", ACTIONS, ids=lambda scenario: f"{scenario.runner}/{scenario.name}")
def test_an_actions_exchange_is_what_its_body_says(scenario):
    """Requests and answers in protobuf, those of which the whole body was recorded."""
    for exchange in scenario.exchanges():
        asked = exchange.request
        if not asked.whole:
            continue
        call = asked.path.rpartition("/")[2]
        request = read_request(actions, exchange)
        assert isinstance(request, KINDS[call])
        assert request.encoding == "proto"
        assert request.identity == asked.by_name.get("x-runner-uuid")
        assert {name: getattr(request, name) for name in expected_request(call, asked.json)} == (
            expected_request(call, asked.json)
        )
        if isinstance(request, StateReport):
            state = asked.json["state"]
            assert close(request.started_at, seconds(state.get("startedAt")))
            assert close(request.stopped_at, seconds(state.get("stoppedAt")))
            assert_steps(request.steps, state.get("steps", []))
        if exchange.response is not None and exchange.response.body_b64 is not None:
            assert_answer(request, read_answer(actions, request, exchange.response), exchange.response)


@pytest.mark.parametrize("scenario", ACTIONS, ids=lambda scenario: f"{scenario.runner}/{scenario.name}")
def test_the_same_exchange_in_json_says_the_same(scenario):
    """Bodies translated into JSON, and answers back: facts are equal, and messages come through unchanged."""
    for exchange in scenario.exchanges():
        asked, answered = exchange.request, exchange.response
        if not asked.whole:
            continue
        call = asked.path.rpartition("/")[2]
        package = "ping.v1" if call == "Ping" else "runner.v1"
        request = read_request(actions, exchange)
        in_json = json_body(f"{package}.{call}Request", asked.body, asked.json)
        headers = asked.by_name | {"content-type": "application/json; charset=utf-8"}
        again = actions.read_request("POST", asked.path, headers, in_json)
        assert again == msgspec.structs.replace(request, encoding="json")
        if answered is None or answered.status != 200:
            continue
        said = json_body(f"{package}.{call}Response", answered.body, answered.json)
        answer = read_answer(actions, request, answered)
        translated = actions.read_answer(again, 200, headers, said)
        if isinstance(answer, Tasks):
            assert isinstance(translated, Tasks)
            assert [(task.id, task.facts) for task in translated.tasks] == [
                (task.id, task.facts) for task in answer.tasks
            ]
        else:
            assert translated == answer


def json_body(name: str, body: bytes, said: dict[str, Any]) -> bytes:
    """The recorded body in JSON; on the way it is shown that decoding and encoding lose nothing."""
    message = messages.decode(name, "proto", body)
    assert json_format.MessageToDict(message) == said
    assert messages.decode(name, "proto", messages.encode(message, "proto")) == message
    in_json = messages.encode(message, "json")
    assert messages.decode(name, "json", in_json) == message
    return in_json


# --- GitLab -------------------------------------------------------------------------------------------------


def whole_body(exchange: Exchange) -> bytes:
    """The body; what was not kept of a long trace is replaced by blanks."""
    return exchange.request.body.ljust(exchange.request.len or 0)


@pytest.mark.parametrize("scenario", GITLAB, ids=lambda scenario: scenario.name)
def test_a_gitlab_exchange_is_what_its_body_says(scenario):
    """Requests by their decoded body and headers, answers by status and headers."""
    for exchange in scenario.exchanges():
        asked, answered = exchange.request, exchange.response
        if not asked.arrived:
            assert exchange.injected_fault == "drop-mid"
            continue
        request = gitlab.read_request(asked.method, asked.path, asked.by_name, whole_body(exchange))
        assert_gitlab_request(request, exchange)
        if answered is not None:
            assert_gitlab_answer(request, read_answer(gitlab, request, answered), answered)


def assert_gitlab_request(request: Request, exchange: Exchange) -> None:
    asked = exchange.request
    if asked.path.endswith("/jobs/request"):
        assert request == Fetch(
            identity=f"token:{asked.json['token'][:8]}",
            last_update=asked.json.get("last_update"),
            system_id=asked.json["system_id"],
            executor="shell",
            version="17.9.3",
        )
    elif asked.path.endswith("/verify"):
        assert request == Declare(identity=f"token:{asked.json['token'][:8]}")
    elif asked.method == "PUT":
        states = {"success": "success", "failed": "failure"}
        assert request == StateReport(
            task_id=asked.path.rpartition("/")[2],
            result=states[asked.json["state"]],  # type: ignore[arg-type]
            failure_reason=asked.json.get("failure_reason"),
            exit_code=asked.json.get("exit_code"),
        )
    elif asked.method == "PATCH":
        first, last = asked.by_name["content-range"].split("-")
        assert request == LogReport(
            task_id=asked.path.split("/")[-2], start=int(first), count=int(last) + 1 - int(first)
        )
    else:
        assert asked.path.partition("?")[0].endswith("/artifacts")
        assert request == Other()


def assert_gitlab_answer(request: Request, answer: Answer, answered: Answered) -> None:
    job_status = answered.by_name.get("job-status")
    over = "cancelled" if job_status == "canceled" else None
    canceling = job_status == "canceling"
    if answered.status == 502:
        assert answer == Failed(sentence="GitLab answered with HTTP status 502.", code="502", status=502)
    elif answered.status == 201 and isinstance(request, Fetch):
        assert isinstance(answer, Tasks)
        (task,) = answer.tasks
        said = answered.json
        assert task.id == str(said["id"])
        assert (task.facts.repository, task.facts.organization, task.facts.job) == (
            "adm/r", "adm", said["job_info"]["name"],
        )  # fmt: skip
        assert (task.facts.sha, task.facts.ref) == (said["git_info"]["sha"], "refs/heads/main")
        assert task.body == answered.body
        assert answer.last_update == answered.by_name["x-gitlab-last-update"]
    elif answered.status == 204:
        assert answer == Empty(last_update=answered.by_name["x-gitlab-last-update"])
    elif isinstance(request, LogReport):
        assert answer == LogTaken(
            acknowledged=int(answered.by_name["range"].removeprefix("0-")),
            taken=answered.status == 202,
            over=over,  # type: ignore[arg-type]
            canceling=canceling,
        )
    elif isinstance(request, StateReport):
        assert answer == StateTaken(over=over, canceling=canceling)  # type: ignore[arg-type]
    elif isinstance(request, Declare):
        assert answer == Declared(identity=Identity(key=str(request.identity)))
    else:
        assert answer == Passed()


# --- all ----------------------------------------------------------------------------------------------------


def test_nothing_is_left_out():
    """What the tables above meet, and the recordings of which a part is missing."""
    met: Counter[str] = Counter()
    for scenario in scenarios():
        for exchange in scenario.exchanges():
            met["exchanges"] += 1
            met["cut"] += exchange.request.body_truncated_to is not None
            met["no body"] += not exchange.request.arrived
            met["no answer"] += exchange.response is None
    assert len(scenarios()) == 67
    assert met == {"exchanges": 1244, "cut": 6, "no body": 8, "no answer": 13}


@pytest.mark.parametrize("runner", ["act_runner", "forgejo-runner"])
def test_a_cut_body_is_unreadable(runner):
    """The UpdateLog of which only the beginning was recorded."""
    (cut,) = [
        each for each in Scenario(runner, "chatty-100k-lines").exchanges() if each.request.body_truncated_to
    ]
    with pytest.raises(Unreadable, match="UpdateLogRequest"):
        read_request(actions, cut)


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: f"{scenario.runner}/{scenario.name}")
def test_no_secret_shows(scenario):
    """Neither requests nor answers, nor what is said for them, show a token when they are printed."""
    dialect = dialect_of(scenario)
    for exchange in scenario.exchanges():
        if not exchange.request.whole:
            continue
        request = read_request(dialect, exchange)
        shown = [repr(request)]
        if exchange.response is not None and exchange.response.body_b64 is not None:
            answer = read_answer(dialect, request, exchange.response)
            shown.append(repr(answer))
            if isinstance(request, Fetch) and isinstance(answer, Tasks):
                shown.append(repr(dialect.hand_out(request, answer.tasks)))
                token = dialect.task_token(answer.tasks[0])
                shown.append(repr(dialect.report_end(answer.tasks[0].id, token, "failure", 1.0)))
        assert "xxxx" not in "".join(shown).replace("system-90-xxxx", "")
        assert "masked-value" not in "".join(shown)
