"""What of a run goes to a receiver: its stream while it is made, its summary at the end, and what is said of it."""

import time
from collections.abc import Callable
from textwrap import wrap
from typing import Protocol

from jobmeter.model import wire
from jobmeter.model.errors import SendError
from jobmeter.model.summary import Summary
from jobmeter.spool.delivery import PART_BYTES, Delivery
from jobmeter.spool.feed import Feed
from jobmeter.spool.journal import Journal
from jobmeter.spool.push import Push
from jobmeter.spool.stream import Stream
from jobmeter.transport import Endpoint, shown

_NOT_FOR_THIS = 403
_TOKEN_REFUSED = (401, _NOT_FOR_THIS)
_NOT_THERE = (404, 405)
_PUSH_PATH = "/api/v1/metrics"
# With its indentation a line fits the smallest usual terminal.
_WIDTH = 78

Say = Callable[[SendError | None], None]


class Settings(Protocol):
    """The options of sending, which several commands have; ``grace`` in seconds."""

    @property
    def receiver(self) -> str | None:
        """Base URL of the receiver that the records go to."""

    @property
    def push_endpoint(self) -> str | None:
        """URL that the summary goes to."""

    @property
    def push_token(self) -> str | None:
        """The token for both."""

    @property
    def grace(self) -> float:
        """How long the end may take."""


class Sending:
    """Sends one run. ``take`` is a sink of its recorder, to be added after the journal's."""

    def __init__(
        self, settings: Settings, run_uid: str, journal: Journal, *, patient: bool, first_offset: int = 0,
        resumed: bool = False, say: Say | None = None,
    ) -> None:  # fmt: skip
        """``journal`` holds nothing of the run before ``first_offset``; ``say`` is called from another thread.

        At the end a ``patient`` one tries also a service that never answered until the deadline: nobody waits for it.
        """
        self._settings = settings
        self._run_uid = run_uid
        self._patient = patient
        self._journal = journal
        self._say = say
        self._resumed = resumed
        self._taken = self._next_sequence = 0
        self._stream: Stream | None = None
        self._delivery: Delivery | None = None
        if settings.receiver is not None:
            self._feed = Feed(run_uid, journal, first_offset)
            endpoint = Endpoint(settings.receiver, settings.push_token)
            self._stream = Stream(endpoint, run_uid, self._feed, resumed=resumed)
            self._delivery = Delivery(self._stream, say, patient=patient)

    def start(self) -> None:
        """Begin to send; the command must have been started, since a process forks best with one thread."""
        if self._delivery is not None:
            self._delivery.start()

    def take(self, record: wire.AnyRecord) -> None:
        """One more record, which the journal has had its chance to take."""
        self._taken += 1
        self._next_sequence = record.sequence + 1
        if self._delivery is None:
            return
        self._feed.put(record)
        if isinstance(record, wire.Start | wire.End) or self._feed.waiting_bytes >= PART_BYTES:
            self._delivery.nudge()

    def finish(self, summary: Summary, deadline: float) -> list[str]:
        """Wait until all has arrived, at most to ``deadline`` on the monotonic clock; what to say of what has not.

        The summary goes when the stream has arrived, so that it meets a finished run, or after half of the time.
        """
        if self._delivery is not None:
            self._delivery.end(deadline)
        push = self._push(summary)
        if push is not None:
            if self._delivery is not None:
                self._delivery.wait((time.monotonic() + deadline) / 2)
            push.end(deadline)
            push.start()
        arrived = self._delivery is None or self._delivery.wait(deadline)
        pushed = push is None or push.wait(deadline)
        said = [] if arrived else [self._not_streamed()]
        if push is not None and not pushed:
            said.append(self._not_pushed(push))
        return said

    @property
    def page(self) -> str | None:
        """Where the receiver shows the run, once it has all of it."""
        if self._stream is None or not self._stream.finished:
            return None
        return f"{shown(self._settings.receiver or '').rstrip('/')}/runs/{self._run_uid}"

    def _push(self, summary: Summary) -> Delivery | None:
        if self._settings.push_endpoint is None:
            return None
        endpoint = Endpoint(self._settings.push_endpoint, self._settings.push_token)
        return Delivery(Push(endpoint, summary), self._say, patient=self._patient)

    def _not_streamed(self) -> str:
        assert self._stream is not None
        assert self._delivery is not None
        missing = min(self._taken, self._next_sequence - self._stream.next_sequence)
        since = " since the restart" if self._resumed else ""
        what = f"{missing} of {self._taken} records of the run{since} were not sent"
        return self._failure(what, self._delivery, "--receiver", self._settings.receiver or "")

    def _not_pushed(self, push: Delivery) -> str:
        return self._failure(
            "the summary was not pushed", push, "--push-endpoint", self._settings.push_endpoint or ""
        )

    def _failure(self, what: str, delivery: Delivery, flag: str, url: str) -> str:
        """What was not sent, why, what to do: a line for each."""
        problem = delivery.problem or SendError(f"{shown(url)} took too long", retryable=True)
        sentences = (f"{what}.", f"{problem}.", advice(problem, self._settings.push_token))
        lines = [line for one in sentences for line in wrap(one, _WIDTH, break_on_hyphens=False)]
        if not self._journal.complete:
            return "\n".join([*lines, "No journal has all of it."])
        token = " --push-token-file FILE" if problem.status in _TOKEN_REFUSED else ""
        address = problem.meant or _other_address(problem.status, flag, shown(url))
        command = f"jobmeter report {self._journal.path} {flag} {address or 'URL'}{token}"
        how = "this sends it" if address else "this sends it, with the right URL"
        return "\n".join([*lines, f"The journal has it; {how}:", command])


def _other_address(status: int | None, flag: str, url: str) -> str | None:
    """Where to send to next time: the same unless the answer was that it is wrong; None where nobody knows."""
    if status is not None and 300 <= status < 400:
        return None
    if status not in _NOT_THERE:
        return url
    # The addresses of the receiver and of a push, one taken for the other.
    base = url.rstrip("/")
    if flag == "--receiver":
        return base.removesuffix(_PUSH_PATH) if base.endswith(_PUSH_PATH) else None
    return base + _PUSH_PATH if base.count("/") == 2 else None


def advice(problem: SendError, token: str | None) -> str:
    """What can be done about it, a sentence; nothing where that is plain or nobody knows.

    A ``token`` that was given and is refused with 403 is known there, but not good for this run.
    """
    if problem.status == _NOT_FOR_THIS and token is not None:
        return ""
    if problem.status in _TOKEN_REFUSED:
        return "Give its push token with --push-token-file FILE or $JOBMETER_PUSH_TOKEN."
    if problem.status in _NOT_THERE:
        return "Is the address right? --push-endpoint URL/api/v1/metrics, --receiver URL."
    return ""
