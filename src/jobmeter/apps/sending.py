"""What of a run goes to a receiver: its stream while it is made, its summary at the end, and what is said of it."""

import time
from collections.abc import Callable
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
        """Wait until all has arrived, at most to ``deadline`` on the monotonic clock; one sentence for what has not.

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
        sentences = [] if arrived else [self._not_streamed()]
        if push is not None and not pushed:
            sentences.append(self._not_pushed(push))
        return sentences

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
        url = shown(self._settings.receiver or "")
        return (
            f"{missing} of {self._taken} records of the run{since} were not sent: "
            f"{_reason(self._delivery, url)}; {self._kept('--receiver', url)}"
        )

    def _not_pushed(self, push: Delivery) -> str:
        url = shown(self._settings.push_endpoint or "")
        return f"the summary was not pushed: {_reason(push, url)}; {self._kept('--push-endpoint', url)}"

    def _kept(self, flag: str, url: str) -> str:
        if not self._journal.complete:
            return "no journal has them all"
        return f"the journal has it: jobmeter report {self._journal.path} {flag} {url}"


def _reason(delivery: Delivery, url: str) -> str:
    return str(delivery.problem) if delivery.problem is not None else f"{url} took too long"
