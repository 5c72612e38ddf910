"""Serves the statistics of this machine's containers to whoever subscribes: ephemerd's stream, by gRPC.

gRPC's own threads do it, not the event loop: each stream has one of a few workers, which is held while a message is on
its way, so that one who does not read gets the newest batch once it does, and nothing piles up.
"""

import hmac
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from jobmeter.exporter.container import Row
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.reading import MAX_INTERVAL_SECONDS
from jobmeter.exporter.vm.writing import Writer
from jobmeter.metering.timetable import Timetable
from jobmeter.model.errors import JobmeterError
from jobmeter.ops.log import Log, Sparing

MAX_STREAMS = 8
MAX_CONNECTIONS = 64
STALLED_SECONDS = 60.0
"""Who has not read for so long makes room for another."""
_SPARE_WORKERS = 4
_MAX_REQUEST_BYTES = 4096
_FRESH_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", schema.MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS + _SPARE_WORKERS),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    # Nobody compresses here, and what was compressed could be large.
    ("grpc.per_message_decompression", 0),
    # Who has gone without a word is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_connection_idle_ms", 60_000),
)


class _Stream:
    """One that subscribes since ``now``.

    ``waits_since`` is when the message was given that is on its way, None between two; before them, when it began.
    """

    def __init__(self, context: Any, now: float) -> None:
        self.context = context
        self.ended = threading.Event()
        self.waits_since: float | None = now


class StatsServer:
    """Streams what ``rows`` gives while it is open.

    ``fresh`` waits until rows are not older than so many seconds, and says whether they are. Without a ``token``
    anyone may subscribe. ``interval_seconds`` is for who does not say.
    """

    def __init__(
        self,
        rows: Callable[[], Sequence[Row]],
        fresh: Callable[[float], bool],
        log: Log,
        *,
        token: str | None = None,
        interval_seconds: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        """Subscriptions without a token that is good, or beyond MAX_STREAMS."""
        self._rows = rows
        self._fresh = fresh
        self._log = Sparing(log)
        self._token = token.encode() if token is not None else None
        self._default = interval_seconds
        self._monotonic = monotonic
        self._writer = Writer()
        self._lock = threading.Lock()
        self._streams: list[_Stream] = []
        self._workers = ThreadPoolExecutor(MAX_STREAMS + _SPARE_WORKERS, "stats")
        self._server = grpc.server(
            self._workers, options=_OPTIONS, maximum_concurrent_rpcs=MAX_STREAMS + _SPARE_WORKERS
        )
        # For one request; told so, gRPC would hold a worker for whoever sends none, before we see a token.
        handler = grpc.stream_stream_rpc_method_handler(self._stream, None, None)
        service = {schema.METHOD.rpartition("/")[2]: handler}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(schema.SERVICE, service),)
        )

    @property
    def streams(self) -> int:
        """How many subscribe now."""
        return len(self._streams)

    def open(self, address: str, credentials: Any = None) -> int:
        """Listen there; the port. Raises JobmeterError."""
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise JobmeterError(f"--serve-stats: {address} cannot be listened on")
        self._server.start()
        return int(port)

    def close(self) -> None:
        """End all streams."""
        for stream in list(self._streams):
            stream.ended.set()
        self._server.stop(_CLOSE_SECONDS).wait(_CLOSE_SECONDS + 1.0)
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        self._admit(context)
        stream = self._enter(context)
        seconds = self._interval(requests, context)
        stream.waits_since = None
        timetable, begun = Timetable(seconds), self._monotonic()
        while not stream.ended.is_set():
            # What cannot be read is not told: a batch without containers would mean that there are none.
            if self._fresh(min(_FRESH_SECONDS, seconds / 2)):
                batch = self._writer.batch(self._rows(), seconds)
                stream.waits_since = self._monotonic()
                yield batch
                stream.waits_since = None
            timetable.take(self._monotonic() - begun)
            stream.ended.wait(max(0.0, timetable.next_due - (self._monotonic() - begun)))

    def _admit(self, context: Any) -> None:
        """Ends the call of one whose token is not good. Neither token is ever logged."""
        if self._token is None:
            return
        given = dict(context.invocation_metadata()).get(schema.TOKEN_KEY)
        if given is None:
            self._refuse(context, grpc.StatusCode.UNAUTHENTICATED, f"there is no {schema.TOKEN_KEY}")
        sent = given.encode() if isinstance(given, str) else bytes(given or b"")
        if not hmac.compare_digest(sent, self._token):
            self._refuse(
                context, grpc.StatusCode.UNAUTHENTICATED, f"the {schema.TOKEN_KEY} is not the right one"
            )

    def _interval(self, requests: Iterator[bytes], context: Any) -> int:
        """In seconds; ends the call of one who asks for something else."""
        asked: int | None = None
        for request in requests:
            with suppress(DecodeError):
                asked = schema.Request.FromString(request).interval_seconds
            break
        if asked is None:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "this is no ephemerd.v1.StreamContainerStatsRequest"
            )
        return max(1, min(asked or round(self._default), MAX_INTERVAL_SECONDS))

    def _enter(self, context: Any) -> _Stream:
        now = self._monotonic()
        stream = _Stream(context, now)
        with self._lock:
            for one in self._streams[:]:
                if one.waits_since is not None and now - one.waits_since > STALLED_SECONDS:
                    self._streams.remove(one)
                    one.context.cancel()
            full = len(self._streams) >= MAX_STREAMS
            if not full:
                self._streams.append(stream)
        if full:
            self._refuse(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MAX_STREAMS} subscribe already, and more may not",
            )
        if not context.add_callback(lambda: self._leave(stream)):
            self._leave(stream)
        return stream

    def _leave(self, stream: _Stream) -> None:
        stream.ended.set()
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)

    def _refuse(self, context: Any, code: Any, why: str) -> None:
        self.refused += 1
        self._log.warn("a subscription to the statistics was refused", reason=why)
        context.abort(code, why)
