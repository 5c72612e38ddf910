"""One HTTP connection: bounds for who sends or reads too slowly, too much before it reads, or nothing at all."""

import asyncio
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEAD_BYTES = 64 * 1024
_MAX_PIPELINED = 32
_PROGRESS_BYTES = 16 * 1024


class Bounds(NamedTuple):
    """What a connection is given.

    A request must arrive whole within ``request_seconds``, and of an answer something must be taken within them; on a
    connection something must be asked within ``idle_seconds`` of the last answer.
    """

    request_seconds: float = 30.0
    idle_seconds: float = 75.0
    connections: int = 4096


DEFAULT_BOUNDS = Bounds()


class Connection(HttpToolsProtocol):
    """The library's, with bounds. One timer looks now and then and costs a request nothing."""

    bounds = DEFAULT_BOUNDS
    _watch: asyncio.TimerHandle | None = None
    _receiving_since: float | None = None
    _idle_since: float | None = None
    _unread_since: float | None = None
    _unread_bytes = 0
    _bytes_without_body = 0
    _got_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.abort()
            return
        self._receiving_since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser keeps all that is neither body nor the end of a request: head, trailers."""
        self._got_body = False
        super().data_received(data)
        self._bytes_without_body = 0 if self._got_body else self._bytes_without_body + len(data)
        if self._bytes_without_body > _MAX_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._receiving_since, self._idle_since = self.loop.time(), None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer, or refuse what cannot be told apart or is too many. Raises ValueError."""
        # The parser would take the body of a request that asks for another protocol for the next request.
        if self.parser.should_upgrade() and any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        ):
            raise ValueError("a body with an upgrade")
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            self.transport.abort()
            raise ValueError("too many requests before the first is answered")

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._got_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._receiving_since, self._got_body = None, True
        if self.cycle.response_complete:
            self._idle_since = self.loop.time()  # It was answered before it was whole.
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answer the next request, if it has come; the library would set a timer, and read on too early."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if self._receiving_since is None:
            self._idle_since = self.loop.time()

    def resume_writing(self) -> None:
        """The client has read most of what there was."""
        self._unread_since = None
        super().resume_writing()

    def _look_later(self) -> None:
        seconds = min(self.bounds.request_seconds, self.bounds.idle_seconds) / 4
        self._watch = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._look_at_what_is_unread()
        if self._is_over(self._unread_since, self.bounds.request_seconds):
            self.transport.abort()
            return
        if self._is_over(self._receiving_since, self.bounds.request_seconds) or (
            self._unread_since is None and self._is_over(self._idle_since, self.bounds.idle_seconds)
        ):
            self.transport.close()
        self._look_later()  # What is closed may still wait for its answer to be read.

    def _look_at_what_is_unread(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self._unread_since = None
        elif self._unread_since is None or unread <= self._unread_bytes - _PROGRESS_BYTES:
            self._unread_since = self.loop.time()
        self._unread_bytes = unread

    def _is_over(self, since: float | None, seconds: float) -> bool:
        return since is not None and self.loop.time() - since > seconds
