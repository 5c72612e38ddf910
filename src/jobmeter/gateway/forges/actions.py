"""Forgejo's and Gitea's runners: ``runner.v1`` and ``ping.v1`` as unary calls of Connect, in protobuf and JSON."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from jobmeter.gateway.forges import connect, messages
from jobmeter.gateway.forges.facts import bounded, bounded_all, digest, facts_of
from jobmeter.gateway.forges.port import (
    Answer,
    Call,
    Declare,
    Declared,
    Empty,
    Encoding,
    Failed,
    Fetch,
    Headers,
    Identity,
    LogReport,
    LogTaken,
    Other,
    Passed,
    Ping,
    Register,
    Reply,
    Request,
    Result,
    StateReport,
    StateTaken,
    Step,
    Task,
    Tasks,
    Unreadable,
)
from jobmeter.identity.actions import read_job

BASE = "/api/actions"
_CALL = re.compile(re.escape(BASE) + r"/((?:runner\.v1\.RunnerService|ping\.v1\.PingService)/\w+)\Z")
MOST_BYTES = 4 * 1024 * 1024
"""Of all but a log: a message of many small parts takes many times its bytes when it is read."""
_MOST_STEPS = 1000
_RESULTS: dict[int, Result | None] = {0: None, 1: "success", 2: "failure", 3: "cancelled", 4: "skipped"}
_NUMBERS = {"success": 1, "failure": 2, "cancelled": 3, "skipped": 4, "unknown": 2}
_CONTEXT = {
    "GITHUB_SERVER_URL": "server_url",
    "GITHUB_REPOSITORY": "repository",
    "GITHUB_REPOSITORY_OWNER": "repository_owner",
    "GITHUB_WORKFLOW": "workflow",
    "GITHUB_WORKFLOW_REF": "workflow_ref",
    "GITHUB_JOB": "job",
    "GITHUB_RUN_ID": "run_id",
    "GITHUB_RUN_ATTEMPT": "run_attempt",
    "GITHUB_REF": "ref",
    "GITHUB_SHA": "sha",
    "GITHUB_EVENT_NAME": "event_name",
}
"""Which key of a task's context becomes which variable of its job; all of them are strings."""


_RUNTIME_TOKENS = ("forgejo_runtime_token", "gitea_runtime_token", "token")


class _Asking(Struct, frozen=True):
    """What an answer's reader must know of its request."""

    identity: str | None
    encoding: Encoding
    headers: Headers


# --- requests ----------------------------------------------------------------------------------------------


def wants_body(method: str, path: str, headers: Headers) -> bool:
    """Whether it is a unary call that is known here."""
    return _call(method, path) is not None and connect.encoding_of(headers) is not None


def read_request(method: str, path: str, headers: Headers, body: bytes) -> Request:
    """What the runner asks; Unreadable for a body that is not the call's message."""
    identity = bounded(headers.get("x-runner-uuid"))
    call, encoding = _call(method, path), connect.encoding_of(headers)
    if call is None or encoding is None:
        return Other(identity=identity)
    if len(body) > MOST_BYTES and not (call.endswith("/UpdateLog") and encoding == "proto"):
        raise Unreadable(f"A body that is no log in proto has more than {MOST_BYTES} bytes.")
    return _REQUESTS[call](_Asking(identity, encoding, headers), body)


def _call(method: str, path: str) -> str | None:
    found = _CALL.search(path.partition("?")[0]) if method == "POST" else None
    return found[1] if found and found[1] in _REQUESTS else None


def _read_ping(asking: _Asking, body: bytes) -> Request:
    messages.decode("ping.v1.PingRequest", asking.encoding, body)
    return Ping(identity=asking.identity, encoding=asking.encoding)


def _read_register(asking: _Asking, body: bytes) -> Request:
    said = messages.decode("runner.v1.RegisterRequest", asking.encoding, body)
    return Register(
        identity=asking.identity,
        encoding=asking.encoding,
        name=bounded(said.name),
        labels=bounded_all(said.labels or said.agent_labels),
        version=bounded(said.version),
        ephemeral=said.ephemeral,
    )


def _read_declare(asking: _Asking, body: bytes) -> Request:
    said = messages.decode("runner.v1.DeclareRequest", asking.encoding, body)
    return Declare(
        identity=asking.identity,
        encoding=asking.encoding,
        labels=bounded_all(said.labels),
        version=bounded(said.version),
        capabilities=bounded_all(said.capabilities),
    )


def _read_fetch(asking: _Asking, body: bytes) -> Request:
    said = messages.decode("runner.v1.FetchTaskRequest", asking.encoding, body)
    return Fetch(
        identity=asking.identity,
        encoding=asking.encoding,
        tasks_version=said.tasks_version,
        capacity=said.task_capacity if said.HasField("task_capacity") else None,
        request_key=bounded(asking.headers.get("x-runner-request-key")),
    )


