"""Sends the records of one run to a receiver, part by part, and believes what it says it has."""

import time
import zlib

import msgspec
from msgspec import Struct

from jobmeter.model.errors import SendError
from jobmeter.spool.feed import MAX_PART_BYTES, Feed, Part
from jobmeter.transport import Endpoint

_GZIP = 16 + zlib.MAX_WBITS
# Another meter of the same run, or a receiver that lost what it had, is understood at the first or second answer.
_CONFLICTS = 3
# A run may have nothing to say for an hour; its receiver shall not take it for lost.
_SIGN_OF_LIFE_SECONDS = 30.0
_HEADERS = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}


class _State(Struct):
    """What the receiver has of the run: all records below ``next_sequence``."""

    next_sequence: int


class Stream:
    """The stream of one run: ``POST /api/v1/runs/{run_uid}/parts``.

    A new run begins at 0; with ``resumed`` the receiver is asked how much it has.
    """

    def __init__(self, endpoint: Endpoint, run_uid: str, feed: Feed, *, resumed: bool = False) -> None:
        self._endpoint = endpoint
        self._feed = feed
        self._path = f"/api/v1/runs/{run_uid}/parts"
        self._next = -1 if resumed else 0  # Below 0: not known.
        self._conflicts = 0
        self._answered = 0.0
        self._max_bytes = MAX_PART_BYTES
        self.sent_records = 0
        # True once the receiver has the end of the run.
        self.finished = False

    @property
    def next_sequence(self) -> int:
        """The receiver is known to have all records below."""
        return max(0, self._next)

    def step(self, timeout: float) -> bool:
        """Send one part; False when nothing is left to send for now, but for a sign of life now and then.

        Raises SendError.

        ``timeout`` in seconds holds for each step of the exchange.
        """
        if self._next < 0:
            self._next = self._post(None, timeout).next_sequence
        part = self._feed.part(self._next, self._max_bytes)
        if part is None:
            if time.monotonic() - self._answered >= _SIGN_OF_LIFE_SECONDS:
                self._next = self._post(None, timeout).next_sequence
            return False
        try:
            state = self._post(part, timeout)
        except SendError as error:
            if error.status == 413 and part.next_sequence - part.first > 1:
                self._max_bytes = len(part.data) // 2
                return True
            raise
        self.sent_records += max(0, min(state.next_sequence, part.next_sequence) - part.first)
        self._next = state.next_sequence
        self.finished = part.ends and self._next >= part.next_sequence
        return not self.finished

    def _post(self, part: Part | None, timeout: float) -> _State:
        """Send a part, or nothing to ask for the state; a receiver that wants other records says which."""
        headers, body, query = _HEADERS, b"", ""
        if part is not None:
            headers = _HEADERS | {"Content-Encoding": "gzip"}
            body = zlib.compress(part.data, wbits=_GZIP)
            query = "?gap=true" if part.first > self._next else ""
        answer = self._endpoint.post(self._path + query, body, headers, timeout=timeout, expected=(409,))
        try:
            state = msgspec.json.decode(answer.body, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._odd(answer.status) from None
        self._conflicts = self._conflicts + 1 if answer.status == 409 else 0
        if part is None:
            fine = state.next_sequence >= 0
        elif answer.status == 409:
            fine = 0 <= state.next_sequence != self._next and self._conflicts <= _CONFLICTS
        else:
            fine = state.next_sequence > part.first
        if not fine:
            raise self._odd(answer.status)
        self._answered = time.monotonic()
        return state

    def _odd(self, status: int) -> SendError:
        return SendError(
            f"{self._endpoint.name} answered {status} with something that is no state of a run",
            retryable=True,
            status=status,
        )
