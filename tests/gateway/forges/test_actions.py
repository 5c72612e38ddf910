"""What runners of Forgejo and Gitea ask, where no recording shows it, and what is said to them."""

from __future__ import annotations

import msgspec
import pytest

from jobmeter.gateway.forges import actions, messages
from jobmeter.gateway.forges.port import (
    Declared,
    Empty,
    Failed,
    Fetch,
    Identity,
    LogReport,
    Other,
    Passed,
    Ping,
    Register,
    StateReport,
    StateTaken,
    Task,
    Tasks,
    Unreadable,
)

FETCH = "/api/actions/runner.v1.RunnerService/FetchTask"
SINGLE = "/api/actions/runner.v1.RunnerService/FetchSingleTask"
UPDATE = "/api/actions/runner.v1.RunnerService/UpdateTask"
PROTO = {"content-type": "application/proto"}
JSON = {"content-type": "application/json"}
LATER = b"\x9a\x06\x05later"


def task(number: int) -> Task:
    return actions.read_task("proto", b"\x08%c" % number + LATER)


@pytest.mark.parametrize(
    "method, path, kind",
    [
        ("POST", FETCH, Fetch),
        ("POST", f"/forge/below{FETCH}", Fetch),
        ("POST", f"{FETCH}?x=1", Fetch),
        ("POST", "/api/actions/ping.v1.PingService/Ping", Ping),
        ("GET", FETCH, Other),
        ("POST", f"{FETCH}/more", Other),
        ("POST", f"{FETCH}\n", Other),
        ("POST", "/api/actions/runner.v1.RunnerService/Later", Other),
        ("POST", "/api/actions/ping.v1.PingService/FetchTask", Other),
        ("POST", "/api/actions_pipeline/_apis/pipelines/workflows/1/artifacts", Other),
        ("POST", "/runner.v1.RunnerService/FetchTask", Other),
    ],
)
def test_paths(method, path, kind):
    """Below any prefix; what is not known is passed, and its body need not be read."""
    request = actions.read_request(method, path, PROTO | {"x-runner-uuid": "u-1"}, b"")
    assert type(request) is kind
    assert request.identity == "u-1"
    assert actions.wants_body(method, path, PROTO) == (kind is not Other)
    if kind is Other:
        assert actions.read_answer(request, 500, {}, b"no message") == Passed()


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc-web", "application/connect+json", ""])
def test_other_protocols_are_passed(kind):
    """gRPC frames its messages; they are not read as if they were bare."""
    assert actions.read_request("POST", FETCH, {"content-type": kind}, b"\0\0\0\0\0") == Other()
    assert not actions.wants_body("POST", FETCH, {"content-type": kind})


def test_newer_fields_of_a_fetch():
    """Capacity, the key of a request, and a single task by its handle."""
    headers = PROTO | {"x-runner-uuid": "u", "x-runner-request-key": "k"}
    assert actions.read_request("POST", FETCH, headers, b"\x08\x07\x10\x03") == Fetch(
        identity="u", encoding="proto", tasks_version=7, capacity=3, request_key="k"
    )
    assert actions.read_request("POST", SINGLE, headers, b"\x08\x07\x12\x01h") == Fetch(
        identity="u", encoding="proto", tasks_version=7, single=True, handle="h", request_key="k"
    )


def test_every_task_of_an_answer_counts():
    """The additional ones come after the first, each with its own bytes."""
    body = b"\x0a\x0a\x08\x01" + LATER + b"\x10\x07\x1a\x0a\x08\x02" + LATER
    answer = actions.read_answer(Fetch(encoding="proto"), 200, PROTO, body)
    assert answer == Tasks(tasks=(task(1), task(2)), tasks_version=7)
    (single,) = actions.read_answer(Fetch(encoding="proto", single=True), 200, PROTO, body).tasks  # type: ignore[union-attr]
    assert single == task(1)


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("single", [False, True])
def test_nothing_echoes_the_version(encoding, single):
    """An answer of our own is empty, says the request's version back, in its encoding."""
    fetch = Fetch(encoding=encoding, tasks_version=41, single=single)
    reply = actions.nothing(fetch)
    assert (reply.status, reply.headers) == (200, (("content-type", f"application/{encoding}"),))
    assert actions.read_answer(fetch, reply.status, dict(reply.headers), reply.body) == Empty(
        tasks_version=41
    )


