"""Connect's unary calls over HTTP: what carries a message, and how errors are told (connectrpc.com/docs/protocol)."""

import msgspec
from msgspec import Struct

from jobmeter.gateway.forges.facts import bounded
from jobmeter.gateway.forges.port import Encoding, Failed, Headers, Reply, Unauthenticated

STATUS_OF_CODE = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}
"""The HTTP status with which each code is answered."""

_CODE_OF_STATUS = {
    400: "internal",
    401: "unauthenticated",
    403: "permission_denied",
    404: "unimplemented",
    429: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}
"""What a client takes a status for when its body is no error of Connect: something else has answered."""

_TYPES: dict[str, Encoding] = {"application/proto": "proto", "application/json": "json"}
_GITEA_UNAUTHENTICATED = "code = Unauthenticated"
"""Gitea wraps its own errors (seen in 1.26-dev): HTTP 500 and code ``unknown``, and this in the message."""


class _Error(Struct):
    code: str
    message: str | None = None


def encoding_of(headers: Headers) -> Encoding | None:
    """How the body of a unary call is written; None for gRPC, streams and everything else."""
    return _TYPES.get(headers.get("content-type", "").partition(";")[0].strip().lower())


def read_error(status: int, body: bytes) -> Failed | Unauthenticated:
    """What an answer other than 200 says, by its body where that is an error of Connect, else by its status."""
    try:
        error = msgspec.json.decode(body, type=_Error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        error = _Error(code="")
    code = error.code if error.code in STATUS_OF_CODE else _CODE_OF_STATUS.get(status, "unknown")
    message = bounded(error.message) or f"The answer has HTTP status {status}."
    if code == "unauthenticated" or (code == "unknown" and _GITEA_UNAUTHENTICATED in message):
        return Unauthenticated(sentence=message)
    return Failed(sentence=message, code=code, status=status)


def write_error(code: str, sentence: str) -> Reply:
    """An error of our own; it is JSON whatever the call's encoding."""
    return Reply(
        status=STATUS_OF_CODE[code],
        headers=(("content-type", "application/json"),),
        body=msgspec.json.encode({"code": code, "message": sentence}),
    )


def write_message(encoding: Encoding, body: bytes) -> Reply:
    """A message of our own."""
    return Reply(status=200, headers=(("content-type", f"application/{encoding}"),), body=body)