def _read_fetch_single(asking: _Asking, body: bytes) -> Request:
    said = messages.decode("runner.v1.FetchSingleTaskRequest", asking.encoding, body)
    return Fetch(
        identity=asking.identity,
        encoding=asking.encoding,
        tasks_version=said.tasks_version,
        request_key=bounded(asking.headers.get("x-runner-request-key")),
        single=True,
        handle=bounded(said.handle),
    )


def _read_log(asking: _Asking, body: bytes) -> Request:
    said = messages.read_outline("UpdateLogRequest", asking.encoding, body)
    return LogReport(
        identity=asking.identity,
        encoding=asking.encoding,
        task_id=str(said.task_id),
        start=said.index,
        count=len(said.rows),
        last=said.no_more,
    )


def _read_state(asking: _Asking, body: bytes) -> Request:
    said = messages.decode("runner.v1.UpdateTaskRequest", asking.encoding, body)
    state = said.state
    return StateReport(
        identity=asking.identity,
        encoding=asking.encoding,
        task_id=str(state.id),
        result=_result(state),
        started_at=_seconds(state, "started_at"),
        stopped_at=_seconds(state, "stopped_at"),
        steps=tuple(map(_step, state.steps[:_MOST_STEPS])),
        outputs=tuple(said.outputs),
    )


def _step(step: Any) -> Step:
    return Step(
        index=step.id,
        result=_result(step),
        started_at=_seconds(step, "started_at"),
        stopped_at=_seconds(step, "stopped_at"),
        log_rows=step.log_length,
    )


def _result(state: Any) -> Result | None:
    """None as long as it is not over; a number that came after these words is a result nobody here knows."""
    return _RESULTS.get(state.result, "unknown")


def _seconds(state: Any, field: str) -> float | None:
    """Seconds since the epoch; a Go program writes its zero time as the year 1."""
    if not state.HasField(field):
        return None
    time = getattr(state, field)
    return time.seconds + time.nanos / 1e9 if time.seconds > 0 else None


_REQUESTS: dict[str, Callable[[_Asking, bytes], Request]] = {
    "ping.v1.PingService/Ping": _read_ping,
    "runner.v1.RunnerService/Register": _read_register,
    "runner.v1.RunnerService/Declare": _read_declare,
    "runner.v1.RunnerService/FetchTask": _read_fetch,
    "runner.v1.RunnerService/FetchSingleTask": _read_fetch_single,
    "runner.v1.RunnerService/UpdateLog": _read_log,
    "runner.v1.RunnerService/UpdateTask": _read_state,
}


# --- answers -----------------------------------------------------------------------------------------------


