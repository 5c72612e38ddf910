"""GitLab's and AlloyCI's runners: the job API below ``/api/v4`` (gitlab-runner 19.4; seen on the wire with 17.9.3)."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.facts import bounded, bounded_all, digest
from jobmeter.gateway.forges.gitlab_job import decode, read_task, token_of
from jobmeter.gateway.forges.port import (
    Answer,
    Call,
    Declare,
    Declared,
    Empty,
    Failed,
    Fetch,
    Headers,
    Identity,
    LogReport,
    LogTaken,
    Other,
    Passed,
    Register,
    Reply,
    Request,
    Result,
    StateReport,
    StateTaken,
    Task,
    Tasks,
    Unauthenticated,
    Unreadable,
)

BASE = "/api/v4"
LAST_UPDATE = "x-gitlab-last-update"

_CALL = re.compile(
    re.escape(BASE)
    + r"/(?:(?P<request>jobs/request)|jobs/(?P<trace>\d{1,19})/trace|jobs/(?P<update>\d{1,19})"
    r"|(?P<verify>runners/verify)|(?P<register>runners))/?\Z",
    re.ASCII,
)
_METHODS = {"request": "POST", "trace": "PATCH", "update": "PUT", "verify": "POST", "register": "POST"}
_TOKEN_HEADERS = ("runner-token", "private-token")
_TOKEN_PREFIX = re.compile(r"glrt-(?:t[123]_)?|glrtr-|glcbt-|GR[0-9A-Fa-f]{7}")
_RANGE = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)
_RESULTS: dict[str, Result | None] = {
    "pending": None,
    "running": None,
    "success": "success",
    "failed": "failure",
}
_CLOSED: dict[str, Result] = {"canceled": "cancelled", "failed": "failure"}
"""What ``Job-Status`` says of a job that its runner must leave."""


class _Info(Struct):
    version: str | None = None
    executor: str | None = None


class _Asking(Struct):
    token: str | None = None
    info: _Info | None = None
    last_update: str | None = None
    system_id: str | None = None


class _Registering(Struct):
    info: _Info | None = None
    description: str | None = None
    tag_list: str | list[str] | None = None


class _Update(Struct):
    state: str
    failure_reason: str | None = None
    exit_code: int | None = None


class _Registered(Struct):
    token: str


def short_name(token: str, characters: int) -> str:
    """The beginning of a runner's token by which dashboards know it: 8 characters of old, 9 today.

    The prefixes that all tokens of a kind share are no part of it. It is never more than half of the token.
    """
    own = token[found.end() :] if (found := _TOKEN_PREFIX.match(token)) else token
    return bounded(own[: min(characters, len(own) // 2)]) or ""


def _key(token: str | None) -> str | None:
    name = short_name(token, 8) if token else ""
    return f"token:{name}" if name else None


def _identity(headers: Headers, token: str | None) -> str | None:
    """The key of the runner that asks: by its body, as all versions do, or by a header."""
    return _key(token or next(filter(None, map(headers.get, _TOKEN_HEADERS)), None))


# --- requests ----------------------------------------------------------------------------------------------


def wants_body(method: str, path: str, headers: Headers) -> bool:
    """Whether it is a call that is known here; uploads of artifacts are not."""
    return _call(method, path) is not None


def read_request(method: str, path: str, headers: Headers, body: bytes) -> Request:
    """What the runner asks; Unreadable for a body or a range that is not the call's."""
    call = _call(method, path)
    if call is None:
        return Other()
    kind, job_id = call
    return _REQUESTS[kind](job_id, headers, body)


def _call(method: str, path: str) -> tuple[str, str] | None:
    """The name of the call and the id of its job, where it has one."""
    found = _CALL.search(path.partition("?")[0])
    kind = found.lastgroup if found else None
    if found is None or kind is None or _METHODS[kind] != method:
        return None
    return kind, found[kind]


def _read_fetch(_: str, headers: Headers, body: bytes) -> Request:
    said = decode(_Asking, body)
    info = said.info or _Info()
    return Fetch(
        identity=_identity(headers, said.token),
        last_update=said.last_update or None,
        system_id=bounded(said.system_id),
        executor=bounded(info.executor),
        version=bounded(info.version),
    )


def _read_trace(job_id: str, headers: Headers, body: bytes) -> Request:
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    start, count = (int(found[1]), int(found[2]) + 1 - int(found[1])) if found else (0, -1)
    if count != len(body):
        raise Unreadable("A part of a trace has no Content-Range, or not that of its body.")
    return LogReport(task_id=job_id, start=start, count=count)


def _read_update(job_id: str, headers: Headers, body: bytes) -> Request:
    said = decode(_Update, body)
    return StateReport(
        task_id=job_id,
        result=_RESULTS.get(said.state, "unknown"),
        failure_reason=bounded(said.failure_reason),
        exit_code=said.exit_code,
    )


def _read_verify(_: str, headers: Headers, body: bytes) -> Request:
    return Declare(identity=_identity(headers, decode(_Asking, body).token))


def _read_register(_: str, headers: Headers, body: bytes) -> Request:
    said = decode(_Registering, body)
    tags = said.tag_list.split(",") if isinstance(said.tag_list, str) else said.tag_list or []
    version = bounded((said.info or _Info()).version)
    return Register(name=bounded(said.description), labels=bounded_all(tags), version=version)


