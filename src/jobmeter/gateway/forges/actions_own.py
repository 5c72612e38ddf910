"""The gateway as a runner of Forgejo's and Gitea's, and as their forge to a runner that it launches."""

import re
from collections.abc import Sequence
from typing import Any

from jobmeter.gateway.forges import actions, connect, messages
from jobmeter.gateway.forges.own import (
    Asking,
    Credential,
    NotRegistered,
    Pairs,
    Registration,
    label_name,
)
from jobmeter.gateway.forges.port import (
    Call,
    Declare,
    Headers,
    LogReport,
    Ping,
    Reply,
    Request,
    Result,
    Unreadable,
)

_SERVICE = re.compile(re.escape(actions.BASE) + r"/(?:runner|ping)\.v\d+\.")
_REPORT = re.compile(re.escape(actions.BASE) + r"/runner\.v1\.RunnerService/\w+")
_UUID, _TOKEN, _KEY = "x-runner-uuid", "x-runner-token", "x-runner-request-key"


def fetch_call(
    registration: Registration,
    version: str,
    *,
    tasks_version: int = 0,
    last_update: str | None = None,
    request_key: str | None = None,
) -> Asking:
    """A FetchTask for one task: under which number Forgejo takes a capacity is not confirmed."""
    said = messages.MESSAGES["runner.v1.FetchTaskRequest"](tasks_version=tasks_version)
    headers = _credentials(registration) + (((_KEY, request_key),) if request_key else ())
    return _asking(_call("FetchTask", said, headers))


def declare_call(registration: Registration, version: str, capabilities: Sequence[str] = ()) -> Asking:
    """Version and names of labels."""
    said = messages.MESSAGES["runner.v1.DeclareRequest"](
        version=version, labels=registration.label_names, capabilities=capabilities
    )
    return _asking(_call("Declare", said, _credentials(registration)))


def register_call(token: str, name: str, labels: Sequence[str], version: str) -> Asking:
    """As official runners do: the names of labels twice, for old forges."""
    names = [label_name(label) for label in labels]
    said = messages.MESSAGES["runner.v1.RegisterRequest"](
        name=name, token=token, agent_labels=names, labels=names, version=version
    )
    return _asking(_call("Register", said, ()))


def read_registration(
    name: str, labels: Sequence[str], status: int, headers: Headers, body: bytes
) -> Registration:
    """The runner with its uuid and token."""
    if status != 200:
        raise NotRegistered(f"the forge does not register it: {connect.read_error(status, body).sentence}")
    try:
        if connect.encoding_of(headers) != "proto":
            raise Unreadable("The answer is no protobuf.")
        runner = messages.decode("runner.v1.RegisterResponse", "proto", body).runner
    except Unreadable:
        raise NotRegistered("what answers there is no forge of this kind") from None
    if not runner.uuid or not runner.token:
        raise NotRegistered("the forge's answer has no uuid or no token")
    return Registration(
        token=runner.token,
        uuid=runner.uuid,
        name=runner.name or name,
        id=runner.id or None,
        labels=tuple(labels),
    )


def report_log(
    registration: Registration,
    task_id: str,
    token: str | None,
    start: int,
    lines: Sequence[str],
    at: float,
    *,
    last: bool = True,
) -> Call:
    """An UpdateLog: a row a line."""
    said = messages.MESSAGES["runner.v1.UpdateLogRequest"](task_id=int(task_id), index=start, no_more=last)
    for line in lines:
        row = said.rows.add(content=line)
        row.time.FromNanoseconds(int(at * 1e9))
    return _call("UpdateLog", said, _credentials(registration))


def with_line(report: LogReport, body: bytes, line: str, at: float) -> tuple[bytes, Reply]:
    """A row more; its runner hears of its own alone, as it takes what was acknowledged for its own."""
    name = "runner.v1.UpdateLogRequest"
    said = messages.MESSAGES[name]() if report.encoding == "proto" else messages.decode(name, "json", body)
    said.rows.add(content=line).time.FromNanoseconds(int(at * 1e9))
    added = messages.encode(said, report.encoding)
    taken = messages.MESSAGES["runner.v1.UpdateLogResponse"](ack_index=report.start + report.count)
    reply = connect.write_message(report.encoding, messages.encode(taken, report.encoding))
    # In protobuf a message behind another adds to its lists.
    return (body + added if report.encoding == "proto" else added), reply


def report_end(
    registration: Registration,
    task_id: str,
    token: str | None,
    result: Result,
    at: float,
    *,
    timed_out: bool = False,
) -> Call:
    """An UpdateTask; it has no word for why."""
    call = actions.report_end(task_id, token, result, at)
    return Call(
        method=call.method,
        path=call.path,
        headers=call.headers + _credentials(registration),
        body=call.body,
    )


def _call(name: str, said: Any, headers: tuple[tuple[str, str], ...]) -> Call:
    return Call(
        method="POST",
        path=f"{actions.BASE}/runner.v1.RunnerService/{name}",
        headers=(("content-type", "application/proto"), ("connect-protocol-version", "1"), *headers),
        body=messages.encode(said, "proto"),
    )


def _asking(call: Call) -> Asking:
    return Asking(call, actions.read_request(call.method, call.path, dict(call.headers), call.body))


def _credentials(registration: Registration) -> tuple[tuple[str, str], ...]:
    return ((_UUID, registration.uuid or ""), (_TOKEN, registration.token))


# --- to a launched runner ----------------------------------------------------------------------------------


def shown(headers: Headers, body: bytes) -> Credential | None:
    """Its two headers."""
    token = headers.get(_TOKEN)
    return Credential(token=token, uuid=headers.get(_UUID)) if token else None


def replaced(pairs: Pairs, registration: Registration) -> list[tuple[bytes, bytes]]:
    """The two headers with other values."""
    real = {name.encode(): value.encode() for name, value in _credentials(registration)}
    return [(name, real.get(name.lower(), value)) for name, value in pairs]


def is_service(method: str, path: str) -> bool:
    """Whether it is a call of ``runner.v1`` or ``ping.v1``, whatever the method and the call."""
    return _SERVICE.search(path.partition("?")[0]) is not None


def is_in_place(path: str) -> bool:
    """The whole path is that of a call: below another one it would be another program's of the forge's host."""
    return _REPORT.fullmatch(path) is not None


def welcome(request: Request, registration: Registration, shown: Credential) -> Reply | None:
    """A Declare is answered with the name that the forge knows, and the labels and version that the runner said."""
    said: Any
    match request:
        case Ping():
            said = messages.MESSAGES["ping.v1.PingResponse"](data="Hello!")
        case Declare():
            said = messages.MESSAGES["runner.v1.DeclareResponse"]()
            said.runner.uuid, said.runner.name = shown.uuid or "", registration.name
            said.runner.version = request.version or ""
            said.runner.labels.extend(request.labels)
        case _:
            return None
    return connect.write_message(request.encoding, messages.encode(said, request.encoding))


def reject(request: Request) -> Reply:
    """Code and words are the forges'."""
    return connect.write_error("unauthenticated", "unregistered runner")
