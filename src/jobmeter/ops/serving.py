"""The HTTP server every daemon shares: listens, bounds slow clients, stops well."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, cast

import uvicorn
import uvloop
from starlette.types import ASGIApp

from jobmeter.model.errors import JobmeterError
from jobmeter.ops.addresses import Address, AddressError, address_of
from jobmeter.ops.connection import DEFAULT_BOUNDS, Bounds, Connection
from jobmeter.ops.log import Log, Sparing
from jobmeter.ops.tls import Certificate, Door

_GRACE_SECONDS = 8
_BACKLOG = 2048
_FIRST_FREE_PORT = 1024
_HANDSHAKE_SECONDS = 10.0
_FAREWELL_SECONDS = 1.0
_START_SECONDS = 0.005
_Result = TypeVar("_Result")


class _Server(uvicorn.Server):
    """The library's, with a door of ours where there is a certificate.

    It has no idea of signals: after its end the daemon has work to finish.
    """

    def __init__(
        self, config: uvicorn.Config, bounds: Bounds, certificate: Certificate | None, log: Log
    ) -> None:
        super().__init__(config)
        self._bounds = bounds
        self._certificate = certificate
        self._log = log
        self._door: Door | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections on the one socket."""
        if self._certificate is None or not sockets:
            await super().startup(sockets)
            return
        await super().startup([])
        self._door = Door(
            sockets[0],
            self._certificate,
            self._connection,
            lambda waiting: len(self.server_state.connections) + waiting >= self._bounds.connections,
            self._log,
            handshake_seconds=min(_HANDSHAKE_SECONDS, self._bounds.request_seconds),
            farewell_seconds=self._bounds.request_seconds,
        )

    def _connection(self) -> Connection:
        kind = cast(type[Connection], self.config.http_protocol_class)
        return kind(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests under way."""
        if self._door is not None:
            self._door.close()
            self._let_go(set())
        await super().shutdown(sockets)

    def _let_go(self, seen: set[Connection]) -> None:
        """Of those who do not answer our farewell, as many clients do not before they have something to ask."""
        connections = cast(set[Connection], self.server_state.connections)
        closing = {one for one in connections if one.transport.is_closing()}
        for one in closing & seen:
            if not one.transport.get_write_buffer_size():
                one.transport.abort()
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._let_go, closing)


def listening_socket(address: str, flag: str = "--listen", *, default_port: int = 8080) -> socket.socket:
    """A socket that listens on what ``address_of`` accepts; without a host on all addresses, over IPv6 and IPv4.

    Of several addresses of a name it is the first of IPv4, else the first. Raises UsageError for what is no address,
    JobmeterError when it cannot be listened on.
    """
    try:
        found = address_of(address, default_port)
    except AddressError as error:
        raise AddressError(f"{flag}: {error}") from None
    try:
        return _bound(found)
    except (OSError, UnicodeError) as error:
        raise JobmeterError(f"{flag}: {found} cannot be listened on: {_reason(error, found)}") from None


def _bound(address: Address) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            # IPv6 is switched off.
    found = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM)
    family, _, _, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(place, family=family, backlog=_BACKLOG)


def _reason(error: Exception, address: Address) -> str:
    """What is wrong and what to do."""
    match error:
        case socket.gaierror() | UnicodeError():
            return f"the host {address.host[:100]!r} is not known here"
        case OSError(errno=errno.EADDRINUSE):
            told = f"`ss -ltnp 'sport = :{address.port}'` names the process"
            return f"Address already in use; another process listens there ({told}): stop it, or take another port"
        case OSError(errno=errno.EACCES) if address.port < _FIRST_FREE_PORT:
            return (
                f"Permission denied; ports below {_FIRST_FREE_PORT} are for root or need CAP_NET_BIND_SERVICE"
            )
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "Cannot assign requested address; this machine has none like it (`ip address` lists those it has)"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def place_of(listening: socket.socket) -> str:
    """Where the socket listens, as HOST:PORT."""
    return str(Address(*listening.getsockname()[:2]))


def listens_beyond_loopback(listening: socket.socket) -> bool:
    """True when others than this machine can reach the socket."""
    host = str(listening.getsockname()[0]).removeprefix("::ffff:")
    return not (host.startswith("127.") or host == "::1")


def serve(
    application: ASGIApp,
    listening: socket.socket,
    life: Callable[[], AbstractAsyncContextManager[None]],
    started: Callable[[], None],
    log: Log,
    bounds: Bounds = DEFAULT_BOUNDS,
    *,
    certificate: Certificate | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests within ``life`` until SIGTERM or SIGINT; requests under way are finished first.

    With a certificate it is HTTPS. ``stopping`` is called at the signal. What the library says goes to ``log``.
    """
    server = _server(application, bounds, certificate, log)
    run_daemon(lambda: _serve(server, listening, life, started, stopping), log)


def run_daemon(work: Callable[[], Coroutine[Any, Any, _Result]], log: Log) -> _Result:
    """What the work returns, done in an event loop of ours. What the library of servers says goes to ``log``."""
    with _told_to(log), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


@asynccontextmanager
async def answering(
    application: ASGIApp,
    listening: socket.socket,
    log: Log,
    bounds: Bounds = DEFAULT_BOUNDS,
    *,
    certificate: Certificate | None = None,
) -> AsyncIterator[None]:
    """Answer requests within the context, for a daemon that listens at several places; at its end those under way are
    finished first.
    """
    server = _server(application, bounds, certificate, log)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not (server.started or serving.done()):
            await asyncio.sleep(_START_SECONDS)
        yield
    finally:
        server.should_exit = True
        await serving


def _server(application: ASGIApp, bounds: Bounds, certificate: Certificate | None, log: Log) -> _Server:
    config = uvicorn.Config(
        application,
        interface="asgi3",
        loop="none",
        http=type("Connection", (Connection,), {"bounds": bounds}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(config, bounds, certificate, log)


class _ToLog(logging.Handler):
    """Hands on what the library says, with the error that it says it of."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = Sparing(log)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message."""
        cause = record.exc_info[1] if record.exc_info else None
        self._log.warn(record.getMessage().strip(), **({} if cause is None else {"error": repr(cause)}))


@contextlib.contextmanager
def _told_to(log: Log) -> Iterator[None]:
    library, handler = logging.getLogger("uvicorn.error"), _ToLog(log)
    library.addHandler(handler)
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.propagate = True


async def _serve(
    server: uvicorn.Server,
    listening: socket.socket,
    life: Callable[[], AbstractAsyncContextManager[None]],
    started: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    async with _stopped_by_signals(server, stopping), life():
        started()
        await server.serve(sockets=[listening])


@asynccontextmanager
async def _stopped_by_signals(server: uvicorn.Server, stopping: Callable[[], None]) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    yield
