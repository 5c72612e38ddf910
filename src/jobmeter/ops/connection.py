"""One HTTP connection: bounds for who sends or reads too slowly, too much before it reads, or nothing at all."""

import asyncio
import socket
import struct
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_MAX_HEAD_BYTES = 64 * 1024
_MAX_HEADERS = 128
_MAX_PIPELINED = 32
PROGRESS_BYTES = 16 * 1024
_TCP_INFO_BYTES_ACKED = 120
"""Where tcpi_bytes_acked is in struct tcp_info (linux/tcp.h)."""


class Bounds(NamedTuple):
    """What a connection is given.

    A request must arrive whole within ``request_seconds`` of when it is waited for, and of an answer PROGRESS_BYTES
    must be taken within them; on a connection something must be asked within ``idle_seconds`` of the last answer.
    With ``body_seconds`` it is the head of a request that must be whole within ``request_seconds``, and of its body
    PROGRESS_BYTES must come within them; all of it within ``body_seconds``.
    """

    request_seconds: float = 30.0
    idle_seconds: float = 75.0
    connections: int = 4096
    body_seconds: float | None = None


DEFAULT_BOUNDS = Bounds()


class Connection(HttpToolsProtocol):
    """The library's, with bounds. One timer looks now and then and costs a request nothing."""

    bounds = DEFAULT_BOUNDS
    _watch: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None
    _in_head = False
    _receiving = False
    _receiving_since: float | None = None
    _body_since: float | None = None
    _body_bytes = 0
    _counted_bytes = 0
    _idle_since: float | None = None
    _unread_since: float | None = None
    _taken_bytes = 0
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
        self._end_answers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser keeps all that is neither body nor the end of a request: head, trailers."""
        self._got_body = False
        super().data_received(data)
        self._bytes_without_body = 0 if self._got_body else self._bytes_without_body + len(data)
        if self._bytes_without_body > _MAX_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins; while one before it is answered, nothing is read, and it is not waited for."""
        self._in_head = self._receiving = True
        self._receiving_since = self.loop.time() if self._answering is None else None
        self._idle_since = None
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; what comes behind a body is nobody's. Raises ValueError for too many."""
        if not self._in_head:
            return
        if len(self.headers) >= _MAX_HEADERS:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer, or refuse what cannot be told apart or is too many. Raises ValueError."""
        self._in_head = False
        self._body_bytes = self._counted_bytes = 0
        # The parser would take the body of a request that asks for another protocol for the next request.
        if self.parser.should_upgrade() and any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        ):
            raise ValueError("a body with an upgrade")
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            raise ValueError("too many requests before the first is answered")

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._got_body = True
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._receiving, self._receiving_since, self._got_body = False, None, True
        self._body_since = None
        if self._answering is None:
            self._idle_since = self.loop.time()  # It was answered before it was whole.
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; an answer that has begun, or is for another request, cannot be followed by that."""
        cycle = self._answering
        is_of_its_body = self._receiving and not self._in_head and cycle is self.cycle
        self._end_answers()
        if cycle is None or (is_of_its_body and not cycle.response_started):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Answer the next request, if it has come; the library would set a timer, and read on too early."""
        self.server_state.total_requests += 1
        self._answering = None
        if self.transport.is_closing():
            return
        if self._receiving:
            self._receiving_since = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if not self._receiving:
            self._idle_since = self.loop.time()

    def resume_writing(self) -> None:
        """The client has read most of what there was."""
        self._unread_since = None
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Clients may ask for what they like; the library would tell the operator to install something."""

    def _end_answers(self) -> None:
        """Nobody is there for them any more; the library thinks of the last request alone."""
        waiting = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        for cycle in (*waiting, self._answering):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()

    def _look_later(self) -> None:
        seconds = min(self.bounds.request_seconds, self.bounds.idle_seconds) / 4
        self._watch = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._look_at_what_is_unread()
        self._look_at_what_comes()
        if self._is_over(self._unread_since, self.bounds.request_seconds):
            self.transport.abort()
            return
        if self._is_over(self._receiving_since, self.bounds.request_seconds) or (
            self._unread_since is None and self._is_over(self._idle_since, self.bounds.idle_seconds)
        ):
            self.transport.close()
        self._look_later()  # What is closed may still wait for its answer to be read.

    def _look_at_what_is_unread(self) -> None:
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
            return
        taken = self._bytes_acknowledged()
        if self._unread_since is None or taken - self._taken_bytes >= PROGRESS_BYTES:
            self._unread_since, self._taken_bytes = self.loop.time(), taken

    def _look_at_what_comes(self) -> None:
        """A body may take its time while it makes progress, or while it is we who do not read it."""
        longest = self.bounds.body_seconds
        if longest is None or self._in_head or self._receiving_since is None:
            return
        self._body_since = self._body_since or self._receiving_since
        if self._is_over(self._body_since, longest):
            return
        if self.flow.read_paused or self._body_bytes - self._counted_bytes >= PROGRESS_BYTES:
            self._receiving_since, self._counted_bytes = self.loop.time(), self._body_bytes

    def _bytes_acknowledged(self) -> int:
        """So many the client's kernel has taken; our own buffer moves only when a third of our kernel's is free."""
        info = self.transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES_ACKED + 8
        )
        (taken,) = struct.unpack_from("Q", info, _TCP_INFO_BYTES_ACKED)
        return int(taken)

    def _is_over(self, since: float | None, seconds: float) -> bool:
        return since is not None and self.loop.time() - since > seconds
