"""The HTTP server every daemon shares: listens, bounds slow clients, stops well."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from jobmeter.model.errors import JobmeterError, UsageError
from jobmeter.ops.connection import DEFAULT_BOUNDS, Bounds, Connection
from jobmeter.ops.log import Log

_GRACE_SECONDS = 8
_BACKLOG = 2048
_SAME_AGAIN_SECONDS = 10.0


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
    log: Log,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> None:
    """Answer requests within ``life`` until SIGTERM or SIGINT; requests under way are finished first.

    What the library says of its own goes to ``log``.
    """
    config = uvicorn.Config(
        application,
        loop="uvloop",
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
    server = _Server(config)
    with _told_to(log), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, listening, life, started))


class _ToLog(logging.Handler):
    """Hands on what the library says; the same again and again once in a while, since clients can make it say so."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._last = ("", -math.inf)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message."""
        message, now = record.getMessage(), time.monotonic()
        if message != self._last[0] or now - self._last[1] > _SAME_AGAIN_SECONDS:
            self._last = message, now
            self._log.warn(message)


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