def test_nothing_at_first():
    """A runner that knows nothing yet gets the empty message."""
    assert actions.nothing(Fetch(encoding="proto")).body == b""
    assert actions.nothing(Fetch(encoding="json")).body == b"{}"


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_hand_out(encoding):
    """Tasks that were kept are read by the runner as the forge sent them."""
    fetch = Fetch(encoding=encoding, tasks_version=5)
    reply = actions.hand_out(fetch, [task(1), task(2)])
    answer = actions.read_answer(fetch, reply.status, dict(reply.headers), reply.body)
    assert isinstance(answer, Tasks)
    assert answer.tasks_version == 5
    assert [each.id for each in answer.tasks] == ["1", "2"]
    if encoding == "proto":
        assert answer.tasks == (task(1), task(2))


def test_hand_out_to_a_single_fetch():
    """It takes one, and only one."""
    fetch = Fetch(encoding="proto", single=True)
    reply = actions.hand_out(fetch, [task(1)])
    answer = actions.read_answer(fetch, 200, dict(reply.headers), reply.body)
    assert answer == Tasks(tasks=(task(1),))
    with pytest.raises(ValueError, match="takes one"):
        actions.hand_out(fetch, [task(1), task(2)])


@pytest.mark.parametrize(
    "encoding, body, fetch, asked",
    [
        ("proto", b"\x08\x07" + LATER, {"tasks_version": 7}, b"\x08\x07" + LATER),
        ("proto", b"\x08\x07" + LATER, {"tasks_version": 0}, LATER),
        ("proto", b"\x10\x05\x08\x07", {"tasks_version": 7, "capacity": 5}, b"\x10\x05\x08\x07"),
        ("proto", b"\x10\x05\x08\x07", {"tasks_version": 9, "capacity": 2}, b"\x08\x09\x10\x02"),
        ("json", b'{ "tasksVersion": 7 }', {"tasks_version": 7}, b'{ "tasksVersion": 7 }'),
        ("json", b'{"later":1,"tasks_version":7}', {"tasks_version": 9}, b'{"later":1,"tasks_version":"9"}'),
    ],
)
def test_ask(encoding, body, fetch, asked):
    """The runner's bytes as they are where nothing changes; a number else, and unknown fields stay."""
    assert actions.ask(Fetch(encoding=encoding, **fetch), body) == asked


def test_ask_for_a_single_task():
    """The handle stays, and it is not taken for a capacity."""
    fetch = Fetch(encoding="proto", single=True, tasks_version=3, capacity=4)
    assert actions.ask(fetch, b"\x12\x01h") == b"\x08\x03\x12\x01h"


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_refuse(encoding):
    """A runner takes it for an error that may pass, in JSON as all errors."""
    fetch = Fetch(encoding=encoding)
    reply = actions.refuse(fetch, "The forge does not answer.")
    assert actions.read_answer(fetch, reply.status, dict(reply.headers), reply.body) == Failed(
        sentence="The forge does not answer.", code="unavailable", status=503
    )


@pytest.mark.parametrize(
    "result, number", [("success", 1), ("failure", 2), ("cancelled", 3), ("skipped", 4), ("unknown", 2)]
)
def test_report_end(result, number):
    """The task is over for the forge, as if its runner had said so."""
    call = actions.report_end("9", None, result, 1_700_000_000.5)
    said = actions.read_request(call.method, call.path, dict(call.headers), call.body)
    assert isinstance(said, StateReport)
    assert (said.task_id, said.stopped_at) == ("9", 1_700_000_000.5)
    message = messages.decode("runner.v1.UpdateTaskRequest", "proto", call.body)
    assert message.state.result == number
    assert said.result == ("failure" if result == "unknown" else result)


