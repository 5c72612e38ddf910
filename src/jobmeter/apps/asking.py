"""Asks a receiver for JSON of a known form."""

from http import HTTPStatus
from typing import TypeVar

import msgspec

from jobmeter.model.errors import SendError
from jobmeter.transport import TIMEOUT_SECONDS, Endpoint

_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_GIVE_TOKEN = "Give its read token with --read-token-file FILE or $JOBMETER_READ_TOKEN."
_Form = TypeVar("_Form")


def ask(
    endpoint: Endpoint, path: str, form: type[_Form], what: str, timeout: float = TIMEOUT_SECONDS
) -> _Form:
    """The answer; ``what`` should be there, for the sentence. Raises SendError."""
    try:
        found = endpoint.get(path, timeout=timeout, max_bytes=_MAX_ANSWER_BYTES)
    except SendError as error:
        if error.status != HTTPStatus.UNAUTHORIZED:
            raise
        raise SendError(f"{error}. {_GIVE_TOKEN}", retryable=False, status=error.status) from None
    try:
        return msgspec.json.decode(found.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SendError(
            f"{endpoint.name} answered something else than {what}; is the address right?", retryable=False
        ) from None
