"""Follows what one machine tells of its containers: a thread that reads, and connects anew when the stream breaks."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from jobmeter.exporter.elsewhere import Elsewhere
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.credentials import Keys, channel_credentials
from jobmeter.exporter.vm.reading import Reader, Told, Unreadable
from jobmeter.exporter.vm.target import Target
from jobmeter.identity.variables import printable
from jobmeter.model.errors import UsageError
from jobmeter.ops.log import FullLog

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
_JITTER = 0.2
_OPEN_SECONDS = 10.0
_SILENT_INTERVALS = 3
_SILENT_SECONDS = 5.0
_GAP_SECONDS = 0.2
"""Between two batches that are read: a machine that sends without a pause is read at its expense."""
_REST = 4.0
"""After a batch, so many times as long as it took to read it."""
_LONGEST_REST_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_CLOSE_SECONDS = 2.0
_MAX_REASON_CHARACTERS = 400
_OPTIONS = (
    # Its own connection: one that others share goes on with their pauses after a failure.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", schema.MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", int(_OPEN_SECONDS * 1000)),
    # A few bytes could become more than there is room for.
    ("grpc.per_message_decompression", 0),
)
_REASONS = {
    grpc.StatusCode.UNAUTHENTICATED: "it does not take our token",
    grpc.StatusCode.UNIMPLEMENTED: "it tells no statistics of containers",
}
_HINTS = {
    "WRONG_VERSION_NUMBER": "perhaps it speaks no TLS: then leave ;ca= out",
    "Socket closed": "perhaps it speaks TLS: then say ;ca=",
    "CERTIFICATE_VERIFY_FAILED": "look at ;ca= and ;server_name=",
}
"""By parts of what gRPC says when nothing can be opened."""


class BackOff:
    """Pauses between two attempts: twice as long each time, until one has delivered something."""

    def __init__(self, random_number: Callable[[], float] = random.random) -> None:
        self._random = random_number
        self._next = FIRST_PAUSE_SECONDS

    def delivered(self) -> None:
        """Begin with the shortest again."""
        self._next = FIRST_PAUSE_SECONDS

    def pause(self) -> float:
        """Seconds to wait now. No two machines that lost the same host ask at the same moment."""
        seconds, self._next = self._next, min(2 * self._next, LONGEST_PAUSE_SECONDS)
        return seconds * (1 + _JITTER * (2 * self._random() - 1))


class Subscription:
    """Tells ``shown`` what the machine tells, from ``start`` to ``close``.

    ``keys`` reads them anew for each connection; it raises UsageError where it cannot.
    """

    def __init__(
        self,
        target: Target,
        shown: Elsewhere,
        keys: Callable[[], Keys],
        log: FullLog,
        *,
        interval_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.machine = target.name
        self.shown = shown
        self.up = False
        """Whether the stream that is open now has delivered something."""
        self.batches = 0
        self.reconnects = 0
        """Attempts after the first."""
        self.refused = 0
        """Entries of batches that could not be shown, and batches that were none."""
        self.told_at: float | None = None
        """When the last batch came, by ``time.monotonic``."""
        self._target = target
        self._keys = keys
        self._has_token = False
        self._log = log
        self._interval = interval_seconds
        self._reader = Reader(target.name, target.runtime, clock=clock)
        self._back_off = BackOff()
        self._stopping = threading.Event()
        self._call: Any = None
        self._due: float | None = None
        self._silent = False
        self._lost_at: float | None = None
        self._said: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"vm {target.name}"[:15], daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> None:
        """End the stream; does not wait."""
        self._stopping.set()
        self._cancel()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def look(self) -> None:
        """End a stream on which nothing has come for too long: a link that is cut says nothing."""
        due = self._due
        if due is not None and time.monotonic() > due:
            self._silent = True
            self._cancel()

    def _cancel(self) -> None:
        call = self._call
        if call is not None:
            call.cancel()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                reason = self._follow()
            except Exception as error:  # A fault of ours must not end the following for good.
                reason = f"{type(error).__name__}: {error}"
            self.up, self._due = False, None
            if self._stopping.is_set():
                return
            pause = self._back_off.pause()
            self._say_lost(reason)
            self._stopping.wait(pause)
            self.reconnects += 1

    def _follow(self) -> str:
        """Read one stream to its end; why it ended."""
        self._silent = False
        try:
            keys = self._keys()
            self._has_token = keys.token is not None
            channel = _channel(self._target, keys)
        except UsageError as error:
            return str(error)
        try:
            self._listen(self._interval, more=_OPEN_SECONDS)
            subscribe = channel.unary_stream(
                schema.METHOD, schema.Request.SerializeToString, None, _registered_method=False
            )
            request = schema.Request(interval_seconds=self._interval)
            metadata = ((schema.TOKEN_KEY, keys.token),) if keys.token is not None else None
            self._call = subscribe(request, metadata=metadata)
            if self._stopping.is_set():
                return ""
            for told in self._call:
                self._take(told)
            return "it ended the stream"
        except grpc.RpcError as error:
            self.refused += _is_too_large(error)
            return self._reason(error)
        except Unreadable:
            self.refused += 1
            return "what it sends is no ephemerd.v1.ContainerStatsBatch"
        finally:
            self._call = None
            channel.close()

    def _take(self, told: bytes) -> None:
        begun = time.thread_time()
        batch = self._reader.read(told)
        self.shown.tell(batch.rows, batch.still)
        self._note(batch)
        rest = max(_GAP_SECONDS, _REST * (time.thread_time() - begun))
        self._due = None
        self._stopping.wait(min(rest, _LONGEST_REST_SECONDS))
        self._listen(batch.interval_seconds or self._interval)

    def _note(self, batch: Told) -> None:
        self.batches += 1
        self.refused += batch.refused
        self.told_at = time.monotonic()
        if not self.up:
            self.up = True
            self._back_off.delivered()
            self._say_here()

    def _listen(self, interval_seconds: float, more: float = 0.0) -> None:
        self._due = time.monotonic() + _SILENT_INTERVALS * interval_seconds + _SILENT_SECONDS + more

    def _reason(self, error: Any) -> str:
        if self._silent:
            return "nothing came for too long"
        code = error.code()
        said = printable((error.details() or "")[:_MAX_REASON_CHARACTERS])
        if _is_too_large(error):
            return f"what it sends at once is larger than {schema.MAX_MESSAGE_BYTES // 2**20} MiB"
        if code is grpc.StatusCode.UNAVAILABLE:
            return _unreached(said)
        if code is grpc.StatusCode.UNAUTHENTICATED and not self._has_token:
            return "it asks for a token, and none is given for it: say ;token_file= or --stats-token-file"
        known = _REASONS.get(code)
        return f"{known} ({said})" if known else f"{code.name.lower().replace('_', ' ')}: {said}"

    def _say_lost(self, reason: str) -> None:
        """Once for each reason until it is back."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        if reason != self._said:
            self._said = reason
            self._log.warn("a machine tells nothing of its containers", machine=self.machine, reason=reason)

    def _say_here(self) -> None:
        self._said = None
        if self._lost_at is None or self.batches == 1:
            self._log.info("a machine tells of its containers", machine=self.machine)
        else:
            away = f"{time.monotonic() - self._lost_at:.0f} s"
            self._log.info("a machine tells of its containers again", machine=self.machine, away=away)
        self._lost_at = None


