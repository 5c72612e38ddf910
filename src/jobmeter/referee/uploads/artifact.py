"""What both protocols of artifacts share."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.sending import Reply, Rules

_T = TypeVar("_T")
_ADVICE: Mapping[int, str] = {
    401: "the job's runtime token is not accepted, which holds while the job runs",
    403: "the job's runtime token may not",
    409: "there is an artifact of this name",
    413: "the file is larger than this forge takes of an artifact",
    500: "so answer Forgejo and Gitea also to the token of a job that is over",
}
RULES = Rules(advice=_ADVICE)


def read_as(reply: Reply, kind: type[_T]) -> _T:
    """What an answer says. Raises SendError."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SendError("the forge's answer is none that this protocol has", retryable=False) from None