@pytest.mark.parametrize(
    "sent, complete", [([], False), (["a"], False), (["b", "a"], True), (["a", "b", "c"], True)]
)
def test_outputs_must_all_have_arrived(sent, complete):
    """A runner sends its report again until the forge has named each of its outputs."""
    body = msgspec.json.encode({"state": {"id": "1"}, "outputs": {"a": "1", "b": "2"}})
    request = actions.read_request("POST", UPDATE, JSON, body)
    assert isinstance(request, StateReport)
    assert sorted(request.outputs) == ["a", "b"]
    answer = actions.read_answer(request, 200, JSON, msgspec.json.encode({"sentOutputs": sent}))
    assert answer == StateTaken(complete=complete, sent_outputs=tuple(sent))


@pytest.mark.parametrize(
    "state, result, started",
    [
        (b"", None, None),
        (b"\x10\x00", None, None),
        (b"\x10\x04", "skipped", None),
        (b"\x10\x09", "unknown", None),
        (b"\x1a\x00", None, None),
        (b"\x1a\x0b\x08\x80\x92\xb8\xc3\x98\xfe\xff\xff\xff\x01", None, None),
        (b"\x1a\x08\x08\x01\x10\x80\xca\xb5\xee\x01", None, 1.5),
    ],
)
def test_results_and_times(state, result, started):
    """Not over, words that came later, and the zero time of Go, which is the year 1."""
    request = actions.read_request("POST", UPDATE, PROTO, b"\x0a%c%b" % (len(state), state))
    assert isinstance(request, StateReport)
    assert (request.result, request.started_at) == (result, started)


@pytest.mark.parametrize("status, kind", [(200, "text/html"), (200, "application/json"), (200, None)])
def test_an_answer_of_another_type(status, kind):
    """A sign-in page with status 200 is no answer."""
    headers = {"content-type": kind} if kind else {}
    assert actions.read_answer(Fetch(encoding="proto"), status, headers, b"<html>") == Failed(
        sentence="The answer is not in the request's encoding.", code="unknown", status=200
    )


def test_an_answer_that_is_none():
    """It has the type, but not the message."""
    with pytest.raises(Unreadable, match="FetchTaskResponse in proto"):
        actions.read_answer(Fetch(encoding="proto"), 200, PROTO, b"\xff")


def test_words_are_bounded():
    """What a peer chooses becomes labels and log lines: one line, not long, not many."""
    body = msgspec.json.encode({"name": "n" * 999, "labels": [f"l\n{n}" for n in range(999)], "token": "t"})
    path = "/api/actions/runner.v1.RunnerService/Register"
    request = actions.read_request("POST", path, JSON | {"x-runner-uuid": "u" * 999}, body)
    assert isinstance(request, Register)
    assert (len(request.name or ""), len(request.identity or "")) == (256, 256)
    assert (len(request.labels), request.labels[0]) == (64, "l 0")


def test_a_runner_by_its_answer():
    """Older servers tell labels in the field that is no longer used; without uuid the request's counts."""
    request = actions.read_request(
        "POST", "/api/actions/runner.v1.RunnerService/Declare", JSON | {"x-runner-uuid": "u"}, b"{}"
    )
    headers = JSON | {"x-gitea-actions-capabilities": "cancelling"}
    body = b'{"runner":{"name":"n","agentLabels":["a"],"ephemeral":true}}'
    assert actions.read_answer(request, 200, headers, body) == Declared(
        identity=Identity(key="u", name="n", labels=("a",)), ephemeral=True, capabilities="cancelling"
    )
    request = msgspec.structs.replace(request, identity=None)
    assert actions.read_answer(request, 200, JSON, b"{}") == Declared()


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_many_rows(encoding):
    """One UpdateLog of 100,000 rows is normal; its rows are counted, not read."""
    rows = [{"content": f"row {number}"} for number in range(100_000)]
    body = msgspec.json.encode({"taskId": "3", "index": "5", "rows": rows, "no_more": True})
    if encoding == "proto":
        message = messages.MESSAGES["runner.v1.UpdateLogRequest"](task_id=3, index=5, no_more=True)
        for row in rows:
            message.rows.add(content=row["content"])
        body = messages.encode(message, "proto")
    path = "/api/actions/runner.v1.RunnerService/UpdateLog"
    request = actions.read_request("POST", path, {"content-type": f"application/{encoding}"}, body)
    assert request == LogReport(encoding=encoding, task_id="3", start=5, count=100_000, last=True)