class Subscriptions:
    """All machines that are subscribed to, and the thread that notices which of them are silent."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self.each = subscriptions
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="vm silence", daemon=True)

    def start(self) -> None:
        """Begin with all."""
        for one in self.each:
            one.start()
        self._thread.start()

    def close(self) -> None:
        """End all streams."""
        self._stopping.set()
        for one in self.each:
            one.close()
        until = time.monotonic() + _CLOSE_SECONDS
        for one in self.each:
            one.join(max(0.0, until - time.monotonic()))

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for one in self.each:
                one.look()


def _is_too_large(error: Any) -> bool:
    """Whether our side of gRPC has refused a message for its size: it tells only by its words."""
    refused: bool = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return refused and "Received message larger than max" in (error.details() or "")


def _channel(target: Target, keys: Keys) -> Any:
    """A connection of its own. The address is a name or a number, never one of gRPC's other schemes."""
    place = f"dns:///{target.address}"
    credentials = channel_credentials(keys)
    if credentials is None:
        return grpc.insecure_channel(place, options=_OPTIONS)
    options: tuple[tuple[str, Any], ...] = _OPTIONS
    if target.server_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", target.server_name))
    return grpc.secure_channel(place, credentials, options=options)


def _unreached(said: str) -> str:
    """Why nothing could be opened, with what to look at."""
    for part, hint in _HINTS.items():
        if part in said:
            return f"it cannot be reached ({part}; {hint})"
    return f"it cannot be reached ({said.rpartition(': ')[2]})"