_REQUESTS: dict[str, Callable[[str, Headers, bytes], Request]] = {
    "request": _read_fetch,
    "trace": _read_trace,
    "update": _read_update,
    "verify": _read_verify,
    "register": _read_register,
}


# --- answers -----------------------------------------------------------------------------------------------


def read_answer(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    """What GitLab answered; Unreadable for a job or a registration that is none."""
    read = _ANSWERS.get(type(request))
    return read(request, status, headers, body) if read else Passed()


def _read_fetched(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    last_update = bounded(headers.get(LAST_UPDATE))
    if status == 201:
        return Tasks(tasks=(read_task(body),), last_update=last_update)
    if status == 204:
        return Empty(last_update=last_update)
    return _refused(status)


def _read_log_taken(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    found = _RANGE.fullmatch(headers.get("range", ""))
    acknowledged = int(found[2]) if found else None
    over, canceling = _closed(status, headers)
    if status == 202:
        return LogTaken(acknowledged=acknowledged, over=over, canceling=canceling)
    if status == 416 or over:
        # A runner that cannot read where to go on begins anew.
        return LogTaken(acknowledged=acknowledged or 0, taken=False, over=over, canceling=canceling)
    return _refused(status)


def _read_state_taken(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    over, canceling = _closed(status, headers)
    if status == 404:
        over = over or "unknown"
    if status in (200, 202, 412) or over:
        return StateTaken(complete=status == 200, over=over, canceling=canceling)
    return _refused(status)


def _closed(status: int, headers: Headers) -> tuple[Result | None, bool]:
    """How the job ended meanwhile, and whether its runner is asked to end it."""
    said = headers.get("job-status", "").strip().lower()
    return _CLOSED.get(said) or ("unknown" if status == 403 else None), said == "canceling"


def _read_verified(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    if status == 200:
        key = request.identity
        return Declared(identity=Identity(key=key) if key else None)
    return _refused(status)


def _read_registered(request: Request, status: int, headers: Headers, body: bytes) -> Answer:
    assert isinstance(request, Register)
    if status != 201:
        return _refused(status)
    key = _key(decode(_Registered, body).token)
    if key is None:
        return Declared()
    return Declared(
        identity=Identity(key=key, name=request.name, labels=request.labels, version=request.version)
    )


def _refused(status: int) -> Failed | Unauthenticated:
    sentence = f"GitLab answered with HTTP status {status}."
    if status in (401, 403):
        return Unauthenticated(sentence=sentence)
    return Failed(sentence=sentence, code=str(status), status=status)


_ANSWERS: dict[type[Request], Callable[[Any, int, Headers, bytes], Answer]] = {
    Fetch: _read_fetched,
    LogReport: _read_log_taken,
    StateReport: _read_state_taken,
    Declare: _read_verified,
    Register: _read_registered,
}


# --- our own -----------------------------------------------------------------------------------------------


def nothing(fetch: Fetch) -> Reply:
    """No job; what the runner knows already is said back."""
    return Reply(status=204, headers=_last_update(fetch))


def hand_out(fetch: Fetch, tasks: Sequence[Task]) -> Reply:
    """A job that was fetched earlier; a request takes one."""
    (task,) = tasks
    headers = (("content-type", "application/json"), *_last_update(fetch))
    return Reply(status=201, headers=headers, body=task.body)


def _last_update(fetch: Fetch) -> tuple[tuple[str, str], ...]:
    said = bounded(fetch.last_update)
    return ((LAST_UPDATE, said),) if said else ()


def refuse(request: Request, sentence: str) -> Reply:
    """GitLab cannot be asked now: a runner tries again, and does not think that its token is bad."""
    body = msgspec.json.encode({"message": sentence})
    return Reply(status=503, headers=(("content-type", "application/json"),), body=body)


def proof(headers: Headers, body: bytes) -> str:
    """By the token, wherever it stands, and the machine: each asks for itself."""
    said = decode(_Asking, body)
    return digest(said.token, said.system_id, *map(headers.get, _TOKEN_HEADERS))


def task_token(task: Task) -> str | None:
    """The job's own."""
    return token_of(task)


def runtime_token(task: Task) -> str | None:
    """Its artifacts are attached by the token above."""
    return None


def report_token(headers: Headers, body: bytes) -> str | None:
    """All versions send it in a header with the trace, and in the body of an update."""
    token = headers.get("job-token")
    if token is None:
        try:
            token = decode(_Asking, body).token
        except Unreadable:
            return None
    return token or None


def ask(fetch: Fetch, body: bytes) -> bytes:
    """The runner's own body with the ``last_update`` of ``fetch``; the same bytes where it is the runner's."""
    if (decode(_Asking, body).last_update or None) == fetch.last_update:
        return body
    document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    document["last_update"] = msgspec.Raw(msgspec.json.encode(fetch.last_update or ""))
    return msgspec.json.encode(document)


def report_end(task_id: str, token: str | None, result: Result, at: float) -> Call | None:
    """A PUT with the job's own token; GitLab takes the time of its arrival for the end.

    Runners cannot say that a job is cancelled: it failed by its runner, as when gitlab-runner is stopped.
    """
    if token is None:
        return None
    said = {"token": token, "state": "success"}
    if result != "success":
        said |= {"state": "failed", "failure_reason": "runner_system_failure"}
    return Call(
        method="PUT",
        path=f"{BASE}/jobs/{task_id}",
        headers=(("content-type", "application/json"), ("job-token", token)),
        body=msgspec.json.encode(said),
    )
