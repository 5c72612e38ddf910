"""HTTPS: a certificate that is taken anew when its files change, and the door that lets in who completes a handshake.

The event loop's own listening knows no bound on the handshakes under way, so connections are accepted here.
"""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial

from jobmeter.model.errors import UsageError
from jobmeter.ops.log import Log

_TELL_SECONDS = 10.0
_ACCEPT_AT_ONCE = 64
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_ROOM_SECONDS = 1.0
_MOST_BYTES = 1024 * 1024
_OTHER_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_HINTS = {"HTTP_REQUEST": "it speaks http://, and here is https://"}

Identity = tuple[tuple[int, int, int], ...]
"""Of each file what changes when it is written or replaced."""


class _Locked(Exception):
    """The key needs a passphrase."""


class Certificate:
    """A certificate with its chain, and its key, both PEM.

    Their files are looked at with a new connection, at most every ``look_seconds``, and taken anew when they have
    changed; if they cannot be, the log says so and what was used before stays. Raises UsageError when they cannot
    be used at all; ``flags`` name the two in its message.
    """

    def __init__(
        self,
        certificate: str,
        key: str,
        log: Log,
        flags: tuple[str, str] = ("--tls-cert", "--tls-key"),
        look_seconds: float = 10.0,
    ) -> None:
        self._files = (certificate, key)
        self._flags = flags
        self._log = log
        self._look_seconds = look_seconds
        self._seen = _identity(self._files)
        self._looked = time.monotonic()
        self._context, self._pem = _context(self._files, flags), _read(self._files)

    def context(self) -> ssl.SSLContext:
        """What a connection that begins now uses: TLS 1.2 or newer."""
        self._look_at_times()
        return self._context

    def pem(self) -> tuple[bytes, bytes]:
        """Certificate and key, for who does not use the standard library's TLS."""
        self._look_at_times()
        return self._pem

    def _look_at_times(self) -> None:
        now = time.monotonic()
        if now - self._looked >= self._look_seconds:
            self._looked = now
            self._look()

    def _look(self) -> None:
        found = _identity(self._files)
        if found == self._seen:
            return
        self._seen = found
        try:
            self._context, self._pem = _context(self._files, self._flags), _read(self._files)
        except (UsageError, OSError) as error:
            self._log.warn("the changed certificate cannot be used; the one before stays", error=str(error))


def check_authorities(file: str, flag: str) -> bytes:
    """What is in a file of certificates that others are held against. Raises UsageError where it has none."""
    _check(file, flag, b"CERTIFICATE")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        with open(file, "rb") as opened:
            return opened.read(_MOST_BYTES)
    except ssl.SSLError as error:
        raise UsageError(f"{flag}: {file} cannot be used: OpenSSL says {error.reason or 'PEM'}") from None
    except OSError as error:
        raise UsageError(f"{flag}: {file} cannot be read: {error.strerror}") from None


def _read(files: tuple[str, str]) -> tuple[bytes, bytes]:
    """Raises OSError."""
    texts = []
    for file in files:
        with open(file, "rb") as opened:
            texts.append(opened.read(_MOST_BYTES))
    return texts[0], texts[1]


def _identity(files: tuple[str, str]) -> Identity:
    found = []
    for file in files:
        try:
            status = os.stat(file)
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


def _context(files: tuple[str, str], flags: tuple[str, str]) -> ssl.SSLContext:
    """Raises UsageError."""
    for file, flag, kind in zip(files, flags, (b"CERTIFICATE", b"PRIVATE KEY"), strict=True):
        _check(file, flag, kind)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])

    def locked() -> str:
        raise _Locked

    certificate, key = files
    try:
        context.load_cert_chain(certificate, key, password=locked)
    except _Locked:
        raise UsageError(
            f"{flags[1]}: {key} needs a passphrase; a daemon starts with nobody there to type it"
        ) from None
    except ssl.SSLError as error:
        reason = error.reason or "PEM"
        if reason in _OTHER_KEY:
            raise UsageError(f"{flags[1]}: {key} is not the key of the certificate {certificate}") from None
        raise UsageError(
            f"{flags[0]}: {certificate} and {key} cannot be used: OpenSSL says {reason}"
        ) from None
    except OSError as error:
        raise UsageError(f"{flags[0]}: {certificate} or {key} cannot be read: {error.strerror}") from None
    return context


def _check(file: str, flag: str, kind: bytes) -> None:
    try:
        with open(file, "rb") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{flag}: {file} cannot be read: {error.strerror}") from None
    if b"-----BEGIN " not in text or kind + b"-----" not in text:
        raise UsageError(f"{flag}: {file} has no {kind.decode().lower()} in PEM (-----BEGIN …)")


class Door:
    """Accepts connections; a handshake has so many seconds, and ``full`` says when another one is one too many.

    Made in the running event loop; it is open until ``close``.
    """

    def __init__(
        self,
        listening: socket.socket,
        certificate: Certificate,
        connection: Callable[[], asyncio.Protocol],
        full: Callable[[int], bool],
        log: Log,
        *,
        handshake_seconds: float,
        farewell_seconds: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._certificate = certificate
        self._connection = connection
        self._full = full
        self._log = log
        self._handshake_seconds = handshake_seconds
        self._farewell_seconds = farewell_seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        self._reopening: asyncio.TimerHandle | None = None
        self._told = -_TELL_SECONDS
        listening.setblocking(False)
        self._open()

    def close(self) -> None:
        """Accept nobody any more, and let go of whose handshake is not complete."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._loop.remove_reader(self._listening)
        for task in self._handshakes:
            task.cancel()

    def _open(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                client, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._loop.remove_reader(self._listening)
                    self._reopening = self._loop.call_later(_NO_ROOM_SECONDS, self._open)
                    return
                continue  # Who wanted to come has gone.
            if self._full(len(self._handshakes)):
                client.close()
                continue
            client.setblocking(False)
            task = self._loop.create_task(self._shake_hands(client))
            self._handshakes.add(task)
            task.add_done_callback(partial(self._done, client))

    def _done(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        self._handshakes.discard(task)
        if task.cancelled():
            client.close()  # It may not have begun yet.

    async def _shake_hands(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._connection,
                client,
                ssl=self._certificate.context(),
                ssl_handshake_timeout=self._handshake_seconds,
                ssl_shutdown_timeout=self._farewell_seconds,
            )
        except ssl.SSLError as error:
            self._tell(error)
        except OSError:
            pass  # It has gone, or was too slow.

    def _tell(self, error: ssl.SSLError) -> None:
        """Once in a while, since any client can make it say so."""
        now = self._loop.time()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            reason = error.reason or str(error)
            self._log.warn("a client and this daemon do not agree on TLS", reason=_HINTS.get(reason, reason))
