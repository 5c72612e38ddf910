"""Asks a receiver for JSON of a known form."""

from typing import TypeVar

import msgspec

from jobmeter.model.errors import SendError
from jobmeter.transport import TIMEOUT_SECONDS, Endpoint

_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_Form = TypeVar("_Form")


def ask(
    endpoint: Endpoint, path: str, form: type[_Form], what: str, timeout: float = TIMEOUT_SECONDS
) -> _Form:
    """The answer; ``what`` should be there, for the sentence. Raises SendError."""
    found = endpoint.get(path, timeout=timeout, max_bytes=_MAX_ANSWER_BYTES)
    try:
        return msgspec.json.decode(found.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SendError(
            f"{endpoint.name} answered something else than {what}; is the address right?", retryable=False
        ) from None