def read_answer(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    """What the forge answered; Unreadable for a message that is not the call's."""
    read = _ANSWERS.get(type(request))
    if read is None:
        return Passed()
    if status != 200:
        return connect.read_error(status, body)
    if connect.encoding_of(headers) != request.encoding:
        return Failed(sentence="The answer is not in the request's encoding.", code="unknown", status=status)
    return read(request, headers, body)


def _read_pong(request: Request, headers: Headers, body: bytes) -> Answer:
    messages.decode("ping.v1.PingResponse", request.encoding, body)
    return Passed()


def _read_declared(request: Request, headers: Headers, body: bytes) -> Answer:
    kind = "Register" if isinstance(request, Register) else "Declare"
    runner = messages.decode(f"runner.v1.{kind}Response", request.encoding, body).runner
    key = bounded(runner.uuid) or request.identity
    identity = Identity(
        key=key,
        name=bounded(runner.name),
        labels=bounded_all(runner.labels or runner.agent_labels),
        version=bounded(runner.version),
    ) if key else None  # fmt: skip
    capabilities = bounded(headers.get("x-gitea-actions-capabilities"))
    return Declared(identity=identity, ephemeral=runner.ephemeral, capabilities=capabilities)


def _read_fetched(request: Request, headers: Headers, body: bytes) -> Answer:
    assert isinstance(request, Fetch)
    name = "FetchSingleTaskResponse" if request.single else "FetchTaskResponse"
    said = messages.read_outline(name, request.encoding, body)
    bodies = [said.task] if said.HasField("task") else []
    if not request.single:
        bodies.extend(said.additional_tasks)
    if not bodies:
        return Empty(tasks_version=said.tasks_version)
    tasks = tuple(read_task(request.encoding, each) for each in bodies)
    return Tasks(tasks=tasks, tasks_version=said.tasks_version)


def read_task(encoding: Encoding, body: bytes) -> Task:
    """A task by its message."""
    said = messages.decode("runner.v1.Task", encoding, body)
    context = said.context.fields
    environ = {name: context[key].string_value for name, key in _CONTEXT.items() if key in context}
    return Task(
        id=str(said.id), body=body, encoding=encoding, facts=facts_of(read_job(environ, ("GITHUB",), None))
    )


def _read_log_taken(request: Request, headers: Headers, body: bytes) -> Answer:
    said = messages.decode("runner.v1.UpdateLogResponse", request.encoding, body)
    return LogTaken(acknowledged=said.ack_index)


def _read_state_taken(request: Request, headers: Headers, body: bytes) -> Answer:
    assert isinstance(request, StateReport)
    said = messages.decode("runner.v1.UpdateTaskResponse", request.encoding, body)
    sent = tuple(said.sent_outputs)
    return StateTaken(complete=set(request.outputs) <= set(sent), over=_result(said.state), sent_outputs=sent)


_ANSWERS: dict[type[Request], Callable[[Any, Headers, bytes], Answer]] = {
    Ping: _read_pong,
    Register: _read_declared,
    Declare: _read_declared,
    Fetch: _read_fetched,
    LogReport: _read_log_taken,
    StateReport: _read_state_taken,
}


# --- our own -----------------------------------------------------------------------------------------------


def nothing(fetch: Fetch) -> Reply:
    """No task; the request's version is said back, so that the forge does not skip its next look-up."""
    said = messages.MESSAGES["runner.v1.FetchTaskResponse"](tasks_version=fetch.tasks_version)
    return connect.write_message(fetch.encoding, messages.encode(said, fetch.encoding))


def hand_out(fetch: Fetch, tasks: Sequence[Task]) -> Reply:
    """Tasks that were fetched earlier; a FetchSingleTask takes one."""
    first, *others = [_in_encoding(task, fetch.encoding) for task in tasks]
    if fetch.single and others:
        raise ValueError("a FetchSingleTask takes one task")
    name = "FetchSingleTaskResponse" if fetch.single else "FetchTaskResponse"
    said = messages.MESSAGES[f"outline.v1.{name}"](task=first, tasks_version=fetch.tasks_version)
    if others:
        said.additional_tasks.extend(others)
    return connect.write_message(fetch.encoding, messages.write_outline(said, fetch.encoding))


def _in_encoding(task: Task, encoding: Encoding) -> bytes:
    """The task as it came where it came in this encoding, else translated, without what is unknown here."""
    if task.encoding == encoding:
        return task.body
    return messages.encode(messages.decode("runner.v1.Task", task.encoding, task.body), encoding)


def refuse(request: Request, sentence: str) -> Reply:
    """The forge cannot be asked now."""
    return connect.write_error("unavailable", sentence)


def proof(headers: Headers, body: bytes) -> str:
    """By the uuid and the token."""
    return digest(headers.get("x-runner-uuid"), headers.get("x-runner-token"))


def task_token(task: Task) -> str | None:
    """A task has no token with which it is reported."""
    return None


def runtime_token(task: Task) -> str | None:
    """As its runner chooses it: forges without one of its own accept that of the job."""
    context = messages.decode("runner.v1.Task", task.encoding, task.body).context.fields
    found = (context[key].string_value for key in _RUNTIME_TOKENS if key in context)
    return next(filter(None, found), None)


def report_token(headers: Headers, body: bytes) -> str | None:
    """As above."""
    return None


def ask(fetch: Fetch, body: bytes) -> bytes:
    """The runner's own body with the version and capacity of ``fetch``; the same bytes where nothing changes."""
    name = f"runner.v1.{'FetchSingleTaskRequest' if fetch.single else 'FetchTaskRequest'}"
    said = messages.decode(name, fetch.encoding, body)
    wanted = {"tasks_version": fetch.tasks_version}
    if not fetch.single and fetch.capacity is not None:
        wanted["task_capacity"] = fetch.capacity
    changed = {field: value for field, value in wanted.items() if getattr(said, field) != value}
    return messages.change(name, fetch.encoding, body, **changed) if changed else body


def report_end(task_id: str, token: str | None, result: Result, at: float) -> Call:
    """An UpdateTask with the result; what is not known is a failure."""
    said = messages.MESSAGES["runner.v1.UpdateTaskRequest"]()
    said.state.id, said.state.result = int(task_id), _NUMBERS[result]
    said.state.stopped_at.FromNanoseconds(int(at * 1e9))
    return Call(
        method="POST",
        path=f"{BASE}/runner.v1.RunnerService/UpdateTask",
        headers=(("content-type", "application/proto"), ("connect-protocol-version", "1")),
        body=messages.encode(said, "proto"),
    )
