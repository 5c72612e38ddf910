"""The HTTP server every daemon shares: listens, bounds slow clients, stops well."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jobmeter.model.errors import JobmeterError, UsageError

REQUEST_SECONDS = 30.0
MAX_CONNECTIONS = 4096
IDLE_SECONDS = 75.0
_GRACE_SECONDS = 8
_BACKLOG = 2048
_MAX_HEAD_BYTES = 64 * 1024


class _Protocol(HttpToolsProtocol):
    """A connection on which a request must arrive in time, with a head and trailers of bounded size."""

    request_seconds = REQUEST_SECONDS
    idle_seconds = IDLE_SECONDS
    max_connections = MAX_CONNECTIONS
    _watch: asyncio.TimerHandle | None = None
    _since: float | None = None
    _idle_since: float | None = None
    _got_on = False
    _bytes_in_vain = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    # The parser keeps all that is neither body nor the end of a request: head, trailers.
    def data_received(self, data: bytes) -> None:
        self._got_on = False
        super().data_received(data)
        self._bytes_in_vain = 0 if self._got_on else self._bytes_in_vain + len(data)
        if self._bytes_in_vain > _MAX_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._since = self.loop.time()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._got_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since, self._idle_since, self._got_on = None, None, True
        super().on_message_complete()

    # The library's, but for the timer that it would set at each answer.
    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()

    # One timer a connection that looks now and then costs a request nothing.
    def _look_later(self) -> None:
        self._watch = self.loop.call_later(min(self.request_seconds, self.idle_seconds) / 4, self._look)

    def _look(self) -> None:
        if self._is_over(self._since, self.request_seconds) or self._is_over(
            self._idle_since, self.idle_seconds
        ):
            self.transport.close()
        else:
            self._look_later()

    def _is_over(self, since: float | None, seconds: float) -> bool:
        return since is not None and self.loop.time() - since > seconds


class _Server(uvicorn.Server):
    """The server without its own idea of signals: after its end the daemon has work to finish."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(address: str, flag: str = "--listen") -> socket.socket:
    """A socket that listens on `HOST:PORT`; without a host on all addresses, IPv6 in brackets.

    Raises UsageError for what is no address, JobmeterError when it cannot be listened on.
    """
    host, colon, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port_text.isdecimal() or int(port_text) > 65535:
        raise UsageError(f"{flag}: {address!r} is not accepted; an address is HOST:PORT or :PORT")
    try:
        return _bound(host, int(port_text))
    except OSError as error:
        reason = error.strerror or str(error)
        raise JobmeterError(f"{flag}: {address} cannot be listened on: {reason}") from None


def _bound(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # A kernel without IPv6.
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
    family, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def listens_beyond_loopback(listening: socket.socket) -> bool:
    """True when others than this machine can reach the socket."""
    host = str(listening.getsockname()[0]).removeprefix("::ffff:")
    return not (host.startswith("127.") or host == "::1")


def serve(
    application: ASGIApp,
    listening: socket.socket,
    life: Callable[[], AbstractAsyncContextManager[None]],
    started: Callable[[], None],
    *,
    request_seconds: float = REQUEST_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
    max_connections: int = MAX_CONNECTIONS,
) -> None:
    """Answer requests within ``life`` until SIGTERM or SIGINT; requests under way are finished first.

    A request that has not arrived whole after ``request_seconds`` is cut off, a connection on which nothing was
    asked for ``idle_seconds`` since the last answer, and one beyond ``max_connections`` at once.
    """
    bounds = {
        "request_seconds": request_seconds,
        "idle_seconds": idle_seconds,
        "max_connections": max_connections,
    }
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=type("_Protocol", (_Protocol,), bounds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, listening, life, started))


async def _serve(
    server: uvicorn.Server,
    listening: socket.socket,
    life: Callable[[], AbstractAsyncContextManager[None]],
    started: Callable[[], None],
) -> None:
    async with _stopped_by_signals(server), life():
        started()
        await server.serve(sockets=[listening])


@asynccontextmanager
async def _stopped_by_signals(server: uvicorn.Server) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def stop(*_: Any) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    yield
