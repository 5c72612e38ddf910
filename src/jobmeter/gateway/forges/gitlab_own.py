"""The gateway as a runner of GitLab's, and as GitLab to a runner that it launches."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges import gitlab
from jobmeter.gateway.forges.own import Asking, Credential, NotRegistered, Pairs, Registration
from jobmeter.gateway.forges.port import (
    Call,
    Declare,
    Headers,
    LogReport,
    Reply,
    Request,
    Result,
)

_JSON = ("content-type", "application/json")
_ACCEPT = ("accept", "application/json")
_SERVICE = re.compile(
    re.escape(gitlab.BASE) + r"/(?:runners(?:/|\Z)|jobs/request/?\Z|jobs/\d+/?\Z|jobs/\d+/trace/?\Z)"
)
_MADE_AT_GITLAB = "glrt-"
"""So begins the token of a runner that was made on GitLab's pages: it is one already."""
_OF_ALL_EXECUTORS = (
    "variables", "artifacts", "cache", "fallback_cache_keys", "shared", "upload_multiple_artifacts",
    "upload_raw_artifacts", "session", "terminal", "refspecs", "masking", "raw_variables", "artifacts_exclude",
    "multi_build_steps", "trace_reset", "trace_checksum", "trace_size", "vault_secrets", "cancelable",
    "return_exit_code", "cancel_gracefully",
)  # fmt: skip
_OF_CONTAINERS = (
    "image", "services", "service_variables", "service_multiple_aliases", "image_executor_opts",
    "service_executor_opts",
)  # fmt: skip
_CONTAINERS = ("docker", "kubernetes", "instance")
_OF_NONE = ("proxy", "native_steps_integration")


class _Registered(Struct):
    token: str
    id: int | None = None


class _Said(Struct):
    token: str | None = None
    state: str | None = None


def fetch_call(
    registration: Registration,
    version: str,
    *,
    tasks_version: int = 0,
    last_update: str | None = None,
    request_key: str | None = None,
) -> Asking:
    """A request for a job that says of its runner what gitlab-runner 17.9.3 says."""
    said: dict[str, Any] = {"info": _info(registration.executor, version), "token": registration.token}
    if registration.system_id:
        said["system_id"] = registration.system_id
    if last_update:
        said["last_update"] = last_update
    return _asking(_post("jobs/request", said, registration.token))


def _info(executor: str, version: str) -> dict[str, Any]:
    in_containers = executor.startswith(_CONTAINERS)
    features = dict.fromkeys(_OF_ALL_EXECUTORS, True) | dict.fromkeys(_OF_CONTAINERS, in_containers)
    features |= dict.fromkeys(_OF_NONE, False)
    return {
        "name": "gitlab-runner",
        "version": version,
        "platform": "linux",
        "executor": executor,
        "shell": "bash",
        "features": features,
        "config": {"gpus": ""},
    }


def declare_call(registration: Registration, version: str, capabilities: Sequence[str] = ()) -> Asking:
    """A verify: GitLab's runners say no more of themselves when they start."""
    said = {"token": registration.token}
    if registration.system_id:
        said["system_id"] = registration.system_id
    return _asking(_post("runners/verify", said, registration.token))


def register_call(token: str, name: str, labels: Sequence[str], version: str) -> Asking:
    """With a registration token a new runner; a token of a runner that was made at GitLab is verified."""
    if token.startswith(_MADE_AT_GITLAB):
        return _asking(_post("runners/verify", {"token": token}, token))
    said = {"token": token, "description": name, "tag_list": ",".join(labels), "info": {"version": version}}
    return _asking(_post("runners", said, None))


def read_registration(
    name: str, labels: Sequence[str], status: int, headers: Headers, body: bytes
) -> Registration:
    """The runner with its token."""
    if status in (401, 403):
        raise NotRegistered("the forge does not register it: it does not accept this token")
    if status not in (200, 201):
        raise NotRegistered(f"the forge does not register it: it answered with HTTP status {status}")
    try:
        said = msgspec.json.decode(body, type=_Registered)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NotRegistered("what answers there is no forge of this kind") from None
    return Registration(token=said.token, name=name, id=said.id, labels=tuple(labels))


def report_log(
    registration: Registration,
    task_id: str,
    token: str | None,
    start: int,
    lines: Sequence[str],
    at: float,
    *,
    last: bool = True,
) -> Call | None:
    """A part of the trace; its first line begins anew, whatever the runner's last one was. A trace tells no times."""
    if token is None:
        return None
    text = "\n" + "".join(f"{line}\n" for line in lines)
    body = text.encode("utf-8", "replace")
    return Call(
        method="PATCH",
        path=f"{gitlab.BASE}/jobs/{task_id}/trace",
        headers=(
            ("content-type", "text/plain"),
            ("content-range", f"{start}-{start + len(body) - 1}"),
            ("job-token", token),
        ),
        body=body,
    )


def with_line(report: LogReport, body: bytes, line: str, at: float) -> None:
    """A trace is its runner's alone: at its end the runner says its length and checksum."""
    return


def report_end(
    registration: Registration,
    task_id: str,
    token: str | None,
    result: Result,
    at: float,
    *,
    timed_out: bool = False,
) -> Call | None:
    """A PUT with the job's token; a failure is the runner's, or that of a job that took too long."""
    call = gitlab.report_end(task_id, token, result, at)
    if call is None or not timed_out:
        return call
    said = msgspec.json.decode(call.body) | {"failure_reason": "job_execution_timeout"}
    return msgspec.structs.replace(call, body=msgspec.json.encode(said))


def _post(path: str, said: dict[str, Any], token: str | None) -> Call:
    """As gitlab-runner 17.9.3 shows a runner's token: in the body, and as if it were a person's."""
    shown = (("private-token", token),) if token else ()
    return Call(
        method="POST",
        path=f"{gitlab.BASE}/{path}",
        headers=(_JSON, _ACCEPT, *shown),
        body=msgspec.json.encode(said),
    )


def _asking(call: Call) -> Asking:
    return Asking(call, gitlab.read_request(call.method, call.path, dict(call.headers), call.body))


# --- to a launched runner ----------------------------------------------------------------------------------


def shown(headers: Headers, body: bytes) -> Credential | None:
    """The runner's token, in a header or in the body; what reports show, even in the same places, is the job's."""
    if "job-token" in headers:
        return None
    try:
        said = msgspec.json.decode(body, type=_Said)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    token = headers.get("private-token") or headers.get("runner-token") or said.token
    return Credential(token=token) if token and not said.state else None


def replaced(pairs: Pairs, registration: Registration) -> list[tuple[bytes, bytes]]:
    """The same: what passes are reports, and they show only the job's token."""
    return list(pairs)


def is_service(method: str, path: str) -> bool:
    """Requests for jobs, reports of them, and all that is about runners; a job's artifacts are its own."""
    return _SERVICE.search(path.partition("?")[0]) is not None


def is_in_place(path: str) -> bool:
    """Nothing of the registration's is put on a report: it has the job's own token."""
    return True


def welcome(request: Request, registration: Registration, shown: Credential) -> Reply | None:
    """A verify is answered with the token that was shown."""
    if not isinstance(request, Declare):
        return None
    said = {"id": registration.id or 0, "token": shown.token, "token_expires_at": None}
    return Reply(status=200, headers=(_JSON,), body=msgspec.json.encode(said))


def reject(request: Request) -> Reply:
    """Status and words are GitLab's."""
    return Reply(status=403, headers=(_JSON,), body=b'{"message":"403 Forbidden"}')
